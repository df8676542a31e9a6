//! What the tests of the PCCS module share: simulated and odd servers on loopback, a clock that stands still.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kms_attestation::collateral::{Collateral, CollateralMarks, PckCa};
use kms_attestation::pccs::{
    Ask, CachePolicy, Clock, CollateralCache, CollateralClient, CollateralKey, CollateralStore,
    EvaluationSet, FetchLimits, Source, SourceConfig,
};
use kms_attestation::root::RootOfTrust;
use kms_simulator::pccs::Pccs;
use kms_simulator::platform::Platform;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The time of the simulated platform: 2026-06-01.
pub(crate) const NOW: u64 = 1_780_272_000;
pub(crate) const DAY: u64 = 86_400;

pub(crate) fn platform() -> Platform {
    Platform::from_seed(7, NOW).unwrap()
}

pub(crate) fn root(platform: &Platform) -> Arc<RootOfTrust> {
    Arc::new(RootOfTrust::configured(&platform.root_der()).unwrap())
}

pub(crate) fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) async fn pccs(platform: &Platform) -> Pccs {
    Pccs::start(any_port(), platform.clone()).await.unwrap()
}

pub(crate) fn source(url: &str) -> Source {
    Source::http(&SourceConfig::pccs(url)).unwrap()
}

/// Limits that a busy machine does not reach, without further tries.
pub(crate) fn limits() -> FetchLimits {
    FetchLimits {
        connect: Duration::from_secs(3),
        request: Duration::from_secs(3),
        total: Duration::from_secs(30),
        retries: 0,
        retry_base: Duration::from_millis(20),
        retry_cap: Duration::from_millis(100),
    }
}

pub(crate) fn client(platform: &Platform, urls: &[&str]) -> CollateralClient {
    let sources = urls.iter().map(|url| source(url)).collect();
    CollateralClient::new(root(platform), sources, &[], limits()).unwrap()
}

pub(crate) fn key(platform: &Platform, host: usize) -> CollateralKey {
    CollateralKey { fmspc: platform.hosts()[host].fmspc(), ca: PckCa::Platform }
}

pub(crate) fn ask(platform: &Platform) -> Ask {
    let seen = CollateralMarks::default();
    Ask { key: key(platform, 0), set: EvaluationSet::Standard, seen, fresh_until: 0 }
}

/// A clock that a test sets.
#[derive(Clone)]
pub(crate) struct TestClock(pub(crate) Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn at(now: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now)))
    }

    pub(crate) fn set(&self, now: u64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn unix_seconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A policy under which failures are forgotten at once.
pub(crate) fn policy() -> CachePolicy {
    CachePolicy {
        failure_base: Duration::ZERO,
        failure_cap: Duration::ZERO,
        unknown_burst: 1000,
        ..Default::default()
    }
}

pub(crate) fn cache(
    platform: &Platform,
    urls: &[&str],
    policy: CachePolicy,
    dir: Option<&std::path::Path>,
    clock: &TestClock,
) -> CollateralCache {
    let store = dir.map(CollateralStore::new);
    CollateralCache::open(client(platform, urls), policy, store, Box::new(clock.clone()))
}

/// An URL where nobody listens.
pub(crate) async fn closed_url() -> String {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

type Answers = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// What an odd server does with a connection on which it has read a request.
#[derive(Clone)]
pub(crate) enum Odd {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes and then one byte every 20 ms, for ever.
    Drip(Vec<u8>),
    /// Says nothing, for ever.
    Silence,
    /// Answers each path's last part, without its query, by a function.
    Paths(Arc<Answers>),
}

/// A server that does one odd thing, and counts requests.
pub(crate) struct OddServer {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl OddServer {
    pub(crate) async fn start(odd: Odd) -> Self {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, odd.clone(), Arc::clone(&counted)));
            }
        });
        Self { url, requests, task }
    }

    /// A PCCS for the given collateral, whatever is asked for.
    pub(crate) async fn serving(collateral: Collateral) -> Self {
        Self::start(Odd::Paths(Arc::new(move |path| answer(&collateral, path)))).await
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for OddServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, odd: Odd, requests: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let reply = match odd {
        Odd::Bytes(bytes) => bytes,
        Odd::Drip(bytes) => {
            let _ = stream.write_all(&bytes).await;
            while stream.write_u8(b' ').await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return;
        }
        Odd::Silence => return std::future::pending().await,
        Odd::Paths(answer) => {
            let head = String::from_utf8(head).unwrap();
            let path = head.split([' ', '?']).nth(1).unwrap();
            answer(path.rsplit('/').next().unwrap())
        }
    };
    let _ = stream.write_all(&reply).await;
    let _ = stream.shutdown().await;
}

/// The answer with which a PCCS serves a part of collateral.
fn answer(collateral: &Collateral, path: &str) -> Vec<u8> {
    let parts = collateral.parts();
    let encode = |pem: &str| {
        hex::encode(pem)
            .as_bytes()
            .chunks(2)
            .fold(String::new(), |text, byte| text + "%" + std::str::from_utf8(byte).unwrap())
    };
    let signed = |name, json: &str, signature: &[u8]| {
        format!("{{\"{name}\":{json},\"signature\":\"{}\"}}", hex::encode(signature))
    };
    let (header, chain, body) = match path {
        "pckcrl" => ("SGX-PCK-CRL-Issuer-Chain", &parts.pck_crl_issuer_chain, parts.pck_crl.clone()),
        "tcb" => {
            let body = signed("tcbInfo", &parts.tcb_info, &parts.tcb_info_signature);
            ("TCB-Info-Issuer-Chain", &parts.tcb_info_issuer_chain, body.into_bytes())
        }
        "identity" => {
            let body = signed("enclaveIdentity", &parts.qe_identity, &parts.qe_identity_signature);
            ("SGX-Enclave-Identity-Issuer-Chain", &parts.qe_identity_issuer_chain, body.into_bytes())
        }
        _ => ("x-none", &String::new(), hex::encode(&parts.root_ca_crl).into_bytes()),
    };
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{header}: {}\r\n\r\n", body.len(), encode(chain));
    [head.into_bytes(), body].concat()
}
