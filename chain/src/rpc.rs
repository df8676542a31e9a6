//! A JSON-RPC client: how long, how much and how many are bounded, and every fault has a type.
//!
//! Owns transport and framing. Never judges an answer: what it carries is believed only where a proof shows it
//! (module `reader`). Pooled connections, HTTP/2 where TLS offers it, one batch per round; a provider that takes no batches
//! is sent the same calls one by one, within the same time and bytes. Redirects are not followed, nothing is decompressed. TLS hides what a node asks; it is not what makes an answer true. Threats: a provider
//! that hangs, floods, or answers something else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kms_attestation::refusal::sanitise;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::deny::{ChainDeny, ChainDenyCode};

/// How long a TCP connection may take. A healthy one takes less than a round trip across the globe, 0.3 s.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one batch may take, from connecting to the last byte. A proof takes a provider 50-500 ms.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// The largest answer, in bytes: the largest witness in hexadecimal, twice over, would still be no genuine answer.
pub const MAX_RESPONSE_BYTES: usize = 8 * 1024 * 1024;
/// The most batches that one provider is sent at once; others wait for their turn within their own time.
pub const MAX_CONCURRENT: usize = 16;
/// How long an unused connection is kept: two blocks.
const POOL_IDLE: Duration = Duration::from_secs(24);
/// What the client calls itself.
const USER_AGENT: &str = concat!("onchain-kms/", env!("CARGO_PKG_VERSION"));

/// Whether a provider may be spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS; plain HTTP only to a loopback address.
    Secure,
    /// Plain HTTP to anywhere, spelled `insecure_plain_http` in the configuration.
    InsecurePlainHttp,
}

/// The limits of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcLimits {
    /// How long a TCP connection may take.
    pub connect: Duration,
    /// How long one batch may take.
    pub request: Duration,
    /// The largest answer, in bytes.
    pub response_bytes: usize,
    /// The most batches at once.
    pub concurrent: usize,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            request: REQUEST_TIMEOUT,
            response_bytes: MAX_RESPONSE_BYTES,
            concurrent: MAX_CONCURRENT,
        }
    }
}

/// What happened at a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcFault {
    /// The URL or the TLS settings cannot be used.
    #[error("cannot be configured: {0}")]
    Config(&'static str),
    /// No complete answer within the time allowed.
    #[error("no complete answer in time")]
    Timeout,
    /// No connection, or one that broke off.
    #[error("no connection, or one that broke off")]
    Unreachable,
    /// The HTTP status is not 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The answer has more than the given number of bytes.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// The answer is not JSON-RPC.
    #[error("an answer that is not JSON-RPC")]
    NotJson,
    /// The answer is to another request.
    #[error("an answer to another request")]
    WrongId,
    /// The provider refused one call: its code, and its text sanitised.
    #[error("error {code}: \"{message}\"")]
    Error {
        /// The JSON-RPC error code.
        code: i64,
        /// The provider's text, for people.
        message: String,
        /// What a contract reverted with; none where the error is no revert, or the provider keeps it to itself.
        data: Option<alloy::primitives::Bytes>,
    },
    /// A call's result has not the form that the method promises.
    #[error("a malformed result of {0}")]
    Invalid(&'static str),
}

impl RpcFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ChainDenyCode {
        match self {
            Self::Config(_) => ChainDenyCode::RpcConfig,
            Self::Timeout => ChainDenyCode::RpcTimeout,
            Self::Unreachable => ChainDenyCode::RpcUnreachable,
            Self::Status(_) => ChainDenyCode::RpcStatus,
            Self::TooLarge(_) => ChainDenyCode::RpcTooLarge,
            Self::NotJson => ChainDenyCode::RpcNotJson,
            Self::WrongId => ChainDenyCode::RpcWrongId,
            Self::Error { .. } => ChainDenyCode::RpcError,
            Self::Invalid(_) => ChainDenyCode::RpcAnswerInvalid,
        }
    }
}

impl From<RpcFault> for ChainDeny {
    fn from(fault: RpcFault) -> Self {
        Self::new(fault.code(), &fault, "an answer")
    }
}

/// One call of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcCall {
    /// The method, `eth_getProof` for instance.
    pub method: &'static str,
    /// Its parameters.
    pub params: Value,
}

