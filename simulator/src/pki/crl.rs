//! Certificate revocation lists with the fields of Intel's: CRL number, authority key identifier, nextUpdate.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::certificate::date;
use super::{Authority, CertifiedAuthority, Serial};

/// What a CRL says and who signs it.
#[derive(Debug, Clone)]
pub struct CrlSpec {
    /// When it was issued, in Unix seconds.
    pub this_update: u64,
    /// Until when it is current, in Unix seconds. Must be later than `this_update`.
    pub next_update: u64,
    /// The CRL number. It is 1 in every CRL that Intel has published.
    pub number: u64,
    /// The serial numbers of revoked certificates.
    pub revoked: Vec<Serial>,
    /// Who signs it: by default whoever issued the certificates that it is about.
    pub issuer: Option<Authority>,
}

pub(super) fn encode(spec: &CrlSpec, issuer: &CertifiedAuthority) -> anyhow::Result<Vec<u8>> {
    let this_update = date(spec.this_update)?;
    let revoked = |serial: &Serial| RevokedCertParams {
        serial_number: (*serial).into(),
        revocation_time: this_update,
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update,
        next_update: date(spec.next_update)?,
        crl_number: SerialNumber::from(spec.number),
        issuing_distribution_point: None,
        revoked_certs: spec.revoked.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(&issuer.issuer())?.der().to_vec())
}
