//! The answer to one request for a file of a log.

use std::io;
use std::path::Path;

use futures_util::stream::try_unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::Blobs;
use crate::path::{LogPath, MAX_PATH_BYTES};

/// An answer: short, or a file as it is read.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// How much of a file is in memory for a connection, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

pub(super) async fn answer<B>(folder: &Path, blobs: Blobs, request: &Request<B>) -> Reply {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut reply = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "read only\n");
        reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return reply;
    }
    let wanted = request.uri().path_and_query().map_or("", |path| path.as_str());
    if wanted.len() > MAX_PATH_BYTES + 1 {
        return reply(StatusCode::URI_TOO_LONG, TEXT, "no path of a log is as long\n");
    }
    let path =
        wanted.strip_prefix('/').and_then(|path| path.parse().ok()).filter(|path| offered(*path, blobs));
    let Some(path) = path else { return not_found() };
    match open(folder, path).await {
        Ok((file, len)) => file_reply(request.method(), path, file, len),
        Err(error) if error.kind() == io::ErrorKind::NotFound => not_found(),
        Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "unreadable\n"),
    }
}

/// A short answer.
pub(crate) fn reply(status: StatusCode, kind: HeaderValue, text: impl Into<Bytes>) -> Reply {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed_unsync();
    with_headers(
        Response::new(body),
        status,
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, NO_CACHE)],
    )
}

fn not_found() -> Reply {
    reply(StatusCode::NOT_FOUND, TEXT, "not found\n")
}

fn offered(path: LogPath, blobs: Blobs) -> bool {
    blobs == Blobs::Served || !matches!(path, LogPath::Blob(_))
}

async fn open(folder: &Path, path: LogPath) -> io::Result<(File, u64)> {
    let file = File::open(folder.join(path.to_string())).await?;
    let metadata = file.metadata().await?;
    let fits = usize::try_from(metadata.len()).is_ok_and(|len| len <= path.max_bytes());
    if metadata.is_file() && fits {
        Ok((file, metadata.len()))
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn file_reply(method: &Method, path: LogPath, file: File, len: u64) -> Reply {
    // An answer to HEAD says how long the file is, and sends nothing of it.
    let left = if method == Method::HEAD { 0 } else { len };
    let chunks = try_unfold((file, left), |(mut file, left)| async move {
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES))];
        if chunk.is_empty() {
            return Ok(None);
        }
        file.read_exact(&mut chunk).await?;
        let left = left.saturating_sub(chunk.len() as u64);
        Ok(Some((Frame::data(Bytes::from(chunk)), (file, left))))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(path.content_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static(path.cache_control())),
        (header::CONTENT_LENGTH, HeaderValue::from(len)),
    ];
    with_headers(Response::new(StreamBody::new(chunks).boxed_unsync()), StatusCode::OK, headers)
}

fn with_headers<const N: usize>(
    mut reply: Reply,
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
) -> Reply {
    *reply.status_mut() = status;
    reply.headers_mut().extend(headers);
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    reply
}
