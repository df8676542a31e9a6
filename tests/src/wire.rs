//! A client that is written by hand: it can do what the protocol allows, and what it does not.
//!
//! Shares no code with `kms-client` beyond the formats of the protocol: the two check each other.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kms_attestation::binding::EXPORTER_LABEL;
use kms_attestation::ids::{Nonce, SpkiHash, TlsExporter};
use kms_attestation::ratls::subject_public_key_info;
use kms_attestation::{Role, SessionBinding};
use kms_proto::v1::boot_client::BootClient;
use kms_proto::v1::public_client::PublicClient;
use kms_proto::v1::{ChallengeRequest, ChallengeResponse, GetAppKeysRequest, GetAppKeysResponse};
use kms_simulator::cvm::Cvm;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;
use tower::service_fn;

use crate::guest;

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// The longest that any call of a test may take.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// The refusal where anvil has mined between two of its steps, and proves the state of the next block: an unlucky moment,
/// in which a guest asks again.
pub const UNLUCKY_MOMENT: &str = "proof-node-missing";
/// How often a guest has such bad luck before it is none.
const UNLUCKY: usize = 3;

/// What a client shows in the handshake.
pub enum ClientCertificate {
    /// Nothing.
    None,
    /// A certificate over this key.
    Of(Box<KeyPair>),
}

impl ClientCertificate {
    /// A certificate over a new key.
    pub fn fresh() -> Self {
        Self::Of(Box::new(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key")))
    }

    fn spki_hash(&self) -> Option<SpkiHash> {
        let Self::Of(key) = self else { return None };
        Some(SpkiHash::of(&key.subject_public_key_info()))
    }
}

/// How a client speaks TLS.
pub struct Speech<'a> {
    /// The versions it offers.
    pub versions: &'a [&'static SupportedProtocolVersion],
    /// The protocols it offers within.
    pub alpn: &'a [&'a [u8]],
}

/// As the protocol asks for.
pub const CORRECT: Speech<'static> = Speech { versions: &[&rustls::version::TLS13], alpn: &[b"h2"] };

/// A connection to a node.
pub struct Wire {
    channel: Channel,
    /// The `Boot` service.
    pub boot: BootClient<Channel>,
    /// The `Public` service.
    pub public: PublicClient<Channel>,
    /// The certificates that the node showed, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// What sessions on this connection are bound to.
    pub ends: Ends,
}

/// What sessions on a connection are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// This client's key; zeros where it has none.
    pub own_spki: SpkiHash,
    /// The node's key.
    pub node_spki: SpkiHash,
    /// The TLS exporter.
    pub exporter: TlsExporter,
}

/// An open challenge: both nonces, and what the node showed.
pub struct Opened {
    /// Chosen by this client.
    pub client_nonce: Nonce,
    /// Chosen by the node.
    pub server_nonce: Nonce,
    /// The node's answer.
    pub response: ChallengeResponse,
}

impl Wire {
    /// Connects with a fresh key.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, &ClientCertificate::fresh()).await
    }

    /// Connects with that certificate.
    pub async fn connect_as(address: SocketAddr, certificate: &ClientCertificate) -> Self {
        Self::try_connect(address, certificate).await.expect("a connection")
    }

    /// Connects, or not.
    pub async fn try_connect(address: SocketAddr, certificate: &ClientCertificate) -> std::io::Result<Self> {
        let stream = handshake(TcpStream::connect(address).await?, certificate, &CORRECT).await?;
        let (_, tls) = stream.get_ref();
        let chain: Vec<_> =
            tls.peer_certificates().unwrap_or_default().iter().map(|der| der.clone().into_owned()).collect();
        let exporter = tls.export_keying_material([0; 32], EXPORTER_LABEL.as_bytes(), None);
        let node_spki = subject_public_key_info(&chain[0]).expect("a certificate with a key");
        let ends = Ends {
            own_spki: certificate.spki_hash().unwrap_or(SpkiHash::ZERO),
            node_spki: SpkiHash::of(&node_spki),
            exporter: TlsExporter(exporter.expect("an exporter")),
        };
        let channel = channel(stream).await?;
        let boot = BootClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let public = PublicClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { channel, boot, public, chain, ends })
    }

    /// The connection, for other services.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Opens a challenge with a random nonce.
    pub async fn challenge(&mut self) -> Result<Opened, Status> {
        self.challenge_with(ChallengeRequest { client_nonce: random().to_vec(), fresh: false }).await
    }

    /// Opens a challenge with that request.
    pub async fn challenge_with(&mut self, request: ChallengeRequest) -> Result<Opened, Status> {
        let client_nonce = Nonce::try_from(&request.client_nonce[..]);
        let response = self.boot.challenge(request).await?.into_inner();
        let server_nonce = Nonce::try_from(&response.server_nonce[..]).expect("a nonce of 32 bytes");
        Ok(Opened { client_nonce: client_nonce.expect("a nonce that the node took"), server_nonce, response })
    }

    /// Sends evidence.
    pub async fn keys(&mut self, request: GetAppKeysRequest) -> Result<GetAppKeysResponse, Status> {
        self.boot.get_app_keys(request).await.map(tonic::Response::into_inner)
    }

    /// As an honest guest asks: a challenge, a quote for it, the keys.
    pub async fn boot_as(&mut self, cvm: &Cvm) -> Result<GetAppKeysResponse, Status> {
        self.boot_with(|wire, opened| guest::evidence(cvm, &wire.ends.app_binding(opened))).await
    }

    /// A challenge, and what is made of it; again where the moment was unlucky.
    pub async fn boot_with(
        &mut self,
        evidence: impl Fn(&Self, &Opened) -> GetAppKeysRequest,
    ) -> Result<GetAppKeysResponse, Status> {
        let mut answer = Err(Status::unknown("not asked"));
        for _ in 0..UNLUCKY {
            let opened = self.challenge().await?;
            let request = evidence(self, &opened);
            answer = self.keys(request).await;
            if !matches!(&answer, Err(status) if is_unlucky(status)) {
                break;
            }
        }
        answer
    }
}

