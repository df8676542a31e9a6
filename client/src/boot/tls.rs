//! One TLS connection to a node: version 1.3, `h2`, a fresh P-256 key in a certificate of its own.
//!
//! The server's certificate is taken for its key: the handshake proves that the node holds it, and the quote that is
//! bound to it says what the node is (module `node`). Until then the connection is worth nothing, and nothing is sent
//! on it but a nonce.

use std::sync::Arc;

use kms_attestation::binding::EXPORTER_LABEL;
use kms_attestation::ids::{SpkiHash, TlsExporter};
use kms_attestation::ratls::subject_public_key_info;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::BootError;

/// The largest certificate of a node, in bytes: it carries a quote and an event log.
const MAX_CERTIFICATE_BYTES: usize = 1024 * 1024;
/// The name in the handshake. Nobody is identified by it.
const SERVER_NAME: &str = "kms.invalid";

/// What a session on a connection is bound to.
pub(super) struct Connection {
    /// The node's certificates, leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The node's leaf key, SubjectPublicKeyInfo in DER.
    pub(super) node_spki: Vec<u8>,
    /// This client's leaf key.
    pub(super) own_spki: SpkiHash,
    /// The TLS exporter.
    pub(super) exporter: TlsExporter,
}

/// Connects to `host:port`.
pub(super) async fn connect(node: &str) -> Result<(TlsStream<TcpStream>, Connection), BootError> {
    let unreachable = |error: std::io::Error| BootError::unreachable(node, error);
    let key =
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| unfit("no key could be made"))?;
    let own_spki = SpkiHash::of(&key.subject_public_key_info());
    let config = config(&key)?;
    let tcp = TcpStream::connect(node).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|_| unfit("no server name"))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(unreachable)?;
    let (_, tls) = stream.get_ref();
    let chain: Vec<_> =
        tls.peer_certificates().unwrap_or_default().iter().map(|der| der.clone().into_owned()).collect();
    if tls.alpn_protocol() != Some(b"h2") {
        return Err(BootError::unreachable(node, "it does not speak h2"));
    }
    let leaf = chain.first().ok_or(BootError::Answer { what: "certificate" })?;
    let node_spki = subject_public_key_info(leaf).map_err(BootError::Node)?;
    let exporter = tls.export_keying_material([0; 32], EXPORTER_LABEL.as_bytes(), None);
    let exporter = TlsExporter(exporter.map_err(|_| unfit("no TLS exporter"))?);
    Ok((stream, Connection { chain, node_spki, own_spki, exporter }))
}

fn unfit(what: &'static str) -> BootError {
    BootError::Guest { what }
}

fn config(key: &KeyPair) -> Result<ClientConfig, BootError> {
    let failed = |_| unfit("TLS cannot be set up");
    let certificate =
        CertificateParams::default().self_signed(key).map_err(|_| unfit("no certificate could be made"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyKeyHolder { provider: Arc::clone(&provider) });
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![certificate.der().clone()], key.into())
        .map_err(failed)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// Takes any certificate whose key the peer holds.
#[derive(Debug)]
struct AnyKeyHolder {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyKeyHolder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if end_entity.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
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
