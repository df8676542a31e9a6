//! TLS of a client: whom it believes to be a server, and as whom it shows itself.
//!
//! With ring, and nothing that another crate in the process has installed. The bytes of a client's key are wiped as soon as
//! they are read. Used by [`http`](crate::http). Threats: a key that fits no certificate, and fails at the far end without a
//! reason; a client's certificate that anybody on the way can read.

use std::fmt;
use std::sync::Arc;

use kms_attestation::refusal::sanitise;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize as _;

use crate::refusal::{LedgerCode, LedgerRefusal};

/// Whom a client believes to be a server, and as whom it shows itself.
#[derive(Debug, Default)]
pub struct Trust {
    /// Roots of servers, beside those of the web.
    pub roots: Vec<CertificateDer<'static>>,
    /// The certificate of the client, for servers that ask for one.
    pub identity: Option<Identity>,
}

/// A certificate chain, leaf first, with a key that fits.
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// The chain, leaf first, and the leaf's key, whose bytes are wiped. Refused with `log-client-invalid` if one of them is
    /// unusable, or if the key is another's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        mut key: PrivateKeyDer<'static>,
    ) -> Result<Self, LedgerRefusal> {
        let signing = any_supported_type(&key);
        key.zeroize();
        let refused = |error: &rustls::Error| {
            let expected = "a certificate, its chain, and the private key of the first";
            LedgerRefusal::new(LedgerCode::LogClient, sanitise(&mismatch(error)), expected)
        };
        let certified = CertifiedKey::new(chain, signing.map_err(|error| refused(&error))?);
        // All that ring signs with has a public key to compare: "unknown" would be a key that nobody checked.
        certified.keys_match().map_err(|error| refused(&error))?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A certificate comes with its key: nothing of it is shown.
        f.write_str("Identity")
    }
}

fn mismatch(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "a key that is not the certificate's".to_owned(),
        rustls::Error::NoCertificatesPresented => "no certificate".to_owned(),
        other => other.to_string(),
    }
}

/// How a client speaks TLS. Refused with `log-source-invalid` if a root is unusable.
pub(crate) fn tls(trust: Trust) -> Result<ClientConfig, LedgerRefusal> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in trust.roots {
        roots.add(root).map_err(|error| unusable(&error))?;
    }
    // The provider is named here: another crate in the process must not be able to install one for us.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // Before TLS 1.3, a client's certificate crosses the network in the clear.
    let versions =
        if trust.identity.is_some() { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots);
    Ok(match trust.identity {
        None => builder.with_no_client_auth(),
        Some(Identity(certified)) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    })
}

fn unusable(error: &rustls::Error) -> LedgerRefusal {
    let found = sanitise(&error.to_string());
    LedgerRefusal::new(LedgerCode::LogSourceAddress, found, "certificates of servers' CAs")
}
