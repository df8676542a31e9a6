//! An object store that speaks S3: `s3s-fs`, a server that others wrote, with its objects as files in a folder.
//!
//! It checks signatures. As in a bucket with a public policy, anybody may read an object, and only who has the key may list,
//! write or remove. In front of it, on demand, what goes wrong between a client and a store. Used by the tests of mirrors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// The bucket that is there.
pub const BUCKET: &str = "mirrors";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 500, and nothing is done.
    Internal,
    /// 503 `SlowDown`, and nothing is done: the store throttles.
    SlowDown,
    /// The answer comes later.
    Late(Duration),
    /// The connection ends, and nothing is done.
    Cut,
    /// It is done, and the connection ends before the answer.
    CutAfter,
}

/// What was asked, and what goes wrong.
#[derive(Default)]
struct Script {
    /// Each request: its method and path.
    asked: Vec<String>,
    /// Of so many requests one gets the next of these.
    every: usize,
    faults: Vec<Fault>,
    next: usize,
}

impl Script {
    fn ask(&mut self, request: &Request<Incoming>) -> Option<Fault> {
        self.asked.push(format!("{} {}", request.method(), request.uri().path()));
        if self.faults.is_empty() || !self.asked.len().is_multiple_of(self.every) {
            return None;
        }
        self.next += 1;
        self.faults.get((self.next - 1) % self.faults.len()).copied()
    }
}

/// Anybody reads objects; the rest needs the key.
struct PublicRead;

#[async_trait]
impl S3Access for PublicRead {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_some() || context.s3_op().name() == "GetObject" {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Signature is required"))
    }
}

/// A store. Ends when it is dropped.
pub struct S3 {
    folder: TempDir,
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    runtime: Option<Runtime>,
}

impl S3 {
    /// Starts one with an empty bucket.
    #[allow(clippy::new_without_default, reason = "it starts a server")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).expect("a file system"));
        builder.set_auth(SimpleAuth::from_single("an-access-key", "a-secret-key"));
        builder.set_access(PublicRead);
        let (service, script) = (builder.build(), Arc::<Mutex<Script>>::default());
        // Its own threads: tests that are not asynchronous use it too.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(serve(listener, service, Arc::clone(&script)));
        Self { folder, address, script, runtime: Some(runtime) }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The objects below a prefix, as files.
    pub fn objects(&self, prefix: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(prefix)
    }

    /// Where all its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The variables of a client that may write.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ACCESS_KEY_ID", "an-access-key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-key".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.url()),
        ]
    }

    /// From now on, of so many requests one gets the next of these faults, round and round.
    pub fn fail_every(&self, every: usize, faults: &[Fault]) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        (script.every, script.faults, script.next) = (every, faults.to_vec(), 0);
    }

    /// What was asked since the last time that this was called.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner).asked)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // Not waited for: it may be dropped within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: std::net::TcpListener, service: S3Service, script: Arc<Mutex<Script>>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        let (service, script) = (service.clone(), Arc::clone(&script));
        let answer = service_fn(move |request: Request<Incoming>| {
            let fault = script.lock().unwrap_or_else(PoisonError::into_inner).ask(&request);
            answer(service.clone(), request, fault)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

/// An error ends the connection.
async fn answer(
    service: S3Service,
    request: Request<Incoming>,
    fault: Option<Fault>,
) -> Result<Response<Body>, s3s::HttpError> {
    let request = request.map(Body::from);
    let cut = || Err(s3s::HttpError::new("cut".into()));
    match fault {
        None => service.call(request).await,
        Some(Fault::Late(by)) => {
            tokio::time::sleep(by).await;
            service.call(request).await
        }
        Some(Fault::Cut) => cut(),
        Some(Fault::CutAfter) => {
            service.call(request).await?;
            cut()
        }
        Some(Fault::Internal) => Ok(failed(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
        Some(Fault::SlowDown) => Ok(failed(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
    }
}

fn failed(status: StatusCode, code: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}
