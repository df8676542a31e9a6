//! Intel's statements about platforms: TCB info, QE identity and revocation lists, read and checked without a quote.
//!
//! Collateral arrives from a PCCS, which may refuse, lag and serve old or damaged files, or from a caller.
//! [`CheckedCollateral`] is collateral whose every signature leads to the root of trust; its dates are evaluated
//! anew each time it is used. The bytes of TCB info and QE identity are kept as they were served, because the
//! signatures are over exactly those bytes.
//!
//! The JSON form is that of `dcap_qvl::QuoteCollateralV3`: PEM chains and signed JSON as text, lists and
//! signatures in hexadecimal. Its `pck_certificate_chain` is dropped on reading: it would override the chain in
//! the quote, and collateral is shared between platforms.

use std::sync::{Arc, OnceLock};

use dcap_qvl::{QeIdentity, QuoteCollateralV3, TcbInfo};
use rustls_pki_types::SignatureVerificationAlgorithm;
use serde::{Deserialize, Serialize};

use crate::deny::{DenyCode, DenyReason};
use crate::hash::sha256;
use crate::ids::{Fmspc, RootKeyId};
use crate::memo::{MemoisedP256, SignatureMemo, scoped};
use crate::pki::{Cert, Crl, PkiFault, encode_raw_signature, parse_pem_chain};
use crate::root::RootOfTrust;
use crate::time::{parse_rfc3339, rfc3339};

/// The largest collateral that is read, in bytes of JSON. Genuine collateral has about 25 KiB.
pub const MAX_COLLATERAL_BYTES: usize = 1024 * 1024;
/// The largest number of certificates in an issuer chain. Intel's have two.
const MAX_CHAIN_CERTS: usize = 4;

/// Collateral as it was served: nothing about it has been checked but its size and form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collateral(QuoteCollateralV3);

impl Collateral {
    /// Reads the JSON form. Refused with `collateral-too-large` or `collateral-malformed`.
    pub fn parse(json: &[u8]) -> Result<Self, DenyReason> {
        if json.len() > MAX_COLLATERAL_BYTES {
            return Err(DenyReason::new(
                DenyCode::CollateralTooLarge,
                format_args!("{} bytes", json.len()),
                format_args!("at most {MAX_COLLATERAL_BYTES} bytes"),
            ));
        }
        serde_json::from_slice(json).map(Self::new).map_err(|error| {
            DenyReason::quoting(DenyCode::CollateralMalformed, &error.to_string(), "collateral in JSON")
        })
    }

    /// Collateral from its parts.
    #[must_use]
    pub fn new(parts: QuoteCollateralV3) -> Self {
        Self(QuoteCollateralV3 { pck_certificate_chain: None, ..parts })
    }

    /// The JSON form, in which it can be kept and read again.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "pck_crl_issuer_chain": self.0.pck_crl_issuer_chain,
            "root_ca_crl": hex::encode(&self.0.root_ca_crl),
            "pck_crl": hex::encode(&self.0.pck_crl),
            "tcb_info_issuer_chain": self.0.tcb_info_issuer_chain,
            "tcb_info": self.0.tcb_info,
            "tcb_info_signature": hex::encode(&self.0.tcb_info_signature),
            "qe_identity_issuer_chain": self.0.qe_identity_issuer_chain,
            "qe_identity": self.0.qe_identity,
            "qe_identity_signature": hex::encode(&self.0.qe_identity_signature),
        })
        .to_string()
    }

    /// The parts, as the quote verifier takes them.
    #[must_use]
    pub fn parts(&self) -> &QuoteCollateralV3 {
        &self.0
    }
}

/// Which of Intel's CAs issues a platform's PCK certificates; the revocation list is per CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PckCa {
    /// Multi-package and registered platforms: all that run TDX.
    Platform,
    /// Single-package platforms.
    Processor,
}

