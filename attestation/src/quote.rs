//! Intake of a quote: bytes from anyone become a well-formed quote, or are refused before any cryptography.
//!
//! ```text
//! header 48 | [body type u16, size u32: version 5] | TD report 584/648/885 | length u32 | signature 64 | key 64 |
//! type 6 u16, size u32 { QE report 384 | signature 64 | auth data u16+32 | type 5 u16, size u32 { PEM: PCK, CA, root } }
//! ```
//!
//! All integers are little endian. The quote must be exactly what its parts encode to: no slack anywhere. (The
//! certificates' PEM text is not signed and may be padded, so a hash of a quote identifies nothing.)

use dcap_qvl::INTEL_QE_VENDOR_ID;
use dcap_qvl::intel::parse_pck_extension;
use dcap_qvl::quote::{AuthData, Quote as QvlQuote};
use parity_scale_codec::{Decode, Encode};

use crate::collateral::PckCa;
use crate::deny::{DenyCode, DenyReason};
use crate::ids::{Fmspc, Ppid};
use crate::pki::{Cert, parse_pem_chain};
use crate::platforms::{KnownChain, PckChain};
use crate::td::TdReport;

/// The largest quote that is read, in bytes. Genuine ones have about 5,000.
pub const MAX_QUOTE_BYTES: usize = 16 * 1024;
/// The largest number of certificates in a PCK chain: leaf, CA, root, and one to spare.
const MAX_PCK_CHAIN_CERTS: usize = 4;
const TEE_TYPE_TDX: u32 = 0x81;
const KEY_TYPE_ECDSA_P256: u16 = 2;
/// Certification data that holds the QE's report, and in it the PCK chain.
const CERTIFICATION_QE_REPORT: u16 = 6;
/// Certification data that is a PEM chain.
const CERTIFICATION_PCK_CHAIN: u16 = 5;
/// Intel's QE puts 32 bytes of authentication data beside its key; the hash in its report is over exactly these.
const QE_AUTH_DATA_BYTES: usize = 32;

/// The hardware that signed, as its PCK certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The hardware's own identity.
    pub ppid: Ppid,
    /// Its kind, which selects the TCB info.
    pub fmspc: Fmspc,
    /// The CA of its PCK certificate, which selects the revocation list.
    pub ca: PckCa,
    /// Its provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Its CPU's security version numbers.
    pub cpu_svn: [u8; 16],
    /// Its provisioning certification enclave's security version number.
    pub pce_svn: u16,
}

/// A well-formed quote. Nothing in it has been verified.
pub struct Quote {
    raw: Vec<u8>,
    version: u16,
    td: TdReport,
    pub(crate) known: KnownChain,
}

impl Quote {
    /// Reads a quote. Refused with one of the `quote-*` codes about form, `pck-chain-malformed` or `ppid-invalid`.
    pub fn parse(raw: &[u8]) -> Result<Self, DenyReason> {
        Self::parse_with(raw, |pem| read_chain(pem).map(KnownChain::new))
    }

    /// The same, with the certificates from where [`read_chain`] would be called for them.
    pub(crate) fn parse_with(
        raw: &[u8],
        chain: impl FnOnce(&[u8]) -> Result<KnownChain, DenyReason>,
    ) -> Result<Self, DenyReason> {
        check_size(raw)?;
        check_header(raw)?;
        let quote = decode_exactly(raw)?;
        check_certification(&quote)?;
        let td = TdReport::read(&quote.report)
            .ok_or_else(|| DenyReason::new(DenyCode::QuoteTeeType, "an SGX enclave report", "a TD report"))?;
        let known = chain(quote.inner_cert_data())?;
        Ok(Self { raw: raw.to_vec(), version: quote.header.version, td, known })
    }

    /// The bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The quote's version: 4 or 5.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The TD report that the quote claims.
    #[must_use]
    pub fn td(&self) -> &TdReport {
        &self.td
    }

    /// The hardware that the quote claims: tells which collateral to get.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.known.chain.platform
    }
}

impl std::fmt::Debug for Quote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quote").field("version", &self.version).field("td", &self.td).finish_non_exhaustive()
    }
}

fn check_size(raw: &[u8]) -> Result<(), DenyReason> {
    if raw.len() <= MAX_QUOTE_BYTES {
        return Ok(());
    }
    let found = format!("{} bytes", raw.len());
    Err(DenyReason::new(DenyCode::QuoteTooLarge, found, format_args!("at most {MAX_QUOTE_BYTES} bytes")))
}

