//! A man in the middle: ends the client's TLS with a certificate of its own, and passes on what is inside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::wire::{CORRECT, ClientCertificate, handshake};

/// A relay to a node. Ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    heard: Arc<AtomicU64>,
    work: JoinHandle<()>,
}

/// What a relay shows to clients.
pub struct Mask {
    /// The certificates, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: KeyPair,
}

impl Mask {
    /// A certificate that nobody vouches for.
    pub fn self_signed() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
        Self { chain: vec![certificate.der().clone()], key }
    }
}

impl Relay {
    /// Starts a relay to that node.
    pub async fn start(node: SocketAddr, mask: Mask) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(server_config(mask)));
        let heard = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&heard);
        let work = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move { pass_on(acceptor, stream, node, &counted).await });
            }
        });
        Self { address, heard, work }
    }

    /// How many bytes clients have sent within TLS.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn pass_on(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    node: SocketAddr,
    heard: &AtomicU64,
) -> std::io::Result<()> {
    let client = acceptor.accept(stream).await?;
    let tcp = TcpStream::connect(node).await?;
    let node = handshake(tcp, &ClientCertificate::fresh(), &CORRECT).await?;
    let ((mut from_client, mut to_client), (mut from_node, mut to_node)) =
        (tokio::io::split(client), tokio::io::split(node));
    let upstream = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_node.shutdown().await;
            }
            heard.fetch_add(read as u64, Ordering::SeqCst);
            to_node.write_all(&buffer[..read]).await?;
        }
    };
    let downstream = async { copy(&mut from_node, &mut to_client).await.map(drop) };
    tokio::try_join!(upstream, downstream).map(drop)
}

fn server_config(mask: Mask) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(mask.key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(mask.chain, key.into())
        .expect("a key that fits");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
