//! The RTMR3 event log of a dstack guest: what it says, and whether the TD measured exactly that.
//!
//! ```text
//! {"imr":3,"event_type":134217729,"digest":"<hex>","event":"app-id","event_payload":"<hex>"[,"version":2]}
//!
//! digest v1 = SHA-384(event_type as u32 LE || ":" || event || ":" || payload)
//! digest v2 = SHA-384({"name":<event>,"payload":"<lower hex>","type":134217729}), RFC 8785 form
//! RTMR3     = fold from 48 zero bytes: mr = SHA-384(mr || digest)
//! ```
//!
//! The log comes from the guest and is worth nothing by itself: only a log that replays to the RTMR3 of a
//! *verified* quote is believed. Digests in the log are never used; each is recomputed from name and payload,
//! and one that is present must agree. Events of RTMR0-2 are skipped: those registers are compared with the
//! OS-image manifest instead of being replayed.

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::deny::{DenyCode, DenyReason};
use crate::hash::sha384;
use crate::ids::Measurement;

/// The largest log that is read, in bytes of JSON. A boot writes about 12 KiB, of which the firmware's events are
/// most; GPU evidence adds some 100 KiB.
pub const MAX_EVENT_LOG_BYTES: usize = 1024 * 1024;
/// The largest number of events that is read. A boot writes about 30.
pub const MAX_EVENTS: usize = 2048;
/// The longest event name that is read, in bytes.
pub const MAX_EVENT_NAME_BYTES: usize = 256;
/// The event type of everything that dstack measures at run time.
pub const RUNTIME_EVENT_TYPE: u32 = 0x0800_0001;

/// How an event's digest is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestVersion {
    /// Type, name and payload with colons between them.
    #[default]
    V1,
    /// The canonical JSON of name, payload and type.
    V2,
}

/// One event that the guest measured into RTMR3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The event's name, for instance `compose-hash`.
    pub name: String,
    /// The event's payload.
    pub payload: Vec<u8>,
    /// How its digest is computed.
    pub version: DigestVersion,
}

impl RuntimeEvent {
    /// An event whose digest is of version 1, as current guests write it.
    pub fn new(name: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), payload: payload.into(), version: DigestVersion::V1 }
    }

    /// The SHA-384 digest by which RTMR3 is extended.
    #[must_use]
    pub fn digest(&self) -> [u8; 48] {
        match self.version {
            DigestVersion::V1 => {
                sha384(&[&RUNTIME_EVENT_TYPE.to_le_bytes(), b":", self.name.as_bytes(), b":", &self.payload])
            }
            DigestVersion::V2 => {
                // A JSON string is escaped the same way by serde_json and by RFC 8785.
                let name = serde_json::Value::from(self.name.as_str());
                let payload = hex::encode(&self.payload);
                let json = format!(r#"{{"name":{name},"payload":"{payload}","type":{RUNTIME_EVENT_TYPE}}}"#);
                sha384(&[json.as_bytes()])
            }
        }
    }
}

/// The events of RTMR3 in the order in which they were measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventLog {
    events: Vec<RuntimeEvent>,
}

impl EventLog {
    /// A log of the given events.
    #[must_use]
    pub fn new(events: Vec<RuntimeEvent>) -> Self {
        Self { events }
    }

    /// Reads a log: a JSON array of events, or an object whose `event_log` is such an array or its JSON text.
    ///
    /// Refused with `event-log-too-large`, `event-log-malformed`, `event-unexpected` (an RTMR3 event of another
    /// type) or `event-digest-mismatch`.
    pub fn parse(json: &[u8]) -> Result<Self, DenyReason> {
        if json.len() > MAX_EVENT_LOG_BYTES {
            return Err(DenyReason::new(
                DenyCode::EventLogTooLarge,
                format_args!("{} bytes", json.len()),
                format_args!("at most {MAX_EVENT_LOG_BYTES} bytes"),
            ));
        }
        let array = json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let raw = if array {
            serde_json::from_slice::<RawLog>(json)
        } else {
            serde_json::from_slice::<Wrapper>(json).map(|wrapper| wrapper.event_log)
        };
        let RawLog(raw) = raw.map_err(|error| {
            DenyReason::quoting(DenyCode::EventLogMalformed, &error.to_string(), "a JSON array of events")
        })?;
        let events = raw.into_iter().filter(|event| event.imr == 3).map(RawEvent::check);
        Ok(Self { events: events.collect::<Result<_, _>>()? })
    }