impl Ends {
    /// What a guest's quote must be bound to.
    pub fn app_binding(&self, opened: &Opened) -> SessionBinding {
        SessionBinding {
            role: Role::App,
            peer_nonce: opened.server_nonce,
            own_nonce: opened.client_nonce,
            own_spki: self.own_spki,
            peer_spki: self.node_spki,
            exporter: self.exporter,
        }
    }
}

/// A refusal as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: String,
    /// What the node found.
    pub found: String,
    /// What fixes it.
    pub fix: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The gRPC code.
    pub grpc: tonic::Code,
}

/// The refusal that an answer is; anything else fails the test.
pub fn refusal<T>(answer: Result<T, Status>) -> Refusal {
    let Err(status) = answer else { panic!("an answer where a refusal was expected") };
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("a status without a code: {status:?}"));
    assert_eq!(info.domain, "onchain-kms");
    Refusal {
        code: info.reason.clone(),
        found: info.metadata["found"].clone(),
        fix: info.metadata["fix"].clone(),
        retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        grpc: status.code(),
    }
}

fn is_unlucky(status: &Status) -> bool {
    status.get_error_details().error_info().is_some_and(|info| info.reason == UNLUCKY_MOMENT)
}

/// The answer; a refusal fails the test with its words.
pub fn granted<T>(answer: Result<T, Status>) -> T {
    answer.unwrap_or_else(|status| panic!("refused: {:?}", refusal::<()>(Err(status))))
}

/// 32 random bytes.
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("randomness");
    bytes
}

/// A TCP connection from an address of this machine, so that one machine can be many callers.
pub async fn dial_from(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// A TLS handshake over a connection.
pub async fn handshake(
    tcp: TcpStream,
    certificate: &ClientCertificate,
    speech: &Speech<'_>,
) -> std::io::Result<TlsStream<TcpStream>> {
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("kms.test").expect("a name");
    TlsConnector::from(Arc::new(client_config(certificate, speech))).connect(name, tcp).await
}

async fn channel(stream: TlsStream<TcpStream>) -> std::io::Result<Channel> {
    let only = Mutex::new(Some(stream));
    let connector = service_fn(move |_| {
        let stream = only.lock().expect("a lock").take();
        async move { stream.map(TokioIo::new).ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static("http://kms.test").timeout(CALL_TIMEOUT);
    endpoint.connect_with_connector(connector).await.map_err(std::io::Error::other)
}

fn client_config(certificate: &ClientCertificate, speech: &Speech<'_>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyServer { provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(speech.versions)
        .expect("versions that ring knows")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificate {
        ClientCertificate::None => builder.with_no_client_auth(),
        ClientCertificate::Of(key) => {
            let certificate = CertificateParams::default().self_signed(&**key).expect("a certificate");
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            builder
                .with_client_auth_cert(vec![certificate.der().clone()], key.into())
                .expect("a key that fits")
        }
    };
    config.alpn_protocols = speech.alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// Takes any server: the tests say what they expect of it.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
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
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