/// The fields that tell whether this is a quote of a supported kind at all.
fn check_header(raw: &[u8]) -> Result<(), DenyReason> {
    let Some((header, _)) = raw.split_first_chunk::<48>() else {
        let found = format!("{} bytes", raw.len());
        return Err(DenyReason::new(DenyCode::QuoteMalformed, found, "a header of 48 bytes"));
    };
    let [v0, v1, k0, k1, t0, t1, t2, t3, _, _, _, _, vendor @ ..] = header;
    let version = u16::from_le_bytes([*v0, *v1]);
    if ![4, 5].contains(&version) {
        return Err(DenyReason::new(
            DenyCode::QuoteVersion,
            format_args!("version {version}"),
            "version 4 or 5",
        ));
    }
    let tee = u32::from_le_bytes([*t0, *t1, *t2, *t3]);
    if tee != TEE_TYPE_TDX {
        let found = format!("TEE type {tee:#x}");
        return Err(DenyReason::new(DenyCode::QuoteTeeType, found, format_args!("{TEE_TYPE_TDX:#x}, TDX")));
    }
    let key = u16::from_le_bytes([*k0, *k1]);
    if key != KEY_TYPE_ECDSA_P256 {
        return Err(DenyReason::new(
            DenyCode::QuoteKeyType,
            format_args!("key type {key}"),
            "2, ECDSA P-256",
        ));
    }
    if !vendor.starts_with(&INTEL_QE_VENDOR_ID) {
        let found = hex::encode(&vendor[..16]);
        return Err(DenyReason::new(DenyCode::QuoteVendor, found, hex::encode(INTEL_QE_VENDOR_ID)));
    }
    Ok(())
}

/// Decodes the quote and checks that it encodes to the very same bytes.
fn decode_exactly(raw: &[u8]) -> Result<QvlQuote, DenyReason> {
    let malformed =
        |found: &str| DenyReason::quoting(DenyCode::QuoteMalformed, found, "a DCAP quote for TDX");
    let mut rest = raw;
    let quote = QvlQuote::decode(&mut rest).map_err(|error| malformed(&error.to_string()))?;
    if !rest.is_empty() {
        let found = format!("{} bytes after the quote's end", rest.len());
        return Err(DenyReason::new(DenyCode::QuoteTrailingBytes, found, "none"));
    }
    if quote.encode() != raw {
        let found = "bytes between the parts of the signature data";
        return Err(DenyReason::new(DenyCode::QuoteTrailingBytes, found, "none"));
    }
    Ok(quote)
}

fn check_certification(quote: &QvlQuote) -> Result<(), DenyReason> {
    let AuthData::V4(auth) = &quote.auth_data else {
        return Err(DenyReason::new(DenyCode::QuoteMalformed, "signature data of version 3", "version 4"));
    };
    let types = (auth.certification_data.cert_type, quote.inner_cert_type());
    if types != (CERTIFICATION_QE_REPORT, CERTIFICATION_PCK_CHAIN) {
        let found = format!("types {} and {}", types.0, types.1);
        return Err(DenyReason::new(
            DenyCode::QuoteCertificationType,
            found,
            "6 (QE report) and 5 (PCK chain)",
        ));
    }
    let auth_data = auth.qe_report_data.qe_auth_data.data.len();
    if auth_data != QE_AUTH_DATA_BYTES {
        let found = format!("{auth_data} bytes of QE authentication data");
        return Err(DenyReason::new(
            DenyCode::QuoteMalformed,
            found,
            format_args!("{QE_AUTH_DATA_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// The certificates of that text, and what the first of them says.
pub(crate) fn read_chain(pem: &[u8]) -> Result<PckChain, DenyReason> {
    let (pck, pck_ca) = read_pck_chain(pem)?;
    let platform = read_platform(&pck)?;
    Ok(PckChain { pem: pem.into(), pck, pck_ca, platform })
}

/// The PCK certificate and the CA that issued it. A root that follows is not used: the root is configured.
fn read_pck_chain(pem: &[u8]) -> Result<(Cert, Cert), DenyReason> {
    let malformed =
        |found| DenyReason::new(DenyCode::PckChainMalformed, found, "PEM: PCK, CA and root certificate");
    // Intel's library ends the text with a NUL.
    let pem = pem.strip_suffix(&[0]).unwrap_or(pem);
    let chain = parse_pem_chain(pem, MAX_PCK_CHAIN_CERTS)
        .map_err(|_| malformed("certificates that cannot be read, or too many"))?;
    let mut chain = chain.into_iter();
    chain.next().zip(chain.next()).ok_or_else(|| malformed("a chain of one certificate"))
}

fn read_platform(pck: &Cert) -> Result<Platform, DenyReason> {
    let malformed = |found: &str| {
        DenyReason::quoting(
            DenyCode::PckChainMalformed,
            found,
            "a PCK certificate with Intel's SGX extension",
        )
    };
    let extension = parse_pck_extension(pck.der()).map_err(|error| malformed(&format!("{error:#}")))?;
    let issuer = pck.x509().tbs_certificate().issuer();
    let ca = PckCa::from_name(issuer).ok_or_else(|| malformed(&issuer.to_string()))?;
    let ppid = Ppid::try_from(&extension.ppid[..]).ok().filter(|ppid| !ppid.is_zero()).ok_or_else(|| {
        let found = format!("PPID {}", hex::encode(&extension.ppid));
        DenyReason::quoting(DenyCode::PpidInvalid, &found, "16 bytes that are not all zero")
    })?;
    Ok(Platform {
        ppid,
        ca,
        fmspc: Fmspc(extension.fmspc),
        pce_id: extension.pce_id[..].try_into().map_err(|_| malformed("a PCEID that is not 2 bytes"))?,
        cpu_svn: extension.cpu_svn,
        pce_svn: extension.pce_svn,
    })
}