    /// The events in order.
    #[must_use]
    pub fn events(&self) -> &[RuntimeEvent] {
        &self.events
    }

    /// The value of RTMR3 after these events.
    #[must_use]
    pub fn replay(&self) -> Measurement {
        self.events
            .iter()
            .fold(Measurement::ZERO, |register, event| Measurement(sha384(&[&register.0, &event.digest()])))
    }

    /// Refuses with `rtmr3-mismatch` a log that does not replay to the register of a verified quote.
    pub fn check_replay(&self, rtmr3: &Measurement) -> Result<(), DenyReason> {
        let replayed = self.replay();
        if replayed == *rtmr3 {
            return Ok(());
        }
        Err(DenyReason::new(
            DenyCode::Rtmr3Mismatch,
            format_args!("a log of {} events that replays to {replayed}", self.events.len()),
            format_args!("{rtmr3}, the quote's RTMR3"),
        ))
    }

    /// The log as the guest agent writes it: a JSON array of events with their digests.
    #[must_use]
    pub fn to_json(&self) -> String {
        let events: Vec<_> = self
            .events
            .iter()
            .map(|event| {
                let mut json = serde_json::json!({
                    "imr": 3,
                    "event_type": RUNTIME_EVENT_TYPE,
                    "digest": hex::encode(event.digest()),
                    "event": event.name,
                    "event_payload": hex::encode(&event.payload),
                });
                if let (DigestVersion::V2, Some(object)) = (event.version, json.as_object_mut()) {
                    object.insert("version".to_owned(), 2.into());
                }
                json
            })
            .collect();
        serde_json::Value::from(events).to_string()
    }
}

/// An event as it stands in the JSON. Fields that the digest does not cover are not read.
#[derive(Deserialize)]
struct RawEvent {
    imr: u32,
    event_type: u32,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    event_payload: String,
    #[serde(default)]
    version: Option<u32>,
}

impl RawEvent {
    fn check(self) -> Result<RuntimeEvent, DenyReason> {
        if self.event_type != RUNTIME_EVENT_TYPE {
            return Err(DenyReason::new(
                DenyCode::EventUnexpected,
                format_args!("an RTMR3 event of type {:#010x}", self.event_type),
                format_args!("type {RUNTIME_EVENT_TYPE:#010x}"),
            ));
        }
        let malformed =
            |found: &str, expected| Err(DenyReason::quoting(DenyCode::EventLogMalformed, found, expected));
        if self.event.len() > MAX_EVENT_NAME_BYTES {
            return malformed(&self.event, "an event name of at most 256 bytes");
        }
        let version = match self.version {
            None | Some(1) => DigestVersion::V1,
            Some(2) => DigestVersion::V2,
            Some(other) => return malformed(&format!("version {other}"), "digest version 1 or 2"),
        };
        let Ok(payload) = hex::decode(&self.event_payload) else {
            return malformed(&self.event_payload, "a payload in hexadecimal");
        };
        let event = RuntimeEvent { name: self.event, payload, version };
        let digest = hex::encode(event.digest());
        if self.digest.is_empty() || self.digest.eq_ignore_ascii_case(&digest) {
            return Ok(event);
        }
        let expected = format!("{digest}, the digest of event {:?}", event.name);
        Err(DenyReason::quoting(DenyCode::EventDigestMismatch, &self.digest, expected))
    }
}

struct RawLog(Vec<RawEvent>);

#[derive(Deserialize)]
struct Wrapper {
    event_log: RawLog,
}

impl<'de> Deserialize<'de> for RawLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawLogVisitor)
    }
}

/// Reads an array of events, or a string that holds the JSON of one. Stops at [`MAX_EVENTS`].
struct RawLogVisitor;

