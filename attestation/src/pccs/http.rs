//! One GET at a time, bounded in time and size.
//!
//! HTTP/1.1 on hyper and rustls with ring, against the web's roots as compiled in and those the operator adds: a
//! measured guest has no certificate store of its own to be tampered with. TLS is not what makes collateral
//! trustworthy (its signatures are); it hides what a node asks for and keeps bystanders from choosing answers.
//! Redirects are not followed, connections are not kept, nothing is decompressed.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tokio::time::{sleep, timeout};

use super::fault::{Fault, detail};
use super::limits::{FetchLimits, MAX_HEAD_BYTES, MAX_HEADERS, backoff};
use super::source::ConfigError;
use super::wire::{Answer, Endpoint};

/// What the client calls itself.
const USER_AGENT: &str = concat!("onchain-kms/", env!("CARGO_PKG_VERSION"));

/// A client for answers of the PCS interface.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    limits: FetchLimits,
}

/// A request that failed, and how long the server asked to wait.
struct Failed {
    fault: Fault,
    retry_after: Option<Duration>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, retry_after: None }
    }
}

impl Http {
    pub(super) fn new(extra: &[CertificateDer<'static>], limits: FetchLimits) -> Result<Self, ConfigError> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(limits.connect));
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(extra)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .http1_max_headers(MAX_HEADERS)
            .build(connector);
        Ok(Self { client, limits })
    }

    /// The answer at a URL, tried again a few times after faults that may pass.
    pub(super) async fn get(&self, url: &Uri, endpoint: Endpoint) -> Result<Answer, Fault> {
        let mut count = 0;
        loop {
            let Failed { fault, retry_after } = match self.get_once(url, endpoint).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let too_long = retry_after.is_some_and(|wait| wait > self.limits.retry_cap);
            if count >= self.limits.retries || too_long || !fault.may_pass() {
                return Err(fault);
            }
            let wait = backoff(self.limits.retry_base, self.limits.retry_cap, count);
            sleep(wait.max(retry_after.unwrap_or_default())).await;
            count += 1;
        }
    }

    async fn get_once(&self, url: &Uri, endpoint: Endpoint) -> Result<Answer, Failed> {
        let request = Request::get(url.clone())
            .header(header::USER_AGENT, USER_AGENT)
            .body(Empty::new())
            .map_err(|_| Fault::Malformed("a request that cannot be built"))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| unanswered(&error))?;
            read(response, endpoint).await
        };
        timeout(self.limits.request, exchange).await.unwrap_or(Err(Fault::Timeout.into()))
    }
}

fn tls_config(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for (index, root) in extra.iter().enumerate() {
        roots.add(root.clone()).map_err(|_| ConfigError::TlsRoot(index))?;
    }
    // The provider is named here: another crate in the process must not be able to install one for us.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Tls(detail(&error)))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn read(response: Response<Incoming>, endpoint: Endpoint) -> Result<Answer, Failed> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Failed {
            fault: Fault::Status(head.status.as_u16()),
            retry_after: retry_after(&head.headers),
        });
    }
    let issuer_chain = endpoint.chain_headers().iter().find_map(|name| head.headers.get(*name));
    let issuer_chain = issuer_chain.map(|value| value.as_bytes().to_vec());
    Ok(Answer { issuer_chain, body: read_body(body, endpoint.max_bytes()).await? })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read_body(mut body: Incoming, max: usize) -> Result<Vec<u8>, Fault> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(Fault::TooLarge(max));
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|error| broken_off(&error))?.into_data().unwrap_or_default();
        if bytes.len() + data.len() > max {
            return Err(Fault::TooLarge(max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The errors from the given one to its root cause.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // `io::Error` hides the error that it wraps from `source`.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// What kept a request from being answered.
fn unanswered(error: &(dyn Error + 'static)) -> Fault {
    let root = causes(error).last().unwrap_or(error);
    causes(error).find_map(known).unwrap_or_else(|| Fault::Connect(detail(&root)))
}

/// What broke an answer off.
fn broken_off(error: &(dyn Error + 'static)) -> Fault {
    causes(error).find_map(known).unwrap_or(Fault::Malformed("a body that is not framed as HTTP/1.1 has it"))
}

fn known(error: &(dyn Error + 'static)) -> Option<Fault> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(Fault::Tls(detail(tls)));
    }
    if let Some(http) = error.downcast_ref::<hyper::Error>() {
        let ended = http.is_incomplete_message() || http.is_closed();
        return if http.is_parse() { Some(Fault::BadHead) } else { ended.then_some(Fault::Closed) };
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::TimedOut => Some(Fault::Timeout),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Some(Fault::Closed)
        }
        _ => None,
    }
}
