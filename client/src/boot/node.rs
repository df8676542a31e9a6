//! What a node must prove before it is asked for anything.
//!
//! Four things, all of them: its quote is genuine and its platform accepted; the quote is of this session or of the key
//! that it holds; its measurement is pinned; and its key was certified by the pinned KMS root CA, so that it has the root
//! that it is to derive from.

use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::{MrAggregated, ReportData};
use kms_attestation::ratls::{report_data_for_spki, subject_public_key_info};
use kms_attestation::{
    Collateral, DenyCode, DenyReason, Policy, Quote, SessionBinding, VerifiedQuote, Verifier,
};
use kms_proto::v1::{NodeEvidence, QuoteBinding};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::error::BootError;
use super::pins::Pins;
use super::tls::Connection;

/// A node that showed all that the pins ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNode {
    /// Its measurement.
    pub measurement: MrAggregated,
    /// Whether its quote was made for this very session.
    pub fresh: bool,
}

/// Verifies a node; `now` in Unix seconds.
pub(super) fn verify(
    evidence: &NodeEvidence,
    connection: &Connection,
    session: &SessionBinding,
    fresh: bool,
    pins: &Pins,
    verifier: &Verifier,
    now: u64,
) -> Result<VerifiedNode, BootError> {
    check_root_ca(connection, &pins.root_ca_spki, now)?;
    let expected = match evidence.binding() {
        QuoteBinding::Session => session.report_data(),
        QuoteBinding::Certificate if !fresh => report_data_for_spki(&connection.node_spki),
        _ => return Err(BootError::Answer { what: "quote of this session" }),
    };
    let quote = attest(evidence, expected, &pins.platform, verifier, now).map_err(BootError::Node)?;
    let measurement = mr_aggregated(quote.td());
    if !pins.node_measurements.contains(&measurement) {
        let expected = format!("one of {} pinned measurements", pins.node_measurements.len());
        return Err(BootError::NotPinned { found: format!("the measurement {measurement}"), expected });
    }
    Ok(VerifiedNode { measurement, fresh })
}

/// A node's quote, bound to `expected`, genuine and on an accepted platform.
pub(super) fn attest(
    evidence: &NodeEvidence,
    expected: ReportData,
    platform: &Policy,
    verifier: &Verifier,
    now: u64,
) -> Result<VerifiedQuote, DenyReason> {
    let quote = Quote::parse(&evidence.quote)?;
    let found = quote.td().report_data;
    if found != expected {
        let found = format!("report data {found}");
        return Err(DenyReason::new(DenyCode::BindingMismatch, found, expected));
    }
    let collateral = verifier.check_collateral(Collateral::parse(&evidence.collateral)?, now)?;
    verifier.authenticate(&quote, &collateral, now)?.appraise(platform, now, None)
}

/// The node's leaf must be certified by the pinned root CA.
pub(super) fn check_root_ca(connection: &Connection, root_ca_spki: &[u8], now: u64) -> Result<(), BootError> {
    let not_pinned = |found: &str| BootError::NotPinned {
        found: found.to_owned(),
        expected: "a certificate of the pinned KMS root CA".to_owned(),
    };
    let [leaf, root] = &connection.chain[..] else { return Err(not_pinned("another chain of certificates")) };
    let spki = subject_public_key_info(root).map_err(BootError::Node)?;
    if spki != root_ca_spki {
        return Err(not_pinned("another root CA"));
    }
    verify_leaf(leaf, root, now)
        .map_err(|_| not_pinned("a certificate that the root CA has not issued, or not for now"))
}

fn verify_leaf(leaf: &CertificateDer<'_>, root: &CertificateDer<'_>, now: u64) -> Result<(), webpki::Error> {
    let anchor = anchor_from_trusted_cert(root)?;
    let leaf = EndEntityCert::try_from(leaf)?;
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    leaf.verify_for_usage(algorithms, &[anchor], &[], now, KeyUsage::server_auth(), None, None).map(drop)
}