/// The result of one call of a batch.
pub type RpcResult = Result<Value, RpcFault>;

/// A provider.
pub struct Rpc {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    host: String,
    limits: RpcLimits,
    permits: Semaphore,
    next_id: AtomicU64,
    received: AtomicU64,
}

impl Rpc {
    /// A client for a provider's URL. Connects when it is first used, and only within a tokio runtime.
    pub fn new(url: &str, transport: Transport, limits: RpcLimits) -> Result<Self, RpcFault> {
        let url = parse_url(url, transport)?;
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(limits.connect));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config()?)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector);
        let permits = Semaphore::new(limits.concurrent);
        let (next_id, received) = (AtomicU64::new(1), AtomicU64::new(0));
        let host = url.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        Ok(Self { client, url, host, limits, permits, next_id, received })
    }

    /// The provider's host name in its one form, lower case and without a dot at the end: two URLs with the same host are
    /// one source, however they are written.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The bytes of all answers so far.
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Sends calls as one batch; the results stand in the order of the calls.
    pub async fn batch(&self, calls: &[RpcCall]) -> Result<Vec<RpcResult>, RpcFault> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.next_id.fetch_add(calls.len() as u64, Ordering::Relaxed);
        let requests: Vec<Value> = (first..).zip(calls).map(|(id, call)| request(id, call)).collect();
        timeout(self.limits.request, self.all(first, requests)).await.unwrap_or(Err(RpcFault::Timeout))
    }

    async fn all(&self, first: u64, requests: Vec<Value>) -> Result<Vec<RpcResult>, RpcFault> {
        let budget = Budget::new(self.limits.response_bytes);
        let body = Value::Array(requests.clone()).to_string();
        let answer = self.exchange(body, &budget).await?;
        // In the place of all answers, one error: this provider takes no batches.
        if read_single(&answer).is_ok_and(|response| response.error.is_some()) {
            let answers = requests.iter().map(|request| self.single(request, &budget));
            return join_all(answers).await.into_iter().collect();
        }
        read_batch(&answer, first, requests.len())
    }

    async fn single(&self, request: &Value, budget: &Budget) -> Result<RpcResult, RpcFault> {
        let response = read_single(&self.exchange(request.to_string(), budget).await?)?;
        let refused = response.id.is_null() && response.error.is_some();
        if refused || Some(&response.id) == request.get("id") {
            Ok(response.into_result())
        } else {
            Err(RpcFault::WrongId)
        }
    }

    /// Sends one call.
    pub async fn call(&self, method: &'static str, params: Value) -> RpcResult {
        let results = self.batch(&[RpcCall { method, params }]).await?;
        results.into_iter().next().unwrap_or(Err(RpcFault::WrongId))
    }

    async fn exchange(&self, body: String, budget: &Budget) -> Result<Vec<u8>, RpcFault> {
        let _permit = self.permits.acquire().await.map_err(|_| RpcFault::Unreachable)?;
        let request = Request::post(self.url.clone())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| RpcFault::Config("a request that cannot be built"))?;
        let response = self.client.request(request).await.map_err(|_| RpcFault::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(RpcFault::Status(response.status().as_u16()));
        }
        let answer = read_body(response.into_body(), budget).await?;
        self.received.fetch_add(answer.len() as u64, Ordering::Relaxed);
        Ok(answer)
    }
}

/// The bytes that all answers to one batch may have together.
struct Budget {
    max: usize,
    left: AtomicUsize,
}

impl Budget {
    const fn new(max: usize) -> Self {
        Self { max, left: AtomicUsize::new(max) }
    }

    fn check(&self, bytes: usize) -> Result<(), RpcFault> {
        if bytes <= self.left.load(Ordering::Relaxed) { Ok(()) } else { Err(RpcFault::TooLarge(self.max)) }
    }

    fn take(&self, bytes: usize) -> Result<(), RpcFault> {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| RpcFault::TooLarge(self.max))
    }
}

fn parse_url(text: &str, transport: Transport) -> Result<Uri, RpcFault> {
    let url: Uri = text.parse().map_err(|_| RpcFault::Config("not a URL"))?;
    let host = url.host().ok_or(RpcFault::Config("a URL without a host"))?;
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if transport == Transport::InsecurePlainHttp || is_loopback(host) => Ok(url),
        Some("http") => Err(RpcFault::Config("plain http to another machine")),
        _ => Err(RpcFault::Config("neither https nor http")),
    }
}

