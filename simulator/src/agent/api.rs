//! The agent's requests and answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use kms_attestation::EventLog;
use kms_attestation::event_log::RuntimeEvent;
use kms_attestation::ids::{AppId, ReportData};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{AgentFault, AgentState};
use crate::cvm::Cvm;
use crate::lock::lock;

/// A status and what is wrong, as JSON.
pub(super) type ApiError = (StatusCode, Json<Value>);
type Answer = Result<Json<Value>, ApiError>;

pub(super) fn error(status: StatusCode, message: impl std::fmt::Display) -> ApiError {
    (status, Json(json!({ "error": message.to_string() })))
}

fn bad_request(message: impl std::fmt::Display) -> ApiError {
    error(StatusCode::BAD_REQUEST, message)
}

/// Reads a body whatever its content type says: clients of dstack differ in that.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(bad_request)
}

#[derive(Deserialize)]
struct GetQuote {
    report_data: String,
}

pub(super) async fn get_quote(State(state): State<Arc<AgentState>>, body: Bytes) -> Answer {
    let asked = report_data(&read::<GetQuote>(&body)?.report_data)?;
    let fault = *lock(&state.fault);
    let mut quoted = asked;
    if fault == AgentFault::WrongReportData {
        quoted.0.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    }
    let cvm = lock(&state.cvm);
    let quote = cvm
        .quote(quoted)
        .map_err(|cause| error(StatusCode::INTERNAL_SERVER_ERROR, format_args!("{cause:#}")))?;
    Ok(Json(json!({
        "quote": hex::encode(quote),
        "event_log": if fault == AgentFault::OtherLog { other_log(&cvm) } else { cvm.event_log() }.to_json(),
        "report_data": asked,
        "vm_config": cvm.vm_config(),
    })))
}

/// The log with another app in it.
fn other_log(cvm: &Cvm) -> EventLog {
    let other = |event: &RuntimeEvent| match event.name.as_str() {
        "app-id" => RuntimeEvent::new("app-id", [0x42; AppId::LEN]),
        _ => event.clone(),
    };
    EventLog::new(cvm.event_log().events().iter().map(other).collect())
}

/// Up to 64 bytes, the rest zeros, as dstack's agent reads them.
fn report_data(text: &str) -> Result<ReportData, ApiError> {
    let bytes = hex::decode(text).map_err(bad_request)?;
    if bytes.len() > ReportData::LEN {
        return Err(bad_request(format_args!("{} bytes of report data, at most 64 expected", bytes.len())));
    }
    let mut report_data = ReportData::ZERO;
    report_data.0.iter_mut().zip(bytes).for_each(|(byte, value)| *byte = value);
    Ok(report_data)
}

pub(super) async fn info(State(state): State<Arc<AgentState>>) -> Json<Value> {
    let cvm = lock(&state.cvm);
    let instance_id = cvm.spec.instance_id.map(|id| id.to_string()).unwrap_or_default();
    Json(json!({
        "app_id": cvm.spec.app_id,
        "instance_id": instance_id,
        "device_id": cvm.host().device_id(),
        "compose_hash": cvm.spec.compose_hash(),
        "os_image_hash": cvm.image().hash(),
        "vm_config": cvm.vm_config(),
        "tcb_info": tcb_info(&cvm).to_string(),
    }))
}

/// The registers, and what they were made of.
fn tcb_info(cvm: &Cvm) -> Value {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = cvm.rtmrs();
    let events: Value = serde_json::from_str(&cvm.event_log().to_json()).unwrap_or_default();
    json!({
        "mrtd": cvm.image().measurements().mrtd,
        "rtmr0": rtmr0,
        "rtmr1": rtmr1,
        "rtmr2": rtmr2,
        "rtmr3": rtmr3,
        "os_image_hash": cvm.image().hash(),
        "compose_hash": cvm.spec.compose_hash(),
        "device_id": cvm.host().device_id(),
        "app_compose": String::from_utf8_lossy(&cvm.spec.compose),
        "event_log": events,
    })
}

#[derive(Deserialize)]
struct EmitEvent {
    event: String,
    #[serde(default)]
    payload: String,
}

pub(super) async fn emit_event(State(state): State<Arc<AgentState>>, body: Bytes) -> Answer {
    let request: EmitEvent = read(&body)?;
    let payload = hex::decode(&request.payload).map_err(bad_request)?;
    lock(&state.cvm).emit(&request.event, &payload);
    Ok(Json(json!({})))
}

pub(super) async fn set_fault(State(state): State<Arc<AgentState>>, body: Bytes) -> Answer {
    *lock(&state.fault) = read(&body)?;
    Ok(Json(json!({})))
}
