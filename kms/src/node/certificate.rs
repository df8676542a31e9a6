//! The node's own certificate: a fresh key, a quote that is bound to it, signed by the KMS root CA.
//!
//! ```text
//! key ─▶ SHA-512("ratls-cert:" || SPKI) ─▶ quote ─▶ certificate with the evidence ─▶ TLS configuration
//! ```
//!
//! Issued at start and anew each hour, so that the quote that a client sees is never old. A connection keeps the
//! certificate of its handshake. Threat: a node's key in the hands of someone else: the quote names the key.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kms_attestation::ids::{ReportData, SpkiHash};
use kms_attestation::platform::{GuestQuote, Platform, QuoteProvider as _};
use kms_attestation::quote::{Platform as Hardware, Quote};
use kms_attestation::ratls::{pair_extensions, report_data_for_spki};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::keys::{CertificatePolicy, DnsName, LeafPublicKey, Lifetime, NodeRequest, RootKeys};
use crate::refusal::{NodeCode, Refused};
use crate::server::server_config;

/// An event log without events, for guests whose source keeps none.
const NO_EVENTS: &[u8] = b"[]";

/// What a quote of this node proves, and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeQuote {
    /// The quote.
    pub quote: Vec<u8>,
    /// The event log, JSON.
    pub event_log: Vec<u8>,
    /// What it is bound to.
    pub report_data: ReportData,
    /// The hardware that made it: tells which collateral it needs.
    pub hardware: Hardware,
}

/// A certificate, its quote, and the TLS configuration that serves it.
pub struct NodeCertificate {
    tls: Arc<ServerConfig>,
    certified: Arc<CertifiedKey>,
    der: Bytes,
    spki_hash: SpkiHash,
    quote: NodeQuote,
    issued: u64,
}

impl NodeCertificate {
    /// The TLS configuration.
    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    /// The chain with its key, for another listener of this node.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// The certificate, DER: what the quote's report data follows from.
    pub(crate) const fn der(&self) -> &Bytes {
        &self.der
    }

    /// The leaf key's hash, which sessions are bound to.
    #[must_use]
    pub const fn spki_hash(&self) -> SpkiHash {
        self.spki_hash
    }

    /// The quote that is bound to the leaf key.
    #[must_use]
    pub const fn quote(&self) -> &NodeQuote {
        &self.quote
    }

    /// When it was issued, in Unix seconds.
    #[must_use]
    pub const fn issued(&self) -> u64 {
        self.issued
    }
}

/// Who issues a node's certificates.
pub(crate) struct Issuer<'a> {
    pub(crate) root: &'a RootKeys,
    pub(crate) policy: &'a CertificatePolicy,
    pub(crate) names: &'a BTreeSet<DnsName>,
    pub(crate) lifetime: Lifetime,
}

impl Issuer<'_> {
    /// A certificate over a new key, with a quote of this moment; `now` in Unix seconds.
    pub(crate) async fn issue(&self, platform: &Platform, now: u64) -> Result<NodeCertificate, Refused> {
        let failed = |what: &'static str| move |_| internal(what);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| internal("no key"))?;
        let spki = key.subject_public_key_info();
        let quote = quote(platform, report_data_for_spki(&spki)).await?;
        let evidence = pair_extensions(&quote.quote, &quote.event_log)
            .map_err(kms_attestation::refusal::Refusal::lift)?;
        let request = NodeRequest {
            public_key: LeafPublicKey::from_spki_der(&spki).map_err(failed("a key that is no P-256 key"))?,
            names: self.names.clone(),
            lifetime: self.lifetime,
            evidence: evidence.into(),
        };
        let root_ca = self.root.root_ca();
        let certified = root_ca.issue_node(request, self.policy, now);
        let certified =
            certified.map_err(|error| Refused::new(NodeCode::Internal.into(), error, "a certificate"))?;
        let der = Bytes::from(certified.der.clone());
        let chain = [certified.der, root_ca.certificate().to_vec()].map(CertificateDer::from).to_vec();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let refused = |_| internal("a certificate that TLS refuses");
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key.into(), &provider).map_err(refused)?;
        let certified = Arc::new(certified);
        let tls = Arc::new(server_config(Arc::clone(&certified)).map_err(refused)?);
        Ok(NodeCertificate { tls, certified, der, spki_hash: SpkiHash::of(&spki), quote, issued: now })
    }
}

/// A quote of this node over the given report data. Refused with `quote-unavailable`, or with what is wrong with its form.
pub(crate) async fn quote(platform: &Platform, report_data: ReportData) -> Result<NodeQuote, Refused> {
    let GuestQuote { quote, event_log } = platform
        .quote(report_data)
        .await
        .map_err(|error| Refused::new(NodeCode::QuoteUnavailable.into(), error.found(), error.expected()))?;
    let parsed = Quote::parse(&quote).map_err(kms_attestation::refusal::Refusal::lift)?;
    let (hardware, event_log) = (parsed.platform().clone(), event_log.unwrap_or_else(|| NO_EVENTS.to_vec()));
    Ok(NodeQuote { quote, event_log, report_data, hardware })
}

fn internal(what: &'static str) -> Refused {
    Refused::new(NodeCode::Internal.into(), what, "a certificate for this node")
}
