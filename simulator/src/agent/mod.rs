//! The guest agent of one simulated CVM: HTTP over a unix socket, as dstack's.
//!
//! ```text
//! POST /GetQuote  {"report_data":"<hex, at most 64 bytes>"}  -> {"quote","event_log","report_data","vm_config"}
//! POST /Info      {}                                         -> {"app_id","instance_id","device_id",...,"tcb_info"}
//! POST /EmitEvent {"event":"<name>","payload":"<hex>"}       -> {}, and RTMR3 is extended
//! POST /Fault     {"kind":"slow","delay_ms":500}             -> {}  (the simulator's own: see [`AgentFault`])
//! ```
//!
//! Errors are `{"error":"<text>"}` with a status of 400; a body of more than [`MAX_BODY_BYTES`] is refused with 413.

mod api;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use crate::cvm::Cvm;
use crate::lock::lock;

/// The largest request, in bytes. Genuine ones have a few hundred.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What goes wrong at an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AgentFault {
    /// Nothing.
    #[default]
    None,
    /// Answers come late.
    Slow {
        /// By so many milliseconds.
        delay_ms: u64,
    },
    /// Answers are `500` with an error.
    Status500,
    /// Answers are `200` with bytes that are no JSON.
    Garbage,
    /// Quotes hold other report data than was asked for.
    WrongReportData,
    /// The event log says that another app runs than the one that was measured.
    OtherLog,
}

/// A running agent. It ends, and its socket disappears, when this is dropped.
#[derive(Debug)]
pub struct Agent {
    path: PathBuf,
    state: Arc<AgentState>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct AgentState {
    cvm: Mutex<Cvm>,
    fault: Mutex<AgentFault>,
}

impl Agent {
    /// Serves a CVM at a socket path that does not exist yet. Needs a tokio runtime.
    pub fn start(path: impl Into<PathBuf>, cvm: Cvm) -> anyhow::Result<Self> {
        let path = path.into();
        let listener =
            UnixListener::bind(&path).with_context(|| format!("guest-agent socket {}", path.display()))?;
        let state = Arc::new(AgentState { cvm: Mutex::new(cvm), fault: Mutex::default() });
        let router = router(&state);
        let server = tokio::spawn(async move {
            // Serves until it is aborted: accept errors are retried within.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { path, state, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at its CVM, or changes it.
    pub fn with_cvm<T>(&self, action: impl FnOnce(&mut Cvm) -> T) -> T {
        action(&mut lock(&self.state.cvm))
    }

    /// Makes something go wrong from now on.
    pub fn set_fault(&self, fault: AgentFault) {
        *lock(&self.state.fault) = fault;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
        // Whoever removed the socket before has done what this does.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn router(state: &Arc<AgentState>) -> Router {
    let faulty = Router::new()
        .route("/GetQuote", post(api::get_quote))
        .route("/Info", post(api::info))
        .route("/EmitEvent", post(api::emit_event))
        .layer(from_fn_with_state(Arc::clone(state), fail));
    faulty
        .route("/Fault", post(api::set_fault))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::clone(state))
}

/// Lets requests through, or fails them. Wrong report data is made where quotes are.
async fn fail(State(state): State<Arc<AgentState>>, request: Request, next: Next) -> Response {
    let fault = *lock(&state.fault);
    match fault {
        AgentFault::None | AgentFault::WrongReportData | AgentFault::OtherLog => next.run(request).await,
        AgentFault::Slow { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            next.run(request).await
        }
        AgentFault::Status500 => {
            api::error(StatusCode::INTERNAL_SERVER_ERROR, "simulated fault").into_response()
        }
        AgentFault::Garbage => "\u{1}not JSON at all\u{7f}".into_response(),
    }
}
