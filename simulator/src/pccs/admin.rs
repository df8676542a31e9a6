//! The simulator's own endpoints: faults, clock and counters, for tests in another process.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Clock, Endpoint, PccsState};
use crate::lock::lock;

type Rejection = (StatusCode, String);

/// Reads a body whatever its content type says: it is written by hand, with curl.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))
}

#[derive(Deserialize)]
struct SetClock {
    now: u64,
}

pub(super) async fn set_fault(State(state): State<Arc<PccsState>>, body: Bytes) -> Result<(), Rejection> {
    *lock(&state.plan) = read(&body)?;
    Ok(())
}

pub(super) async fn set_clock(State(state): State<Arc<PccsState>>, body: Bytes) -> Result<(), Rejection> {
    state.set_clock(Clock::Fixed(read::<SetClock>(&body)?.now));
    Ok(())
}

pub(super) async fn counts(State(state): State<Arc<PccsState>>) -> Json<BTreeMap<Endpoint, u64>> {
    Json(lock(&state.counts).clone())
}
