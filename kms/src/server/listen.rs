//! From a TCP listener to connections that tonic serves: admitted, within time, TLS 1.3, `h2`.
//!
//! Each handshake runs by itself, so that a slow one holds up nobody. One that fails is a line in the log and nothing
//! to the others. Threats: slow loris, floods of connections, callers that speak something else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kms_attestation::binding::EXPORTER_LABEL;
use kms_attestation::ids::TlsExporter;
use kms_attestation::ratls::subject_public_key_info;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::{Admission, Gate, HandshakePlace};
use super::connection::{ClientKey, Connection};
use super::stream::Secured;
use super::tls::ALPN;
use crate::metrics::Metrics;
use crate::node::certificate::NodeCertificate;

/// How long the listener rests after the system refused it a connection: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When a connection ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTimes {
    /// The longest handshake.
    pub handshake: Duration,
    /// The longest time without a request in hand.
    pub idle: Duration,
    /// The longest life, whatever happens on it.
    pub life: Duration,
}

/// Where connections come in.
pub(crate) struct Entrance {
    /// How many.
    pub(crate) gate: Arc<Gate>,
    /// How long.
    pub(crate) times: ConnectionTimes,
    /// What they are shown.
    pub(crate) certificates: watch::Receiver<Arc<NodeCertificate>>,
    /// Where those that come to nothing are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Who takes those whose handshake is done.
    pub(crate) secured: mpsc::Sender<io::Result<Secured>>,
}

impl Entrance {
    /// Accepts for ever; ends when nobody takes the connections any more.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let entrance = Arc::new(self);
        while !entrance.secured.is_closed() {
            let Ok((stream, peer)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            match entrance.gate.admit(peer.ip()) {
                Ok(places) => {
                    tokio::spawn(Arc::clone(&entrance).let_in(stream, peer, places));
                }
                Err(crowded) => {
                    entrance.metrics.connection_refused(crowded);
                    tracing::debug!(%peer, limit = crowded.key(), "no room for another connection");
                }
            }
        }
    }

    async fn let_in(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        (admission, place): (Admission, HandshakePlace),
    ) {
        let certificate = Arc::clone(&self.certificates.borrow());
        let handshake = timeout(self.times.handshake, secure(stream, peer, certificate));
        let outcome = handshake.await.unwrap_or(Err(HandshakeFault::Slow));
        drop(place);
        match outcome {
            Ok((stream, connection)) => {
                let secured = Secured::new(stream, connection, admission, self.times);
                // Nobody takes it when the node shuts down: then it is closed.
                drop(self.secured.send(Ok(secured)).await);
            }
            Err(fault) => {
                self.metrics.handshake_failed(&fault);
                tracing::debug!(%peer, %fault, "handshake");
            }
        }
    }
}

/// Why a handshake came to nothing. For the log: the peer sees a closed connection or an alert.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    #[error("not done in time")]
    Slow,
    #[error("{0}")]
    Tls(#[from] io::Error),
    #[error("another protocol than h2")]
    Alpn,
    #[error("a client certificate that cannot be read")]
    ClientCertificate,
    #[error("no exporter")]
    Exporter,
}

impl HandshakeFault {
    /// Every kind's name.
    pub(crate) const NAMES: [&'static str; 5] = ["slow", "tls", "alpn", "client-certificate", "exporter"];

    /// The kind's name, for metrics.
    pub(crate) const fn name(&self) -> &'static str {
        let [slow, tls, alpn, client_certificate, exporter] = Self::NAMES;
        match self {
            Self::Slow => slow,
            Self::Tls(_) => tls,
            Self::Alpn => alpn,
            Self::ClientCertificate => client_certificate,
            Self::Exporter => exporter,
        }
    }
}

async fn secure(
    stream: TcpStream,
    peer: SocketAddr,
    certificate: Arc<NodeCertificate>,
) -> Result<(TlsStream<TcpStream>, Connection), HandshakeFault> {
    stream.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(certificate.tls());
    let stream = acceptor.accept(stream).await?;
    let (_, tls) = stream.get_ref();
    if tls.alpn_protocol() != Some(ALPN) {
        return Err(HandshakeFault::Alpn);
    }
    let client = match tls.peer_certificates() {
        Some([leaf]) => {
            let spki = subject_public_key_info(leaf).map_err(|_| HandshakeFault::ClientCertificate)?;
            Some(ClientKey::new(spki))
        }
        Some(_) => return Err(HandshakeFault::ClientCertificate),
        None => None,
    };
    let exporter = tls.export_keying_material([0; 32], EXPORTER_LABEL.as_bytes(), None);
    let exporter = TlsExporter(exporter.map_err(|_| HandshakeFault::Exporter)?);
    Ok((stream, Connection::new(peer, client, certificate, exporter)))
}
