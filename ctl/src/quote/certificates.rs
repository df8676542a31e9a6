//! Certificates as people need them: whose they are, and until when they are valid.
//!
//! For display only. Which certificates are good is decided by `kms-attestation`, before and without this.

use kms_attestation::collateral::CheckedCollateral;
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::layout::printable;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    /// The subject's common name, fit for a terminal.
    pub(crate) name: String,
    /// The last second at which it is valid, in Unix seconds.
    pub(crate) until: u64,
}

impl CertificateFacts {
    fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let body = certificate.tbs_certificate();
        let subject = body.subject().to_string();
        let name = subject.split(',').find_map(|part| part.trim().strip_prefix("CN="));
        Some(Self {
            name: printable(name.unwrap_or(&subject)),
            until: body.validity().not_after.to_unix_duration().as_secs(),
        })
    }
}

/// The certificates of a PEM text, as far as they can be read.
fn read_pem(text: &[u8]) -> Vec<CertificateFacts> {
    let blocks = pem::parse_many(text).unwrap_or_default();
    blocks.iter().filter_map(|block| CertificateFacts::read(block.contents())).collect()
}

/// The PCK certificate in a quote and the CA that issued it; a root that follows is not the one that is trusted.
pub(crate) fn pck_chain(quote: &Quote) -> Vec<CertificateFacts> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let raw = quote.raw();
    let start = raw.windows(BEGIN.len()).position(|window| window == BEGIN).unwrap_or(raw.len());
    let text = raw.get(start..).unwrap_or_default();
    let mut chain = read_pem(text.strip_suffix(&[0]).unwrap_or(text));
    chain.truncate(2);
    chain
}

/// The root of trust.
pub(crate) fn root(root: &RootOfTrust) -> Option<CertificateFacts> {
    CertificateFacts::read(root.der())
}

/// The certificates that signed TCB info and QE identity. The revocation lists' are the PCK's CA and the root.
pub(crate) fn collateral_signers(collateral: &CheckedCollateral) -> Vec<CertificateFacts> {
    let parts = collateral.source().parts();
    let chains = [&parts.tcb_info_issuer_chain, &parts.qe_identity_issuer_chain];
    chains.into_iter().filter_map(|chain| read_pem(chain.as_bytes()).into_iter().next()).collect()
}
