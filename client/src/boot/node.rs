//! What a node must prove before it is asked for anything.
//!
//! Three things, all of them: its quote is genuine and its platform accepted; the quote is of this session or of the key
//! that it holds; and its key was certified by the KMS root CA that is trusted, so that it has the root that it is to derive
//! from. The fourth, that such a node is wanted, is for module `trust`.

use kms_attestation::ids::{MrAggregated, ReportData};
use kms_attestation::ratls::{report_data_for_spki, subject_public_key_info};
use kms_attestation::{Collateral, DenyReason, Policy, SessionBinding, VerifiedQuote, Verifier, bound_quote};
use kms_proto::v1::{NodeEvidence, QuoteBinding};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::error::BootError;
use super::session::BootRequest;
use super::tls::Connection;
use super::trust::Roots;

/// A node that showed all that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNode {
    /// Its measurement.
    pub measurement: MrAggregated,
    /// Whether its quote was made for this very session.
    pub fresh: bool,
    /// The KMS root CA's public key, SubjectPublicKeyInfo in DER: as trusted, and shown by the node.
    pub root_ca_spki: Vec<u8>,
}

/// Verifies a node's root and quote; `now` in Unix seconds.
pub(super) fn verify(
    evidence: &NodeEvidence,
    connection: &Connection,
    session: &SessionBinding,
    request: &BootRequest,
    roots: &Roots,
    now: u64,
) -> Result<VerifiedQuote, BootError> {
    check_root_ca(connection, &roots.ca_spki, now)?;
    let expected = match evidence.binding() {
        QuoteBinding::Session => session.report_data(),
        QuoteBinding::Certificate if !request.fresh => report_data_for_spki(&connection.node_spki),
        _ => return Err(BootError::Answer { what: "quote of this session" }),
    };
    attest(evidence, expected, request.trust.platform(), &request.verifier, now).map_err(BootError::Node)
}

/// A node's quote, bound to `expected`, genuine and on an accepted platform.
pub(super) fn attest(
    evidence: &NodeEvidence,
    expected: ReportData,
    platform: &Policy,
    verifier: &Verifier,
    now: u64,
) -> Result<VerifiedQuote, DenyReason> {
    let quote = bound_quote(verifier.parse(&evidence.quote)?, expected)?;
    let collateral = verifier.check_collateral(Collateral::parse(&evidence.collateral)?, now)?;
    verifier.authenticate(&quote, &collateral, now)?.appraise(platform, now, None)
}

/// The node's leaf must be certified by that root CA.
pub(super) fn check_root_ca(connection: &Connection, root_ca_spki: &[u8], now: u64) -> Result<(), BootError> {
    let not_pinned = |found: &str| BootError::NotPinned {
        found: found.to_owned(),
        expected: "a certificate of the KMS root CA that is trusted".to_owned(),
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
