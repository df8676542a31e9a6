//! The dstack guest agent: quotes, identity and events, over HTTP/1 on a unix socket.
//!
//! ```text
//! POST /GetQuote  {"report_data": hex}              -> {"quote": hex, "event_log": JSON text, "report_data": hex,
//!                                                       "vm_config": JSON text}
//! POST /Info      {}                                -> {"app_id": hex, "instance_id": hex, "compose_hash": hex,
//!                                                       "device_id": hex, "os_image_hash": hex, "app_name": text,
//!                                                       "tcb_info": JSON text, "vm_config": JSON text, ..}
//! POST /EmitEvent {"event": text, "payload": hex}   -> empty
//! error: status 400, 404 or 500 with {"error": text}
//! ```
//!
//! Specified by `Dstack-TEE/dstack`: `dstack/guest-agent/rpc/proto/agent_rpc.proto` (bytes are hexadecimal in JSON),
//! `dstack/guest-agent/src/server.rs` (paths) and `sdk/curl/api.md`. These unversioned paths are those of every agent
//! since 0.5; agents of 0.6 also serve them as `/v0`, frozen. Older guests (`tappd.sock`, `/prpc/Tappd.*`) are not
//! supported.
//!
//! Time and size of an answer are bounded; `http.rs` carries it. Threats: an agent that lies, lags, floods or
//! mixes up requests; its quote is checked for the report data that was asked for, the rest is for the verifier.

mod http;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{GuestQuote, PlatformError, QuoteProvider, check_carries};
use crate::ids::{AppId, ComposeHash, DeviceId, InstanceId, OsImageHash, ReportData};
use crate::quote::MAX_QUOTE_BYTES;

/// Where the agent listens unless configured otherwise.
pub const DEFAULT_AGENT_SOCKET: &str = "/var/run/dstack.sock";
/// The largest answer that is read, in bytes. A quote and a boot's log need some 30 KiB, GPU evidence 100 KiB more.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// How long one request may take. The kernel itself gives up on a quote after 30 seconds.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(40);
/// The longest part of the agent's words that an error repeats, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

const GET_QUOTE: &str = "/GetQuote";
const INFO: &str = "/Info";
const EMIT_EVENT: &str = "/EmitEvent";

/// A client of the guest agent.
#[derive(Debug, Clone)]
pub struct GuestAgent {
    socket: PathBuf,
    timeout: Duration,
}

/// What the agent says about the guest: for logs and for finding files, never evidence.
///
/// An identifier is `None` where the agent has none, for instance the instance of an app that keeps no disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestInfo {
    /// The app.
    pub app_id: Option<AppId>,
    /// The instance.
    pub instance_id: Option<InstanceId>,
    /// The code.
    pub compose_hash: Option<ComposeHash>,
    /// The hardware.
    pub device_id: Option<DeviceId>,
    /// The OS image.
    pub os_image_hash: Option<OsImageHash>,
    /// The app's name.
    pub app_name: String,
    /// Measurements, event log and app-compose as JSON text, unverified. May be empty.
    pub tcb_info: String,
    /// The VM's configuration as JSON text. May be empty.
    pub vm_config: String,
}

#[derive(Deserialize)]
struct QuoteAnswer {
    quote: String,
    #[serde(default)]
    event_log: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InfoAnswer {
    app_id: String,
    instance_id: String,
    compose_hash: String,
    device_id: String,
    os_image_hash: String,
    app_name: String,
    tcb_info: String,
    vm_config: String,
}

impl GuestAgent {
    /// A client of the agent on this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), timeout: DEFAULT_TIMEOUT }
    }

    /// The same client with another limit on the time of one request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks who this guest is.
    pub async fn info(&self) -> Result<GuestInfo, PlatformError> {
        let answer: InfoAnswer = self.read(INFO, &self.call(INFO, &json!({})).await?)?;
        Ok(GuestInfo {
            app_id: self.identifier(&answer.app_id)?,
            instance_id: self.identifier(&answer.instance_id)?,
            compose_hash: self.identifier(&answer.compose_hash)?,
            device_id: self.identifier(&answer.device_id)?,
            os_image_hash: self.identifier(&answer.os_image_hash)?,
            app_name: answer.app_name,
            tcb_info: answer.tcb_info,
            vm_config: answer.vm_config,
        })
    }

    /// Measures an event into RTMR3. Agents since dstack 0.6 refuse: their events belong to the system.
    pub async fn emit_event(&self, event: &str, payload: &[u8]) -> Result<(), PlatformError> {
        let request = json!({ "event": event, "payload": hex::encode(payload) });
        self.call(EMIT_EVENT, &request).await.map(drop)
    }

    async fn call(&self, method: &'static str, request: &Value) -> Result<Bytes, PlatformError> {
        let answer = tokio::time::timeout(self.timeout, self.exchange(method, request.to_string())).await;
        answer.unwrap_or_else(|_| {
            Err(PlatformError::AgentTimeout { socket: self.socket.clone(), method, after: self.timeout })
        })
    }

    async fn exchange(&self, method: &'static str, request: String) -> Result<Bytes, PlatformError> {
        let (status, body) = http::post(&self.socket, method, request).await?;
        if status == StatusCode::OK { Ok(body) } else { Err(self.refused(method, status, &body)) }
    }

    fn refused(&self, method: &'static str, status: StatusCode, body: &[u8]) -> PlatformError {
        let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let message = match json.get("error").and_then(Value::as_str) {
            Some(message) => excerpt(message),
            None => excerpt(&String::from_utf8_lossy(body)),
        };
        PlatformError::AgentRefused { socket: self.socket.clone(), method, status: status.as_u16(), message }
    }

    fn malformed(
        &self,
        method: &'static str,
        found: impl fmt::Display,
        expected: &'static str,
    ) -> PlatformError {
        let found = excerpt(&found.to_string());
        PlatformError::AgentAnswer { socket: self.socket.clone(), method, found, expected }
    }

    fn read<T: DeserializeOwned>(&self, method: &'static str, body: &[u8]) -> Result<T, PlatformError> {
        serde_json::from_slice(body)
            .map_err(|error| self.malformed(method, error, "the method's answer in JSON"))
    }

    fn identifier<T: FromStr<Err: fmt::Display>>(&self, text: &str) -> Result<Option<T>, PlatformError> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error| self.malformed(INFO, error, "an identifier in hexadecimal"))
    }

    fn quote_bytes(&self, text: &str) -> Result<Vec<u8>, PlatformError> {
        let malformed = |found: &dyn fmt::Display| self.malformed(GET_QUOTE, found, "a quote in hexadecimal");
        if text.len() > 2 * MAX_QUOTE_BYTES {
            return Err(malformed(&format_args!("a quote of {} digits", text.len())));
        }
        hex::decode(text).map_err(|error| malformed(&error))
    }
}

impl QuoteProvider for GuestAgent {
    async fn quote(&self, report_data: ReportData) -> Result<GuestQuote, PlatformError> {
        let body = self.call(GET_QUOTE, &json!({ "report_data": report_data })).await?;
        let answer: QuoteAnswer = self.read(GET_QUOTE, &body)?;
        let quote = self.quote_bytes(&answer.quote)?;
        check_carries(&quote, &report_data, &self.socket)?;
        let event_log = (!answer.event_log.is_empty()).then(|| answer.event_log.into_bytes());
        Ok(GuestQuote { quote, event_log })
    }
}

/// The beginning of an outsider's text, controls shown escaped.
fn excerpt(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests;
