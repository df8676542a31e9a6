//! X.509 certificates with the fields of Intel's, made by rcgen.

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose, SerialNumber,
};
use time::OffsetDateTime;

use super::{Authority, CertifiedAuthority, YEAR};
use crate::key::SimulatedKey;
use crate::seed::Seed;

/// Where a root CRL would be fetched from. A name that never resolves: the simulator's PCCS serves the same path.
const ROOT_CRL_URL: &str = "https://pcs.simulated.invalid/IntelSGXRootCA.der";

/// A certificate's serial number: 20 bytes, positive, as Intel's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial(pub [u8; 20]);

impl Serial {
    /// The serial number of that name.
    pub(crate) fn derive(seed: &Seed, label: &str) -> Self {
        let mut bytes = seed.bytes::<20>(&format!("serial/{label}"));
        // The first byte in 0x40..0x80: neither a sign bit nor a leading zero that DER would drop.
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x3f | 0x40;
        }
        Self(bytes)
    }
}

impl From<Serial> for SerialNumber {
    fn from(serial: Serial) -> Self {
        Self::from_slice(&serial.0)
    }
}

/// When a certificate is valid, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: u64,
    /// The last second.
    pub not_after: u64,
}

impl Validity {
    /// From so many seconds before to so many seconds after `now`.
    #[must_use]
    pub fn around(now: u64, before: u64, after: u64) -> Self {
        Self { not_before: now.saturating_sub(before), not_after: now.saturating_add(after) }
    }

    pub(super) fn apply(self, params: &mut CertificateParams) -> anyhow::Result<()> {
        params.not_before = date(self.not_before)?;
        params.not_after = date(self.not_after)?;
        Ok(())
    }
}

/// A date as rcgen takes it.
pub(super) fn date(unix_seconds: u64) -> anyhow::Result<OffsetDateTime> {
    let seconds = i64::try_from(unix_seconds).context("a date after the end of time")?;
    OffsetDateTime::from_unix_timestamp(seconds).context("a date after the year 9999")
}

/// A distinguished name with the attributes of Intel's, in their order.
pub(super) fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, "SIMULATED");
    name.push(DnType::LocalityName, "Nowhere");
    name.push(DnType::StateOrProvinceName, "NA");
    name.push(DnType::CountryName, "ZZ");
    name
}

/// The parameters that all certificates share.
pub(super) fn params(common_name: &str, serial: Serial, crl_url: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name);
    params.serial_number = Some(serial.into());
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![crl_url.to_owned()] }];
    params.use_authority_key_identifier_extension = true;
    params
}

/// The parameters of a certificate that issues none: signs, and nothing else. Intel's have no extended key usage.
pub(super) fn end_entity(common_name: &str, serial: Serial, crl_url: &str) -> CertificateParams {
    let mut params = params(common_name, serial, crl_url);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
    params
}

/// An authority: a self-signed root where `parent` is `None`.
pub(super) fn authority(
    seed: &Seed,
    label: &str,
    authority: Authority,
    parent: Option<&CertifiedAuthority>,
    now: u64,
) -> anyhow::Result<CertifiedAuthority> {
    let key = SimulatedKey::derive(seed, label)?;
    let serial = Serial::derive(seed, label);
    let mut params = params(authority.common_name(), serial, ROOT_CRL_URL);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (path_length, validity) = match parent {
        None => (1, Validity::around(now, 5 * YEAR, 25 * YEAR)),
        Some(_) => (0, Validity::around(now, 5 * YEAR, 10 * YEAR)),
    };
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    validity.apply(&mut params)?;
    let certificate = match parent {
        None => params.self_signed(&key)?,
        Some(parent) => params.signed_by(&key, &parent.issuer())?,
    };
    Ok(CertifiedAuthority { der: certificate.der().to_vec(), key, params, serial })
}

/// The certificate of the TCB signer.
pub(super) fn tcb_signer(
    key: &SimulatedKey,
    serial: Serial,
    validity: Validity,
    issuer: &CertifiedAuthority,
) -> anyhow::Result<Vec<u8>> {
    let mut params = end_entity("SIMULATED SGX TCB Signing", serial, ROOT_CRL_URL);
    validity.apply(&mut params)?;
    Ok(params.signed_by(key, &issuer.issuer())?.der().to_vec())
}

/// A certificate as text, with the line ends of Intel's.
pub(super) fn pem(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), config)
}
