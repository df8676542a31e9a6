//! What all certificates share: validity, serial number, names; and the encoding.

use kms_attestation::hash::sha256;
use kms_attestation::ratls::Extension;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use time::OffsetDateTime;

use super::name::DnsName;
use super::policy::{BACKDATING_SECS, LeafUsage, Lifetime};
use crate::keys::error::KeyError;

/// The context of serial numbers.
const SERIAL_CONTEXT: &[u8] = b"onchain-kms/serial/v1";

/// A certificate, and when it is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The first and the last second of its validity, in Unix seconds.
    pub validity: Validity,
}

/// The first and the last second, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: u64,
    /// The last second.
    pub not_after: u64,
}

impl Validity {
    /// From a little before now, for so long, but never beyond the issuer.
    pub(super) fn starting(now: u64, lifetime: Lifetime, issuer: Self) -> Self {
        Self {
            not_before: now.saturating_sub(BACKDATING_SECS).max(issuer.not_before),
            not_after: now.saturating_add(lifetime.secs()).min(issuer.not_after),
        }
    }
}

/// The parameters of a certificate for that key: names and purposes are the caller's to add.
pub(super) fn params(
    common_name: &str,
    validity: Validity,
    key: &impl PublicKeyData,
) -> Result<CertificateParams, KeyError> {
    let failed = |now| KeyError::certificate(common_name, now);
    let date = |unix: u64| {
        let seconds = i64::try_from(unix).map_err(|_| failed(unix))?;
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| failed(unix))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "Onchain KMS");
    params.not_before = date(validity.not_before)?;
    params.not_after = date(validity.not_after)?;
    params.serial_number = Some(serial(common_name, validity, key));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 20 bytes that depend on subject, key and validity: two certificates share a number only if they say the same.
fn serial(common_name: &str, validity: Validity, key: &impl PublicKeyData) -> SerialNumber {
    let (from, until) = (validity.not_before.to_be_bytes(), validity.not_after.to_be_bytes());
    let digest = sha256(&[SERIAL_CONTEXT, key.der_bytes(), &from, &until, common_name.as_bytes()]);
    let (number, _) = digest.split_at(20);
    let mut number = number.to_vec();
    // The first byte in 0x40..0x80: neither a sign bit nor a leading zero that DER would drop.
    if let Some(first) = number.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    SerialNumber::from_slice(&number)
}

/// Makes it a leaf: no CA, digital signatures only, these names and usages.
pub(super) fn leaf<'a>(
    params: &mut CertificateParams,
    names: impl IntoIterator<Item = &'a DnsName>,
    usages: impl IntoIterator<Item = LeafUsage>,
    failed: &KeyError,
) -> Result<(), KeyError> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.into_iter().map(purpose).collect();
    for name in names {
        let name = name.as_str().try_into().map_err(|_| failed.clone())?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    Ok(())
}

fn purpose(usage: LeafUsage) -> ExtendedKeyUsagePurpose {
    match usage {
        LeafUsage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        LeafUsage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// Adds extensions of dstack's arc, non-critical.
pub(super) fn extend(params: &mut CertificateParams, extensions: impl IntoIterator<Item = Extension>) {
    let custom = |extension: Extension| CustomExtension::from_oid_content(extension.oid, extension.value);
    params.custom_extensions.extend(extensions.into_iter().map(custom));
}
