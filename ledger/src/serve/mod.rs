//! Serves a log's folder over HTTP/1.1, read-only, and nothing else of the disk.
//!
//! A request names a [`LogPath`](crate::LogPath), or there is no answer: no text from the wire becomes part of a file's name. Blobs may be
//! withheld, or served on a listener of their own to those with a client certificate. What is served needs no trust: readers
//! check it. Called by `kms-node` and `kmsctl`. Threats: a request for another file; many, slow or idle connections.

mod answer;
mod listen;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

pub(crate) use self::answer::{Reply, reply};
pub(crate) use self::listen::listen;
pub use self::tls::{ServerTls, auditors_only};

/// Whether blobs are among the files that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blobs {
    /// Whoever may connect may read the evidence too.
    Served,
    /// Checkpoint, tiles and entries only.
    Withheld,
}

/// Serves the log in a folder, until the future is dropped. Without `tls` it is plain HTTP, for public logs behind a proxy.
pub async fn serve_log(listener: TcpListener, tls: Option<ServerTls>, folder: PathBuf, blobs: Blobs) {
    let folder = Arc::new(folder);
    let answer = move |request| {
        let folder = Arc::clone(&folder);
        async move { answer::answer(&folder, blobs, &request).await }
    };
    listen(listener, tls, answer).await;
}

#[cfg(test)]
mod tests;
