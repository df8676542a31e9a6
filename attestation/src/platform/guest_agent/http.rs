//! One HTTP/1 request over a unix socket (RFC 9112), its answer bounded.
//!
//! One connection serves one request: the agent makes one quote at a time anyway, and nothing of an answer can
//! leak into the next one. The caller bounds the time; dropping the future closes the connection.

use std::path::Path;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::MAX_ANSWER_BYTES;
use crate::platform::PlatformError;

/// Posts JSON to a method's path. Any status is an answer; what is not HTTP or too large is an error.
pub(super) async fn post(
    socket: &Path,
    method: &'static str,
    json: String,
) -> Result<(StatusCode, Bytes), PlatformError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| PlatformError::AgentUnreachable { socket: socket.to_owned(), source })?;
    let broken = |error: hyper::Error| unreadable(socket, method, error.into());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with this function, also when that is dropped: nothing keeps the connection.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request(method, json)).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    Ok((status, body.map_err(|error| unreadable(socket, method, error))?.to_bytes()))
}

fn request(method: &'static str, json: String) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(json)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(method);
    // HTTP/1.1 demands a host; on a unix socket it means nothing.
    request.headers_mut().insert(HOST, HeaderValue::from_static("dstack"));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

fn unreadable(
    socket: &Path,
    method: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> PlatformError {
    let socket = socket.to_owned();
    if source.is::<LengthLimitError>() {
        return PlatformError::AgentAnswerTooLarge { socket, method };
    }
    PlatformError::AgentProtocol { socket, method, source }
}