impl PckCa {
    /// The CA's name in Intel's interface.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Processor => "processor",
        }
    }

    /// The CA whose certificate has the given subject.
    pub(crate) fn from_name(name: &x509_cert::name::Name) -> Option<Self> {
        let name = name.to_string();
        if name.contains("Platform") {
            Some(Self::Platform)
        } else if name.contains("Processor") {
            Some(Self::Processor)
        } else {
            None
        }
    }
}

/// How new each part of some collateral is. Later collateral must not be older in any part: the guard against a
/// PCCS that serves old files. (CRL numbers cannot serve for this: Intel's are all 1.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollateralMarks {
    /// When the TCB info was issued, in Unix seconds.
    pub tcb_info_issued: u64,
    /// The TCB info's evaluation data number.
    pub tcb_info_number: u32,
    /// When the QE identity was issued, in Unix seconds.
    pub qe_identity_issued: u64,
    /// The QE identity's evaluation data number.
    pub qe_identity_number: u32,
    /// When the PCK revocation list was issued, in Unix seconds.
    pub pck_crl_issued: u64,
    /// When the root's revocation list was issued, in Unix seconds.
    pub root_crl_issued: u64,
}

impl CollateralMarks {
    fn rows(&self) -> [(&'static str, u64); 6] {
        [
            ("TCB info issue date", self.tcb_info_issued),
            ("TCB info evaluation data number", self.tcb_info_number.into()),
            ("QE identity issue date", self.qe_identity_issued),
            ("QE identity evaluation data number", self.qe_identity_number.into()),
            ("PCK CRL issue date", self.pck_crl_issued),
            ("root CRL issue date", self.root_crl_issued),
        ]
    }

    /// Refuses with `collateral-rolled-back` marks of which any is below the one already seen.
    pub fn check_not_before(&self, seen: &Self) -> Result<(), DenyReason> {
        for ((what, found), (_, seen)) in self.rows().into_iter().zip(seen.rows()) {
            if found < seen {
                let show = |value| if what.ends_with("number") { format!("{value}") } else { rfc3339(value) };
                return Err(DenyReason::new(
                    DenyCode::CollateralRolledBack,
                    format_args!("{what} {}", show(found)),
                    format_args!("{} or later, as seen before", show(seen)),
                ));
            }
        }
        Ok(())
    }

    /// The higher of each pair of marks.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self {
            tcb_info_issued: self.tcb_info_issued.max(other.tcb_info_issued),
            tcb_info_number: self.tcb_info_number.max(other.tcb_info_number),
            qe_identity_issued: self.qe_identity_issued.max(other.qe_identity_issued),
            qe_identity_number: self.qe_identity_number.max(other.qe_identity_number),
            pck_crl_issued: self.pck_crl_issued.max(other.pck_crl_issued),
            root_crl_issued: self.root_crl_issued.max(other.root_crl_issued),
        }
    }
}

/// When collateral was issued and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CollateralDates {
    /// The oldest issue date of TCB info, QE identity and PCK revocation list, in Unix seconds.
    pub issued: u64,
    /// The earliest end of validity of any part, the root's revocation list included, in Unix seconds.
    pub expires: u64,
    /// When the root's revocation list was issued, in Unix seconds. Intel renews it about once a year.
    pub root_crl_issued: u64,
    /// The lower of the evaluation data numbers of TCB info and QE identity.
    pub evaluation_number: u32,
}

/// Collateral whose signatures lead to the root of trust. Its dates are checked at each use.
pub struct CheckedCollateral {
    source: Collateral,
    root: RootKeyId,
    pub(crate) root_crl: Crl,
    pub(crate) pck_crl: Crl,
    pub(crate) pck_ca: Cert,
    tcb_signer: Cert,
    qe_signer: Cert,
    pub(crate) tcb_info: TcbInfo,
    tcb_info_dates: Dates,
    qe_identity_dates: Dates,
    qe_identity_number: u32,
    fmspc: Fmspc,
    ca: PckCa,
    json: OnceLock<String>,
    digest: OnceLock<[u8; 32]>,
    pub(crate) memo: Arc<SignatureMemo>,
}

