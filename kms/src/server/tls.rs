//! TLS as the node speaks it: version 1.3 alone, with ring, no resumption, no early data, ALPN `h2`.
//!
//! A client's certificate is a carrier for its key: it is self-signed, made for this connection, and nobody vouches for
//! it. The handshake proves that the client holds the key; what the key belongs to is proven by the quote that is bound
//! to it. So every certificate with a P-256 key is taken, and none is believed in anything else.
//!
//! Threats: a downgrade, a session that outlives its attestation, a key that the client does not hold.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, ServerConfig,
    SignatureScheme,
};

/// The protocol inside: gRPC is HTTP/2.
pub(super) const ALPN: &[u8] = b"h2";
/// The largest client certificate, in bytes. One without evidence has some 400.
const MAX_CLIENT_CERTIFICATE_BYTES: usize = 16 * 1024;

/// The configuration for connections that the given certificate serves.
pub(crate) fn server_config(certified: Arc<CertifiedKey>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyKeyHolder { provider: Arc::clone(&provider) });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would have no client certificate of its own, and another exporter than the one attested.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Takes any certificate whose key the client holds; asks for one, and does without.
#[derive(Debug)]
struct AnyKeyHolder {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyKeyHolder {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.len() > MAX_CLIENT_CERTIFICATE_BYTES || !intermediates.is_empty() {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerMisbehaved::SelectedUnofferedCipherSuite.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
