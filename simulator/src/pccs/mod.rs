//! A PCCS: serves the collateral of a simulated platform as Intel's PCS and its caches do, or fails at it.
//!
//! ```text
//! GET /sgx/certification/v4/rootcacrl                                     root CRL, hexadecimal
//! GET /IntelSGXRootCA.der                                                 root CRL, DER
//! GET /sgx/certification/v4/pckcrl?ca=platform|processor[&encoding=der]   PCK CRL, otherwise hexadecimal
//! GET /tdx/certification/v4/tcb?fmspc=<hex>[&update=early|standard | &tcbEvaluationDataNumber=<n>]
//! GET /tdx/certification/v4/qe/identity[?update=early|standard | ?tcbEvaluationDataNumber=<n>]
//!
//! POST /fault  {"kind":"slow","delay_ms":500[,"only":"tcb-info"][,"fmspc":"<hex>"]}   see Fault, FaultPlan
//! POST /clock  {"now":<Unix seconds>}                               issues all collateral again at that time
//! GET  /counts                                                      {"tcb-info":3,...}: requests so far
//! ```
//!
//! The last three are the simulator's own. Documents are served byte for byte as they were signed.

mod admin;
mod body;
mod collateral;
mod fault;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use axum::Router;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use kms_attestation::ids::Fmspc;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::collateral::Refusal;
pub use self::fault::{Fault, FaultPlan};
use crate::lock::lock;
use crate::pki::DAY;
use crate::platform::Platform;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The root CRL, by either path.
    RootCrl,
    /// The CRL of a PCK CA.
    PckCrl,
    /// The TCB info of an FMSPC.
    TcbInfo,
    /// The QE identity.
    QeIdentity,
}

/// By which time collateral is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// It stands still, in Unix seconds: collateral stays as the platform has it.
    Fixed(u64),
    /// The machine's: collateral is issued again every day, as Intel does.
    System,
}

impl Clock {
    /// The time, in Unix seconds.
    #[must_use]
    pub fn now(self) -> u64 {
        match self {
            Self::Fixed(now) => now,
            Self::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_1970| since_1970.as_secs())
            }
        }
    }
}

/// A running PCCS. It ends when this is dropped.
#[derive(Debug)]
pub struct Pccs {
    address: SocketAddr,
    tls_certificate: Option<Vec<u8>>,
    state: Arc<PccsState>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct PccsState {
    platform: Mutex<Platform>,
    clock: Mutex<Clock>,
    plan: Mutex<FaultPlan>,
    counts: Mutex<BTreeMap<Endpoint, u64>>,
}

impl Pccs {
    /// Serves a platform's collateral over HTTP; port 0 takes any that is free. Needs a tokio runtime.
    pub async fn start(address: SocketAddr, platform: Platform) -> anyhow::Result<Self> {
        let listener = bind(address).await?;
        let (address, state) = (listener.local_addr()?, PccsState::new(platform));
        let server = spawn(listener, &state);
        Ok(Self { address, tls_certificate: None, state, server })
    }

    /// The same over HTTPS, with a self-signed certificate for `localhost` and the loopback addresses.
    pub async fn start_tls(address: SocketAddr, platform: Platform) -> anyhow::Result<Self> {
        let listener = bind(address).await?;
        let (address, state) = (listener.local_addr()?, PccsState::new(platform));
        let (listener, certificate) = tls::wrap(listener)?;
        let server = spawn(listener, &state);
        Ok(Self { address, tls_certificate: Some(certificate), state, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls_certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Its certificate, DER, where it speaks HTTPS: to be trusted by the client.
    #[must_use]
    pub fn tls_certificate(&self) -> Option<&[u8]> {
        self.tls_certificate.as_deref()
    }

    /// Looks at the platform, or changes what is said about it.
    pub fn with_platform<T>(&self, action: impl FnOnce(&mut Platform) -> T) -> T {
        action(&mut lock(&self.state.platform))
    }

    /// Makes something go wrong from now on, at every endpoint or at one.
    pub fn set_fault(&self, plan: impl Into<FaultPlan>) {
        *lock(&self.state.plan) = plan.into();
    }

    /// Sets the clock, and issues all collateral again at its time.
    pub fn set_clock(&self, clock: Clock) {
        self.state.set_clock(clock);
    }

    /// How often an endpoint was asked.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        lock(&self.state.counts).get(&endpoint).copied().unwrap_or(0)
    }
}

impl Drop for Pccs {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl PccsState {
    fn new(platform: Platform) -> Arc<Self> {
        Arc::new(Self {
            clock: Mutex::new(Clock::Fixed(platform.now())),
            platform: Mutex::new(platform),
            plan: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    fn set_clock(&self, clock: Clock) {
        *lock(&self.clock) = clock;
        lock(&self.platform).reissue_collateral(clock.now());
    }

    /// Counts a request, about one kind of platform or about all, and answers it or fails as planned.
    async fn answer(
        &self,
        endpoint: Endpoint,
        fmspc: Option<Fmspc>,
        uri: &Uri,
        make: impl FnOnce(&Platform) -> Result<Response, Refusal>,
    ) -> Response {
        *lock(&self.counts).entry(endpoint).or_default() += 1;
        let fault = lock(&self.plan).fault_at(endpoint, fmspc);
        if let Some(response) = fault.instead(uri).await {
            return response;
        }
        let response = self.platform_under(&fault).and_then(|platform| make(&platform));
        match response {
            Ok(response) => fault.spoil(response).await,
            Err(refusal) => refusal.into(),
        }
    }

    /// The platform as it is to be described now.
    fn platform_under(&self, fault: &Fault) -> Result<Platform, Refusal> {
        let clock = *lock(&self.clock);
        let now = clock.now();
        let mut platform = lock(&self.platform);
        if clock == Clock::System && platform.collateral.tcb_info.issue_date.saturating_add(DAY) < now {
            platform.reissue_collateral(now);
        }
        let mut described = platform.clone();
        fault.apply(&mut described, now)?;
        Ok(described)
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("PCCS at {address}"))
}

fn spawn<L>(listener: L, state: &Arc<PccsState>) -> JoinHandle<()>
where
    L: axum::serve::Listener<Addr = SocketAddr>,
{
    let router = router().with_state(Arc::clone(state));
    tokio::spawn(async move {
        // Serves until it is aborted: accept errors are retried within.
        let _ = axum::serve(listener, router).await;
    })
}

fn router() -> Router<Arc<PccsState>> {
    Router::new()
        .route("/IntelSGXRootCA.der", get(collateral::root_crl_der))
        .route("/sgx/certification/v4/rootcacrl", get(collateral::root_crl_hex))
        .route("/sgx/certification/v4/pckcrl", get(collateral::pck_crl))
        .route("/tdx/certification/v4/tcb", get(collateral::tcb_info))
        .route("/tdx/certification/v4/qe/identity", get(collateral::qe_identity))
        .route("/fault", post(admin::set_fault))
        .route("/clock", post(admin::set_clock))
        .route("/counts", get(admin::counts))
}