impl CheckedCollateral {
    /// Checks every signature of the collateral against the root, and every date against `now` (Unix seconds).
    ///
    /// Refused with one of the `collateral-*` codes, or `pck-ca-revoked`.
    pub fn check(root: &RootOfTrust, source: Collateral, now: u64) -> Result<Self, DenyReason> {
        let checked = Self::check_signatures(root, source)?;
        checked.check_time(root, now)?;
        Ok(checked)
    }

    /// Checks every signature of the collateral against the root, and no date: for those who want to know what
    /// expired collateral said. Whatever is decided with it checks the dates.
    ///
    /// Refused with one of the `collateral-*` codes.
    pub fn check_signatures(root: &RootOfTrust, source: Collateral) -> Result<Self, DenyReason> {
        let (checked, memo) = scoped(Vec::new(), || Self::load(root, source));
        Ok(Self { memo: Arc::new(memo), ..checked? })
    }

    fn load(root: &RootOfTrust, source: Collateral) -> Result<Self, DenyReason> {
        let parts = &source.0;
        let root_crl = read_crl("root CRL", &parts.root_ca_crl, root.cert())?;
        let pck_ca = read_signer("PCK CRL issuer", &parts.pck_crl_issuer_chain, root)?;
        let pck_crl = read_crl("PCK CRL", &parts.pck_crl, &pck_ca)?;
        let tcb_signer = read_signer("TCB info signer", &parts.tcb_info_issuer_chain, root)?;
        let qe_signer = read_signer("QE identity signer", &parts.qe_identity_issuer_chain, root)?;
        check_signed("TCB info", &parts.tcb_info, &parts.tcb_info_signature, &tcb_signer)?;
        check_signed("QE identity", &parts.qe_identity, &parts.qe_identity_signature, &qe_signer)?;
        let tcb_info: TcbInfo = read_json("TCB info", &parts.tcb_info)?;
        let qe_identity: QeIdentity = read_json("QE identity", &parts.qe_identity)?;
        check_kind(&tcb_info, &qe_identity)?;
        let fmspc = tcb_info.fmspc.parse().map_err(|_| malformed("TCB info FMSPC", &tcb_info.fmspc))?;
        let ca_name = pck_ca.x509().tbs_certificate().subject();
        let ca = PckCa::from_name(ca_name).ok_or_else(|| malformed("PCK CA name", &ca_name.to_string()))?;
        Ok(Self {
            tcb_info_dates: Dates::read("TCB info", &tcb_info.issue_date, &tcb_info.next_update)?,
            qe_identity_dates: Dates::read("QE identity", &qe_identity.issue_date, &qe_identity.next_update)?,
            qe_identity_number: qe_identity.tcb_evaluation_data_number,
            root: root.key_id(),
            json: OnceLock::new(),
            digest: OnceLock::new(),
            memo: Arc::default(),
            source,
            root_crl,
            pck_crl,
            pck_ca,
            tcb_signer,
            qe_signer,
            tcb_info,
            fmspc,
            ca,
        })
    }

    /// Checks all that depends on the time: the validity of signers and lists, and whether a signer is revoked.
    pub(crate) fn check_time(&self, root: &RootOfTrust, now: u64) -> Result<(), DenyReason> {
        if self.root != root.key_id() {
            let expected = format!("root key {}", root.key_id());
            return Err(DenyReason::new(
                DenyCode::CollateralUntrusted,
                format_args!("root key {}", self.root),
                expected,
            ));
        }
        for (name, cert) in [
            ("TCB info signer", &self.tcb_signer),
            ("QE identity signer", &self.qe_signer),
            (PCK_CA, &self.pck_ca),
        ] {
            cert.check_issued_by(root.cert(), &self.root_crl, now)
                .map_err(|fault| signer_fault(name, fault, now))?;
        }
        for (name, dates) in [
            ("TCB info", self.tcb_info_dates),
            ("QE identity", self.qe_identity_dates),
            ("PCK CRL", Dates::of(&self.pck_crl)),
            ("root CRL", Dates::of(&self.root_crl)),
        ] {
            dates.check(name, now)?;
        }
        Ok(())
    }

