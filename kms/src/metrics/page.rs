//! `GET /metrics` over plain HTTP/1.1, in the text format of Prometheus, `OpenMetrics` 1.0.0.
//!
//! Serves that one page and nothing else, to a handful of readers at a time, each for a few seconds. Reads no body, keeps no
//! connection. Meant for a loopback address or a private network: it asks for no password. Threat: a reader that holds
//! connections, sends slowly, or sends without end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Readers at once: one Prometheus server, its twin, a person.
const MAX_CONNECTIONS: usize = 8;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may last.
const LIFE: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long the listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The one page.
const PATH: &str = "/metrics";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves for ever. A reader for whom there is no room is turned away.
pub(crate) async fn serve(listener: TcpListener, registry: Registry) {
    let (places, registry) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Arc::new(registry));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            // It ends by itself or by its time; what a reader did not get it will ask for again.
            drop(timeout(LIFE, exchange(stream, &registry)).await);
            drop(place);
        });
    }
}

/// One request and its answer.
async fn exchange(stream: TcpStream, registry: &Registry) -> hyper::Result<()> {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(registry, &request)));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer<B>(registry: &Registry, request: &Request<B>) -> Response<Full<Bytes>> {
    match (request.uri().path(), request.method()) {
        (PATH, &Method::GET) => page(registry),
        (PATH, _) => {
            let mut refused = only(StatusCode::METHOD_NOT_ALLOWED);
            refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
            refused
        }
        _ => only(StatusCode::NOT_FOUND),
    }
}

fn page(registry: &Registry) -> Response<Full<Bytes>> {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        // Writing to a String cannot fail.
        return only(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let mut response = Response::new(Full::from(text));
    let form = hyper::header::HeaderValue::from_static(OPEN_METRICS);
    response.headers_mut().insert(CONTENT_TYPE, form);
    response
}

/// A status without a word.
fn only(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn served() -> SocketAddr {
        let mut registry = Registry::with_prefix("x");
        registry.register("y", "Something", Counter::<u64>::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, registry));
        address
    }

    async fn ask(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn page__should_be_served_to_get_at_one_path_alone() {
        let address = served().await;
        let page = ask(address, "GET /metrics HTTP/1.1").await;
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("x_y_total 0\n# EOF\n"), "{page}");
        assert!(page.to_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"));
        for (head, status) in [
            ("GET / HTTP/1.1", "404"),
            ("GET /metrics/ HTTP/1.1", "404"),
            ("POST /metrics HTTP/1.1\r\ncontent-length: 0", "405"),
            ("DELETE /metrics HTTP/1.1", "405"),
        ] {
            let answer = ask(address, head).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        }
        assert!(
            !ask(address, &format!("GET /metrics?{} HTTP/1.1", "a".repeat(40_000))).await.contains("200 OK")
        );
    }

    #[tokio::test]
    async fn page__should_be_there_again_when_silent_readers_had_their_time() {
        let address = served().await;
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /metrics").await.unwrap();
            silent.push(stream);
        }
        let begin = std::time::Instant::now();
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert!(matches!(refused.read(&mut [0]).await, Ok(0) | Err(_)), "no room for a ninth");
        for stream in &mut silent {
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
        assert!(begin.elapsed() < HEAD_TIMEOUT * 2, "{:?}", begin.elapsed());
        assert!(ask(address, "GET /metrics HTTP/1.1").await.contains("200 OK"));
    }
}
