//! Extension `.8`, version 1: the `MessagePack` encoding of dstack's current attestation.
//!
//! ```text
//! { "version": 1,
//!   "platform": { "kind": "tdx", "data": {
//!       "quote": bytes,
//!       "event_log": [ { "imr", "event_type", "digest": bytes, "event", "event_payload": bytes, .. } ] } },
//!   "stack": { "kind": "dstack", "data": {
//!       "report_data": bytes (64),
//!       "runtime_events": [ { "event": text, "payload": bytes, "version": 2 unless 1 } ],
//!       "config": text } } }
//! ```
//!
//! Maps are keyed by name and may hold more keys than these. The writer encodes `quote` and `report_data` as
//! arrays of integers and the other bytes as `bin`; both are read everywhere. A guest writes this form where an
//! event's digest is of version 2, and through its `v1` API always. `gcp-tdx` (whose vTPM quote is part of the
//! proof), `sev-snp`, `nitro-enclave` and `aws-nitro-tpm` are other platforms and refused; so is the stack
//! `dstack-pod`, whose report data is bound to a payload and therefore never to a certificate's key.
//!
//! The input is bounded by the certificate, depth by `MAX_DEPTH`, lists by what may stand in them; lengths that
//! the input only announces allocate nothing.

use std::fmt;
use std::io::Cursor;

use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::certificate::EvidenceForm;
use super::evidence::Versioned;
use super::malformed;
use super::write::Attestation;
use crate::deny::{DenyCode, DenyReason};
use crate::event_log::{DigestVersion, MAX_EVENTS, RUNTIME_EVENT_TYPE, RuntimeEvent};
use crate::ids::ReportData;
use crate::quote::MAX_QUOTE_BYTES;

/// The deepest nesting that is read. The format has five levels; the rest is for keys that it may gain.
const MAX_DEPTH: usize = 12;

#[derive(Deserialize)]
struct V1 {
    version: u64,
    platform: Platform,
    stack: Stack,
}

#[derive(Deserialize)]
#[serde(tag = "kind", content = "data")]
enum Platform {
    #[serde(rename = "tdx")]
    Tdx {
        quote: Bytes,
        #[serde(rename = "event_log")]
        _event_log: IgnoredAny,
    },
}

#[derive(Deserialize)]
#[serde(tag = "kind", content = "data")]
enum Stack {
    #[serde(rename = "dstack")]
    Dstack { report_data: Bytes, runtime_events: Events },
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "event")]
    name: String,
    payload: Bytes,
    #[serde(default)]
    version: Option<u32>,
}

/// Reads the content of the extension.
pub(super) fn decode(bytes: &[u8]) -> Result<Versioned, DenyReason> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(bytes));
    reader.set_max_depth(MAX_DEPTH);
    let v1 = V1::deserialize(&mut reader).map_err(|error| {
        DenyReason::quoting(DenyCode::RatlsMalformed, &error.to_string(), "a TDX attestation in MessagePack")
    })?;
    if reader.position() != bytes.len() as u64 {
        return Err(malformed("bytes after the attestation", "its end"));
    }
    v1.check()
}

impl V1 {
    fn check(self) -> Result<Versioned, DenyReason> {
        if self.version != 1 {
            return Err(malformed(format_args!("attestation version {}", self.version), "version 1"));
        }
        let Platform::Tdx { quote, .. } = self.platform;
        let Stack::Dstack { report_data, runtime_events } = self.stack;
        let report_data = ReportData::try_from(report_data.0.as_slice())
            .map_err(|error| malformed(format_args!("report data of {}", error.found), "64 bytes"))?;
        let events = runtime_events.0.into_iter().map(Event::check).collect::<Result<_, _>>()?;
        Ok(Versioned { form: EvidenceForm::MsgpackV1, quote: quote.0, events, report_data })
    }
}