    /// The collateral as it was served.
    #[must_use]
    pub fn source(&self) -> &Collateral {
        &self.source
    }

    /// Its JSON form. Written when it is first asked for, not for every client.
    #[must_use]
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| self.source.to_json())
    }

    /// SHA-256 of its JSON form: its name in records. Computed when it is first asked for, not for every quote.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| sha256(&[self.json().as_bytes()]))
    }

    /// The kind of platform that it is for.
    #[must_use]
    pub fn fmspc(&self) -> Fmspc {
        self.fmspc
    }

    /// The CA whose revocation list it carries.
    #[must_use]
    pub fn pck_ca(&self) -> PckCa {
        self.ca
    }

    /// When it was issued and when it ends.
    #[must_use]
    pub fn dates(&self) -> CollateralDates {
        let issued = [self.tcb_info_dates.issued, self.qe_identity_dates.issued, self.pck_crl.issued];
        let expires = [
            self.tcb_info_dates.expires,
            self.qe_identity_dates.expires,
            self.pck_crl.expires,
            self.root_crl.expires,
        ];
        CollateralDates {
            issued: issued.into_iter().fold(u64::MAX, u64::min),
            expires: expires.into_iter().fold(u64::MAX, u64::min),
            root_crl_issued: self.root_crl.issued,
            evaluation_number: self.tcb_info.tcb_evaluation_data_number.min(self.qe_identity_number),
        }
    }

    /// How new each part is.
    #[must_use]
    pub fn marks(&self) -> CollateralMarks {
        CollateralMarks {
            tcb_info_issued: self.tcb_info_dates.issued,
            tcb_info_number: self.tcb_info.tcb_evaluation_data_number,
            qe_identity_issued: self.qe_identity_dates.issued,
            qe_identity_number: self.qe_identity_number,
            pck_crl_issued: self.pck_crl.issued,
            root_crl_issued: self.root_crl.issued,
        }
    }
}

impl std::fmt::Debug for CheckedCollateral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedCollateral")
            .field("fmspc", &self.fmspc)
            .field("ca", &self.ca)
            .field("dates", &self.dates())
            .finish_non_exhaustive()
    }
}

const PCK_CA: &str = "PCK CA";

/// A validity period in Unix seconds, both ends included.
#[derive(Debug, Clone, Copy)]
struct Dates {
    issued: u64,
    expires: u64,
}

impl Dates {
    fn of(crl: &Crl) -> Self {
        Self { issued: crl.issued, expires: crl.expires }
    }

    fn read(name: &'static str, issued: &str, expires: &str) -> Result<Self, DenyReason> {
        let read = |text| parse_rfc3339(text).ok_or_else(|| malformed(name, text));
        Ok(Self { issued: read(issued)?, expires: read(expires)? })
    }

    fn check(self, name: &str, now: u64) -> Result<(), DenyReason> {
        let at = rfc3339(now);
        if now < self.issued {
            let found = format!("{name} issued at {}", rfc3339(self.issued));
            return Err(DenyReason::new(
                DenyCode::CollateralNotYetValid,
                found,
                format_args!("issued by {at}"),
            ));
        }
        if now > self.expires {
            let found = format!("{name} valid until {}", rfc3339(self.expires));
            return Err(DenyReason::new(DenyCode::CollateralExpired, found, format_args!("valid at {at}")));
        }
        Ok(())
    }
}

fn malformed(what: &str, found: &str) -> DenyReason {
    DenyReason::quoting(DenyCode::CollateralMalformed, found, format_args!("a well-formed {what}"))
}

fn read_json<'a, T: Deserialize<'a>>(name: &str, json: &'a str) -> Result<T, DenyReason> {
    serde_json::from_str(json).map_err(|error| malformed(name, &error.to_string()))
}

