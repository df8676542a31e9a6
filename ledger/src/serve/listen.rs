//! Connections: how many, for how long, and how long each may keep silent.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{Reply, ServerTls};

/// The most connections at once; others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request's head may take to arrive, and how long a connection may be idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is used before it takes no more requests.
const CONNECTION_TIME: Duration = Duration::from_mins(5);
/// How long its last answer may take then: the largest blob at 140 KiB/s.
const LAST_ANSWER_TIME: Duration = Duration::from_mins(1);
/// How long to wait when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Answers every request on every connection, until the future is dropped.
pub(crate) async fn listen<A, F>(listener: TcpListener, tls: Option<ServerTls>, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, answer) = (tls.clone(), answer.clone());
        connections.spawn(async move {
            connection(stream, tls, answer).await;
            drop(place);
        });
    }
}

async fn connection<A, F>(stream: TcpStream, tls: Option<ServerTls>, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    match tls {
        None => exchange(stream, answer).await,
        Some(ServerTls(config)) => {
            // Who is not let in is not told why: the handshake's alert is all there is.
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await
            {
                exchange(stream, answer).await;
            }
        }
    }
}

async fn exchange<I, A, F>(io: I, answer: A)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let service = service_fn(move |request| {
        let reply = answer(request);
        async move { Ok::<_, std::convert::Infallible>(reply.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    // How a connection ends is the client's business.
    if timeout(CONNECTION_TIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER_TIME, connection).await;
    }
}