impl Event {
    fn check(self) -> Result<RuntimeEvent, DenyReason> {
        let version = match self.version {
            None | Some(1) => DigestVersion::V1,
            Some(2) => DigestVersion::V2,
            Some(other) => return Err(malformed(format_args!("digest version {other}"), "version 1 or 2")),
        };
        Ok(RuntimeEvent { name: self.name, payload: self.payload.0, version })
    }
}

/// Writes the content of the extension, in the types that dstack's writer uses.
pub(super) fn encode(attestation: &Attestation<'_>) -> Result<Vec<u8>, DenyReason> {
    let events = attestation.event_log.events();
    let written = Written {
        version: 1,
        platform: Tagged {
            kind: "tdx",
            data: TdxOut {
                quote: attestation.quote,
                event_log: events.iter().map(LogEventOut::of).collect(),
            },
        },
        stack: Tagged {
            kind: "dstack",
            data: DstackOut {
                report_data: &attestation.report_data.0,
                runtime_events: events.iter().map(StackEventOut::of).collect(),
                config: attestation.config,
            },
        },
    };
    rmp_serde::to_vec_named(&written)
        .map_err(|error| DenyReason::quoting(DenyCode::RatlsMalformed, &error.to_string(), "an attestation"))
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    platform: Tagged<TdxOut<'a>>,
    stack: Tagged<DstackOut<'a>>,
}

#[derive(Serialize)]
struct Tagged<T> {
    kind: &'static str,
    data: T,
}

#[derive(Serialize)]
struct TdxOut<'a> {
    quote: &'a [u8],
    event_log: Vec<LogEventOut<'a>>,
}

#[derive(Serialize)]
struct DstackOut<'a> {
    report_data: &'a [u8],
    runtime_events: Vec<StackEventOut<'a>>,
    config: &'a str,
}

#[derive(Serialize)]
struct LogEventOut<'a> {
    imr: u32,
    event_type: u32,
    #[serde(serialize_with = "bin")]
    digest: Vec<u8>,
    event: &'a str,
    #[serde(serialize_with = "bin")]
    event_payload: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

#[derive(Serialize)]
struct StackEventOut<'a> {
    event: &'a str,
    #[serde(serialize_with = "bin")]
    payload: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

impl<'a> LogEventOut<'a> {
    fn of(event: &'a RuntimeEvent) -> Self {
        Self {
            imr: 3,
            event_type: RUNTIME_EVENT_TYPE,
            digest: event.digest().to_vec(),
            event: &event.name,
            event_payload: &event.payload,
            version: written_version(event),
        }
    }
}

impl<'a> StackEventOut<'a> {
    fn of(event: &'a RuntimeEvent) -> Self {
        Self { event: &event.name, payload: &event.payload, version: written_version(event) }
    }
}

/// Version 1 is what a reader takes where none is written.
fn written_version(event: &RuntimeEvent) -> Option<u32> {
    match event.version {
        DigestVersion::V1 => None,
        DigestVersion::V2 => Some(2),
    }
}

fn bin<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes.as_ref())
}

/// `bin`, or an array of integers of one byte.
struct Bytes(Vec<u8>);

/// The list of events, at most [`MAX_EVENTS`].
struct Events(Vec<Event>);

struct BytesVisitor;
struct EventsVisitor;

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EventsVisitor)
    }
}

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Bytes, A::Error> {
        // A payload may be longer than a quote, but then it is not written as an array.
        collect(seq, MAX_QUOTE_BYTES).map(Bytes)
    }
}

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Events, A::Error> {
        collect(seq, MAX_EVENTS).map(Events)
    }
}

/// Collects a list without trusting the count that it announces.
fn collect<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    mut seq: A,
    limit: usize,
) -> Result<Vec<T>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = seq.next_element()? {
        if items.len() == limit {
            return Err(de::Error::custom(format_args!("a list of more than {limit}")));
        }
        items.push(item);
    }
    Ok(items)
}