fn read_crl(name: &'static str, der: &[u8], issuer: &Cert) -> Result<Crl, DenyReason> {
    Crl::parse(der, issuer).map_err(|fault| signed_fault(name, fault))
}

/// The first certificate of a chain, which must be signed by the root itself. Intel's have no other form.
fn read_signer(name: &'static str, pem: &str, root: &RootOfTrust) -> Result<Cert, DenyReason> {
    let chain =
        parse_pem_chain(pem.as_bytes(), MAX_CHAIN_CERTS).map_err(|fault| signed_fault(name, fault))?;
    let signer = chain.into_iter().next().ok_or_else(|| malformed(name, "an empty chain"))?;
    signer.check_signed_by(root.cert()).map_err(|fault| signer_fault(name, fault, 0))?;
    Ok(signer)
}

fn check_signed(name: &'static str, json: &str, signature: &[u8], signer: &Cert) -> Result<(), DenyReason> {
    let fault = |fault| signed_fault(name, fault);
    let signature = encode_raw_signature(signature).map_err(fault)?;
    MemoisedP256
        .verify_signature(signer.public_key(), json.as_bytes(), &signature)
        .map_err(|_| fault(PkiFault::BadSignature))
}

fn check_kind(tcb_info: &TcbInfo, qe_identity: &QeIdentity) -> Result<(), DenyReason> {
    let wrong =
        |found: String, expected| Err(DenyReason::quoting(DenyCode::CollateralWrongKind, &found, expected));
    if tcb_info.id != "TDX" || tcb_info.version != 3 {
        let found = format!("TCB info {} version {}", tcb_info.id, tcb_info.version);
        return wrong(found, "TCB info TDX version 3");
    }
    if qe_identity.id != "TD_QE" || ![2, 3].contains(&qe_identity.version) {
        let found = format!("QE identity {} version {}", qe_identity.id, qe_identity.version);
        return wrong(found, "QE identity TD_QE version 2 or 3");
    }
    Ok(())
}

/// A fault of something signed: a list, TCB info, QE identity.
fn signed_fault(name: &'static str, fault: PkiFault) -> DenyReason {
    match fault {
        PkiFault::BadSignature => DenyReason::new(
            DenyCode::CollateralSignature,
            format_args!("{name} with a wrong signature"),
            "Intel's",
        ),
        PkiFault::WrongIssuer => {
            let found = format!("{name} from another issuer");
            DenyReason::new(DenyCode::CollateralUntrusted, found, "the issuer that its chain names")
        }
        _ => malformed(name, "bytes that cannot be read"),
    }
}

/// A fault of a certificate that signs collateral or issues PCK certificates.
fn signer_fault(name: &'static str, fault: PkiFault, now: u64) -> DenyReason {
    let at = rfc3339(now);
    match fault {
        PkiFault::Revoked if name == PCK_CA => DenyReason::new(
            DenyCode::PckCaRevoked,
            "a PCK CA on the root's revocation list",
            "one that is not",
        ),
        PkiFault::Revoked => {
            let found = format!("{name} on the root's revocation list");
            DenyReason::new(DenyCode::CollateralSignerRevoked, found, "a signer that is not revoked")
        }
        PkiFault::Expired { until } => {
            let found = format!("{name} valid until {}", rfc3339(until));
            DenyReason::new(DenyCode::CollateralExpired, found, format_args!("valid at {at}"))
        }
        PkiFault::NotYetValid { from } => {
            let found = format!("{name} valid from {}", rfc3339(from));
            DenyReason::new(DenyCode::CollateralNotYetValid, found, format_args!("valid at {at}"))
        }
        PkiFault::Malformed => malformed(name, "a certificate that cannot be read"),
        PkiFault::WrongIssuer | PkiFault::NotCa | PkiFault::BadSignature => {
            let found = format!("{name} that the root did not issue");
            DenyReason::new(DenyCode::CollateralUntrusted, found, "one issued by the root of trust itself")
        }
    }
}