/// An address, not a name: a resolver could say anything.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn tls_config() -> Result<ClientConfig, RpcFault> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // The provider is named here: another crate in the process must not be able to install one for us.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| RpcFault::Config("TLS versions"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn read_body(mut body: Incoming, budget: &Budget) -> Result<Vec<u8>, RpcFault> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    budget.check(announced)?;
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| RpcFault::Unreachable)?.into_data().unwrap_or_default();
        budget.take(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn request(id: u64, call: &RpcCall) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": call.method, "params": call.params })
}

#[derive(Deserialize)]
struct Response {
    id: Value,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<ErrorObject>,
}

#[derive(Clone, Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

impl From<ErrorObject> for RpcFault {
    fn from(error: ErrorObject) -> Self {
        // Some put a word before the bytes.
        let data = error.data.as_str().map(|text| text.trim_start_matches("Reverted "));
        let data = data.and_then(|text| text.parse().ok());
        Self::Error { code: error.code, message: sanitise(&error.message), data }
    }
}

impl Response {
    fn into_result(self) -> RpcResult {
        match self.error {
            Some(error) => Err(error.into()),
            None => Ok(self.result.unwrap_or(Value::Null)),
        }
    }
}

/// Reads the answer to one request. serde would read an array, too, as one response.
fn read_single(answer: &[u8]) -> Result<Response, RpcFault> {
    let object = answer.trim_ascii_start().starts_with(b"{");
    let read = object.then(|| serde_json::from_slice(answer).ok());
    read.flatten().ok_or(RpcFault::NotJson)
}

