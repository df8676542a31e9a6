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

use super::admission::{Admission, ConnectionLimits, Gate};
use super::connection::{ClientKey, Connection};
use super::stream::Secured;
use super::tls::ALPN;
use crate::node::certificate::NodeCertificate;

/// How long the listener rests after the system refused it a connection: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When a connection ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTimes {
    /// The longest handshake.
    pub handshake: Duration,
    /// The longest time in which nothing is read or written.
    pub idle: Duration,
    /// The longest life, whatever happens on it.
    pub life: Duration,
}

/// Accepts for ever; ends when nobody takes the connections any more.
pub(crate) async fn accept(
    listener: TcpListener,
    certificates: watch::Receiver<Arc<NodeCertificate>>,
    limits: ConnectionLimits,
    times: ConnectionTimes,
    secured: mpsc::Sender<io::Result<Secured>>,
) {
    let gate = Gate::new(limits);
    while !secured.is_closed() {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some((admission, handshake_permit)) = gate.admit(peer.ip()) else {
            tracing::debug!(%peer, "no room for another connection");
            continue;
        };
        let certificate = Arc::clone(&certificates.borrow());
        let secured = secured.clone();
        tokio::spawn(async move {
            let handshake = timeout(times.handshake, secure(stream, peer, certificate));
            let outcome = handshake.await.unwrap_or(Err(HandshakeFault::Slow));
            drop(handshake_permit);
            match outcome {
                Ok((stream, connection)) => {
                    hand_over(&secured, stream, connection, admission, times).await;
                }
                Err(fault) => tracing::debug!(%peer, %fault, "handshake"),
            }
        });
    }
}

async fn hand_over(
    secured: &mpsc::Sender<io::Result<Secured>>,
    stream: TlsStream<TcpStream>,
    connection: Connection,
    admission: Admission,
    times: ConnectionTimes,
) {
    // Nobody takes it when the node shuts down: then it is closed.
    drop(secured.send(Ok(Secured::new(stream, connection, admission, times))).await);
}

/// Why a handshake came to nothing. For the log: the peer sees a closed connection or an alert.
#[derive(Debug, thiserror::Error)]
enum HandshakeFault {
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
