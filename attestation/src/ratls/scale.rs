//! Extension `.8`, version 0: the SCALE encoding of dstack's first versioned attestation.
//!
//! ```text
//! 00                                              version 0
//! 00                                              evidence kind: 0 = TDX (1 GCP, 2 Nitro, .. are refused)
//!   bytes quote
//!   list  event_log:  u32le imr, u32le event_type, bytes digest, text event, bytes event_payload
//! list  runtime_events:  text event, bytes payload          (digest version 1 only: V0 has no field for it)
//! [64]  report_data
//! text  config                                    the VM configuration, JSON
//!
//! bytes, text = compact length || content; list = compact count || items; end of input
//! ```
//!
//! Read with `parity-scale-codec` instead of by hand: its slices are bounded by what is left of the input and it
//! allocates in steps that follow what it has read, so that an announced length costs nothing. What it does not
//! bound is bounded here: depth by its own limit, input by the certificate's size, events by the caller.

use parity_scale_codec::{Decode, DecodeLimit, Encode};

use super::certificate::EvidenceForm;
use super::evidence::Versioned;
use super::malformed;
use super::write::Attestation;
use crate::deny::{DenyCode, DenyReason};
use crate::event_log::{RUNTIME_EVENT_TYPE, RuntimeEvent};
use crate::ids::ReportData;

/// The deepest nesting of the format: a list within the evidence.
const MAX_DEPTH: u32 = 4;

/// The fields in the order of the wire. Version and kind are enum tags there, one byte each.
#[derive(Encode, Decode)]
struct V0 {
    version: u8,
    kind: u8,
    quote: Vec<u8>,
    event_log: Vec<LogEvent>,
    runtime_events: Vec<StackEvent>,
    report_data: [u8; 64],
    config: String,
}

#[derive(Encode, Decode)]
struct LogEvent {
    imr: u32,
    event_type: u32,
    digest: Vec<u8>,
    name: String,
    payload: Vec<u8>,
}

#[derive(Encode, Decode)]
struct StackEvent {
    name: String,
    payload: Vec<u8>,
}

/// Reads the content of the extension; its first byte is the version.
pub(super) fn decode(bytes: &[u8]) -> Result<Versioned, DenyReason> {
    if let Some(kind @ 1..) = bytes.get(1) {
        return Err(malformed(format_args!("evidence of kind {kind}"), "kind 0, TDX"));
    }
    let v0 = V0::decode_all_with_depth_limit(MAX_DEPTH, &mut &*bytes).map_err(|error| {
        DenyReason::quoting(
            DenyCode::RatlsMalformed,
            &error.to_string(),
            "an attestation in SCALE, version 0",
        )
    })?;
    let events = v0.runtime_events.into_iter().map(|event| RuntimeEvent::new(event.name, event.payload));
    Ok(Versioned {
        form: EvidenceForm::ScaleV0,
        quote: v0.quote,
        events: events.collect(),
        report_data: ReportData(v0.report_data),
    })
}

/// Writes the content of the extension. Its events are taken for events of digest version 1.
pub(super) fn encode(attestation: &Attestation<'_>) -> Vec<u8> {
    let events = attestation.event_log.events();
    let v0 = V0 {
        version: 0,
        kind: 0,
        quote: attestation.quote.to_vec(),
        event_log: events.iter().map(log_event).collect(),
        runtime_events: events.iter().map(stack_event).collect(),
        report_data: attestation.report_data.0,
        config: attestation.config.to_owned(),
    };
    v0.encode()
}

fn log_event(event: &RuntimeEvent) -> LogEvent {
    LogEvent {
        imr: 3,
        event_type: RUNTIME_EVENT_TYPE,
        digest: event.digest().to_vec(),
        name: event.name.clone(),
        payload: event.payload.clone(),
    }
}

fn stack_event(event: &RuntimeEvent) -> StackEvent {
    StackEvent { name: event.name.clone(), payload: event.payload.clone() }
}
