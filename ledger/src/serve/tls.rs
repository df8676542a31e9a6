//! TLS for a listener that only auditors may use: they show a certificate of a CA that the operator names.
//!
//! Which certificate the server shows is asked for each connection anew: a node's is renewed while it runs. No session is
//! resumed, so that a client's certificate is looked at each time.

use std::sync::Arc;

use kms_attestation::refusal::sanitise;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use crate::refusal::{LedgerCode, LedgerRefusal};

/// How a listener speaks TLS, and to whom.
#[derive(Debug, Clone)]
pub struct ServerTls(pub(super) Arc<ServerConfig>);

/// TLS 1.3 with the certificate that is given for each connection, for clients with a certificate that leads to one of these
/// CAs. Refused with `log-server-invalid`.
pub fn auditors_only(
    server: Arc<dyn ResolvesServerCert>,
    auditor_cas: Vec<CertificateDer<'static>>,
) -> Result<ServerTls, LedgerRefusal> {
    // The provider is named here: another crate in the process must not be able to install one for us.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for ca in auditor_cas {
        roots.add(ca).map_err(|error| unusable(&error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(&error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(server);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(ServerTls(Arc::new(config)))
}

fn unusable(error: &str) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogServer, sanitise(error), "certificates of auditors' CAs")
}