/// Reads the answer to a batch of `count` requests whose ids start at `first`: the results in the order of the requests,
/// each of which must be answered exactly once.
pub fn read_batch(answer: &[u8], first: u64, count: usize) -> Result<Vec<RpcResult>, RpcFault> {
    let responses: Vec<Response> = serde_json::from_slice(answer).map_err(|_| RpcFault::NotJson)?;
    if let [Response { id: Value::Null, error: Some(error), .. }] = &*responses {
        return Err(error.clone().into());
    }
    let mut by_id = BTreeMap::new();
    for response in responses {
        let id = response.id.as_u64().ok_or(RpcFault::WrongId)?;
        if by_id.insert(id, response).is_some() {
            return Err(RpcFault::WrongId);
        }
    }
    let wanted = (first..).take(count);
    let results: Option<Vec<_>> = wanted.map(|id| by_id.remove(&id).map(Response::into_result)).collect();
    results.filter(|_| by_id.is_empty()).ok_or(RpcFault::WrongId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::server::{Answer, Server};

    fn limits() -> RpcLimits {
        RpcLimits { request: Duration::from_millis(500), response_bytes: 100_000, ..RpcLimits::default() }
    }

    async fn fault_of(answer: Answer) -> RpcFault {
        let server = Server::start(move |_| answer.clone()).await;
        let rpc = Rpc::new(&server.url, Transport::Secure, limits()).unwrap();
        rpc.call("eth_chainId", json!([])).await.unwrap_err()
    }

    #[tokio::test]
    async fn call__should_type_every_fault_of_a_provider() {
        assert_eq!(fault_of(Answer::Hang).await, RpcFault::Timeout);
        assert_eq!(fault_of(Answer::Close).await, RpcFault::Unreachable);
        assert_eq!(fault_of(Answer::Status(500)).await, RpcFault::Status(500));
        assert_eq!(fault_of(Answer::Status(302)).await, RpcFault::Status(302));
        assert_eq!(fault_of(Answer::Raw(vec![b' '; 10_000_000])).await, RpcFault::TooLarge(100_000));
        assert_eq!(fault_of(Answer::Raw(b"<html>".to_vec())).await, RpcFault::NotJson);
        assert_eq!(fault_of(Answer::Raw(b"[]".to_vec())).await, RpcFault::WrongId);
        assert_eq!(fault_of(Answer::Raw(b"[1,\"0x1\",null]".to_vec())).await, RpcFault::NotJson);
        let other = br#"[{"jsonrpc":"2.0","id":999,"result":"0x1"}]"#;
        assert_eq!(fault_of(Answer::Raw(other.to_vec())).await, RpcFault::WrongId);
        let twice = br#"[{"id":1,"result":"0x1"},{"id":1,"result":"0x2"}]"#;
        assert_eq!(fault_of(Answer::Raw(twice.to_vec())).await, RpcFault::WrongId);
        let error = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no\nbatch"}}"#;
        let expected = RpcFault::Error { code: -32000, message: r"no\nbatch".to_owned(), data: None };
        assert_eq!(fault_of(Answer::Raw(error.to_vec())).await, expected);
    }

    #[tokio::test]
    async fn call__should_say_that_nobody_listens() {
        let rpc = Rpc::new("http://127.0.0.1:1/", Transport::Secure, limits()).unwrap();
        assert_eq!(rpc.call("eth_chainId", json!([])).await, Err(RpcFault::Unreachable));
    }

    #[tokio::test]
    async fn batch__should_keep_the_order_of_the_calls() {
        let server = Server::start(|calls| {
            let reversed = calls.iter().rev();
            let answers: Vec<Value> =
                reversed.map(|call| json!({ "id": call["id"], "result": call["method"] })).collect();
            Answer::Raw(Value::Array(answers).to_string().into_bytes())
        })
        .await;
        let rpc = Rpc::new(&server.url, Transport::Secure, limits()).unwrap();
        let calls = ["a", "b", "c"].map(|method| RpcCall { method, params: json!([]) });
        let results = rpc.batch(&calls).await.unwrap();
        assert_eq!(results, [Ok(json!("a")), Ok(json!("b")), Ok(json!("c"))]);
        assert!(rpc.bytes_received() > 0);
    }

    /// Answers one call a request, with the method's name, after an error to whatever is a batch.
    async fn without_batches(padding: usize) -> Server {
        Server::start_any(move |request| {
            let answer = if request.is_array() {
                json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "no batches" } })
            } else {
                let result = format!("{}{}", request["method"].as_str().unwrap(), " ".repeat(padding));
                json!({ "id": request["id"], "result": result })
            };
            Answer::Raw(answer.to_string().into_bytes())
        })
        .await
    }

    #[tokio::test]
    async fn batch__should_be_sent_one_by_one_where_batches_are_refused() {
        let rpc = Rpc::new(&without_batches(0).await.url, Transport::Secure, limits()).unwrap();
        let calls = ["a", "b", "c"].map(|method| RpcCall { method, params: json!([]) });
        let results = rpc.batch(&calls).await.unwrap();
        assert_eq!(results, [Ok(json!("a")), Ok(json!("b")), Ok(json!("c"))]);
    }

    #[tokio::test]
    async fn batch__should_have_one_bound_on_all_answers_that_come_one_by_one() {
        let rpc = Rpc::new(&without_batches(40_000).await.url, Transport::Secure, limits()).unwrap();
        let calls = ["a", "b", "c"].map(|method| RpcCall { method, params: json!([]) });
        assert!(rpc.batch(&calls[..2]).await.is_ok());
        assert_eq!(rpc.batch(&calls).await, Err(RpcFault::TooLarge(100_000)));
    }

    #[test]
    fn host__should_have_one_form() {
        for url in ["https://rpc.example.org/key", "https://RPC.Example.ORG:443", "https://rpc.example.org./"]
        {
            let rpc = Rpc::new(url, Transport::Secure, limits()).unwrap();
            assert_eq!(rpc.host(), "rpc.example.org");
        }
    }

    #[test]
    fn url__should_be_plain_only_to_this_machine_or_when_said_so() {
        for (url, transport, accepted) in [
            ("https://rpc.example/key", Transport::Secure, true),
            ("http://127.0.0.1:8545", Transport::Secure, true),
            ("http://[::1]:8545", Transport::Secure, true),
            ("http://localhost:8545", Transport::Secure, false),
            ("http://rpc.example", Transport::Secure, false),
            ("http://rpc.example", Transport::InsecurePlainHttp, true),
            ("ftp://rpc.example", Transport::InsecurePlainHttp, false),
            ("rpc.example", Transport::Secure, false),
            ("", Transport::Secure, false),
        ] {
            assert_eq!(parse_url(url, transport).is_ok(), accepted, "{url}");
        }
    }
}
