//! A witness over HTTP/1.1.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::request::MAX_REQUEST_BYTES;
use super::watch::{Verdict, Witness};
use crate::note::LogSigner;
use crate::serve::{Reply, ServerTls, listen, reply};

/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const SIZE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");

/// Answers `POST /add-checkpoint`, until the future is dropped.
pub async fn serve_witness<S: LogSigner + 'static>(
    listener: TcpListener,
    tls: Option<ServerTls>,
    witness: Arc<Witness<S>>,
) {
    let answer = move |request| {
        let witness = Arc::clone(&witness);
        async move { answer(witness, request).await }
    };
    listen(listener, tls, answer).await;
}

async fn answer<S: LogSigner + 'static>(witness: Arc<Witness<S>>, request: Request<Incoming>) -> Reply {
    if request.uri().path() != "/add-checkpoint" {
        return reply(StatusCode::NOT_FOUND, TEXT, "only add-checkpoint\n");
    }
    if request.method() != Method::POST {
        return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "POST only\n");
    }
    let body =
        match timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return reply(StatusCode::PAYLOAD_TOO_LARGE, TEXT, "too long or broken off\n"),
            Err(_) => return reply(StatusCode::REQUEST_TIMEOUT, TEXT, "too slow\n"),
        };
    // Signatures and the disk: not on the threads that wait for the network.
    let verdict = spawn_blocking(move || decide(&witness, &body)).await.unwrap_or(Verdict::Failed);
    reply_to(&verdict)
}

fn decide<S: LogSigner>(witness: &Witness<S>, body: &Bytes) -> Verdict {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    witness.add_checkpoint(body, now.as_secs())
}

fn reply_to(verdict: &Verdict) -> Reply {
    match verdict {
        Verdict::Cosigned(signature) => reply(StatusCode::OK, TEXT, signature.encode()),
        Verdict::Conflict(size) => reply(StatusCode::CONFLICT, SIZE, format!("{size}\n")),
        Verdict::Malformed => reply(StatusCode::BAD_REQUEST, TEXT, "not an add-checkpoint request\n"),
        Verdict::UnknownLog => reply(StatusCode::NOT_FOUND, TEXT, "not a log of this witness\n"),
        Verdict::Unsigned => reply(StatusCode::FORBIDDEN, TEXT, "not signed by the log\n"),
        Verdict::Inconsistent => reply(StatusCode::UNPROCESSABLE_ENTITY, TEXT, "the proof does not verify\n"),
        Verdict::Failed => {
            reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "not remembered, so not cosigned\n")
        }
    }
}
