//! HTTP requests of readers, of nodes that ask witnesses, and of mirrors that write to object stores: bounded in time and size.
//!
//! HTTP/1.1 on hyper and rustls with ring. Redirects are not followed, nothing is decompressed. TLS hides what is asked and
//! shows who asks; what comes back is believed for its signatures and proofs alone. Threats: a server that hangs, floods, or
//! sends a reader elsewhere.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kms_attestation::refusal::sanitise;
use tokio::time::{sleep, timeout};

use crate::client_tls::tls;
pub use crate::client_tls::{Identity, Trust};
use crate::refusal::{LedgerCode, LedgerRefusal};

/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take, to its last byte: the largest blob at 300 KiB/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is made before its source counts as unavailable. All requests here may be repeated.
const TRIES: u32 = 3;
/// How long to wait before the second try, and twice as long before the third.
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// How long an unused connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How much a server may say of what it refuses, or does not have: object stores say it in XML.
const MAX_ERROR_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("onchain-kms/", env!("CARGO_PKG_VERSION")));
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// How far it came.
    pub reach: Reach,
    cause: String,
}

/// How far a request without an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// There was no connection: nothing was sent.
    Unconnected,
    /// The connection ended, before the answer did.
    Cut,
    /// The time was over, before the answer was.
    Late,
    /// The answer is larger than it can be.
    Flooded,
}

impl NoAnswer {
    fn new(reach: Reach, error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let cause = causes.last().map(ToString::to_string).unwrap_or_default();
        Self { reach, cause: sanitise(&cause) }
    }

    fn refusal(&self, url: &Uri, max: usize) -> LedgerRefusal {
        if self.reach == Reach::Flooded {
            let expected = format!("at most {max} bytes");
            return LedgerRefusal::new(LedgerCode::LogFileTooLarge, format!("more from {url}"), expected);
        }
        LedgerRefusal::new(LedgerCode::LogSource, format!("{url}: {self}"), "an answer")
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl Error for NoAnswer {}

/// A client.
#[derive(Debug, Clone)]
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// Refused with `log-source-invalid` if a certificate or key is unusable.
    pub fn new(trust: Trust) -> Result<Self, LedgerRefusal> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(trust)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .http1_max_headers(MAX_HEADERS)
            .build(connector);
        Ok(Self(client))
    }

    /// The answer to a GET.
    pub(crate) async fn get(&self, url: &Uri, max: usize) -> Result<Answer, LedgerRefusal> {
        self.send(&Method::GET, url, &Bytes::new(), max).await
    }

    /// The answer to a POST that may be repeated.
    pub(crate) async fn post(&self, url: &Uri, body: Vec<u8>, max: usize) -> Result<Answer, LedgerRefusal> {
        self.send(&Method::POST, url, &body.into(), max).await
    }

    async fn send(
        &self,
        method: &Method,
        url: &Uri,
        body: &Bytes,
        max: usize,
    ) -> Result<Answer, LedgerRefusal> {
        let mut wait = RETRY_WAIT;
        for _ in 1..TRIES {
            match self.send_once(method, url, body, max).await {
                Ok(answer) if !answer.status.is_server_error() => return Ok(answer),
                Err(refusal) if refusal.code != LedgerCode::LogSource => return Err(refusal),
                _ => sleep(wait).await,
            }
            wait *= 2;
        }
        self.send_once(method, url, body, max).await
    }

    async fn send_once(
        &self,
        method: &Method,
        url: &Uri,
        body: &Bytes,
        max: usize,
    ) -> Result<Answer, LedgerRefusal> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.clone();
        let answer = self.exchange(request, max).await.map_err(|none| none.refusal(url, max))?;
        Ok(Answer { status: answer.status(), body: answer.into_body() })
    }

    /// A request, made once, and its answer, whatever its status. The answer is read whole: at most `max` bytes,
    /// or, if it is an error, 16 KiB.
    pub async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        max: usize,
    ) -> Result<Response<Vec<u8>>, NoAnswer> {
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        request.headers_mut().insert(header::ACCEPT_ENCODING, IDENTITY);
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|error| {
                let reach = if error.is_connect() { Reach::Unconnected } else { Reach::Cut };
                NoAnswer::new(reach, &error)
            })?;
            let (head, body) = answer.into_parts();
            let max = if head.status.is_success() { max } else { max.max(MAX_ERROR_BYTES) };
            Ok(Response::from_parts(head, read(body, max).await?))
        };
        let late = |late| Err(NoAnswer::new(Reach::Late, &late));
        timeout(REQUEST_TIMEOUT, exchange).await.unwrap_or_else(late)
    }
}

/// An address with nothing after its path, which ends without a slash. Refused with `log-source-invalid`.
pub(crate) fn base(text: &str) -> Result<String, LedgerRefusal> {
    let url: Option<Uri> = text.parse().ok();
    let plain = url.filter(|url| {
        let web = matches!(url.scheme_str(), Some("http" | "https"));
        let named =
            url.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
        web && named && url.query().is_none() && !text.contains('#')
    });
    match plain {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err(LedgerRefusal::quoting(LedgerCode::LogSourceAddress, text, "https://<host>/<path>")),
    }
}

/// That an address is one over TLS, where a client shows who it is. Refused with `log-source-invalid`.
pub(crate) fn secure(base: &str) -> Result<(), LedgerRefusal> {
    let url: Option<Uri> = base.parse().ok();
    if url.is_some_and(|url| url.scheme_str() == Some("https")) {
        return Ok(());
    }
    let expected = "https://<host>/<path>: a client certificate is shown over TLS alone";
    Err(LedgerRefusal::quoting(LedgerCode::LogSourceAddress, base, expected))
}

/// A path below an address. Refused with `log-source-invalid`.
pub(crate) fn below(base: &str, path: &str) -> Result<Uri, LedgerRefusal> {
    let url = format!("{base}/{path}");
    url.parse()
        .map_err(|_| LedgerRefusal::quoting(LedgerCode::LogSourceAddress, &url, "https://<host>/<path>"))
}

async fn read(mut body: Incoming, max: usize) -> Result<Vec<u8>, NoAnswer> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(announced.min(max));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NoAnswer::new(Reach::Cut, &error))?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > max {
            return Err(NoAnswer { reach: Reach::Flooded, cause: format!("more than {max} bytes") });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