impl<'de> Visitor<'de> for RawLogVisitor {
    type Value = RawLog;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events, or its JSON text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawLog, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element::<RawEvent>()? {
            if events.len() == MAX_EVENTS {
                return Err(de::Error::custom(format_args!("more than {MAX_EVENTS} events")));
            }
            events.push(event);
        }
        Ok(RawLog(events))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawLog, E> {
        let mut inner = serde_json::Deserializer::from_str(text);
        let log = inner.deserialize_seq(self).map_err(E::custom)?;
        inner.end().map_err(E::custom)?;
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> EventLog {
        EventLog::new(vec![
            RuntimeEvent::new("system-preparing", []),
            RuntimeEvent { name: "a\"b\u{1}é".into(), payload: vec![0xAB], version: DigestVersion::V2 },
        ])
    }

    #[test]
    fn digest__should_match_a_genuine_event() {
        // From a genuine dstack guest's log.
        let event = RuntimeEvent::new("storage-fs", *b"zfs");
        assert_eq!(
            hex::encode(event.digest()),
            "ba51104636900268b0e059fa3d266419d079d1e94aea26fb9fcbb8d764bf4c89a67ac271b8a0d1a3989945132a111fc7"
        );
    }

    #[test]
    fn digest_v2__should_hash_the_canonical_json() {
        let event = RuntimeEvent { version: DigestVersion::V2, ..RuntimeEvent::new("app-id", [0xAB]) };
        let json = br#"{"name":"app-id","payload":"ab","type":134217729}"#;
        assert_eq!(event.digest(), sha384(&[json]));
    }

    #[test]
    fn parse__should_read_back_what_was_written_in_all_three_forms() {
        let array = log().to_json();
        let object = format!(r#" {{"x":1,"event_log":{array}}}"#);
        let text = serde_json::json!({ "event_log": array }).to_string();
        for form in [array, object, text] {
            assert_eq!(EventLog::parse(form.as_bytes()).unwrap(), log());
        }
    }

    #[test]
    fn parse__should_recompute_an_empty_digest_and_refuse_a_wrong_one() {
        let event = |digest: &str| {
            format!(
                r#"[{{"imr":3,"event_type":134217729,"digest":"{digest}","event":"x","event_payload":""}}]"#
            )
        };
        let right = hex::encode_upper(RuntimeEvent::new("x", []).digest());
        assert_eq!(EventLog::parse(event("").as_bytes()), EventLog::parse(event(&right).as_bytes()));
        let refused = EventLog::parse(event(&"00".repeat(48)).as_bytes()).unwrap_err();
        assert_eq!(refused.code, DenyCode::EventDigestMismatch);
    }

    #[test]
    fn parse__should_refuse_each_malformation_with_its_code() {
        let big = format!("[{}]", " ".repeat(MAX_EVENT_LOG_BYTES));
        let many = format!("[{}]", vec![r#"{"imr":0,"event_type":1}"#; MAX_EVENTS + 1].join(","));
        let long = format!(r#"[{{"imr":3,"event_type":134217729,"event":"{}"}}]"#, "x".repeat(257));
        for (json, code) in [
            (big.as_str(), DenyCode::EventLogTooLarge),
            (many.as_str(), DenyCode::EventLogMalformed),
            (long.as_str(), DenyCode::EventLogMalformed),
            ("", DenyCode::EventLogMalformed),
            ("{}", DenyCode::EventLogMalformed),
            ("[] []", DenyCode::EventLogMalformed),
            (r#"{"event_log":"[] x"}"#, DenyCode::EventLogMalformed),
            (r#"{"event_log":"\"[]\""}"#, DenyCode::EventLogMalformed),
            (r#"[{"imr":3,"event_type":1}]"#, DenyCode::EventUnexpected),
            (r#"[{"imr":3,"event_type":134217729,"event_payload":"0"}]"#, DenyCode::EventLogMalformed),
            (r#"[{"imr":3,"event_type":134217729,"version":3}]"#, DenyCode::EventLogMalformed),
        ] {
            assert_eq!(
                EventLog::parse(json.as_bytes()).unwrap_err().code,
                code,
                "{}",
                &json[..json.len().min(60)]
            );
        }
    }
}
