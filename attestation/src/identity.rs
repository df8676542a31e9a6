//! The boot identity: which app, code, instance, system and hardware a genuine quote and its event log prove.
//!
//! ```text
//! system-preparing () | app-id (20) | compose-hash (32) | init-script-hash* (32, at most 5) | gpu-policy-hash? (32) |
//! gpu-attestation* | instance-id (20 or empty) | boot-mr-done ()         keys are requested here
//! os-image-hash? (32) mr-kms? key-provider? storage-fs? in any order | system-ready ()
//! anything else: the application's own events
//!
//! mr_key_provider = 0^32 until the key-provider event, then SHA-256(its payload)
//! mr_system       = SHA-256(MRTD || RTMR0 || RTMR1 || RTMR2 || mr_key_provider)
//! mr_aggregated   = SHA-256(MRTD || RTMR0-3 [|| MRCONFIGID || MROWNER || MROWNERCONFIG, if any of these is not 0^48])
//! ```
//!
//! Strict, because the log is the only thing that says *who* asks: each name stands once and in its place, with a
//! payload of its length. Until `system-ready` nothing but the measured guest can extend the register; afterwards the
//! application can, so names with a meaning are refused there rather than skipped.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::deny::{DenyCode, DenyReason};
use crate::event_log::{EventLog, RuntimeEvent};
use crate::hash::sha256;
use crate::ids::{AppId, ComposeHash, DeviceId, InstanceId, MrAggregated, MrSystem, OsImageHash};
use crate::json::from_object;
use crate::mr_config::{KeyProviderKind, MrConfigId};
use crate::td::TdReport;
use crate::verify::AuthenticQuote;

/// The largest `key-provider` payload that is read, in bytes: a name and a public key in hexadecimal.
const MAX_KEY_PROVIDER_BYTES: usize = 4096;
/// The largest number of `gpu-attestation` events: one for each GPU or switch of a large machine.
const MAX_GPU_ATTESTATIONS: usize = 32;

/// What an event's payload may be.
#[derive(Clone, Copy)]
enum Payload {
    Empty,
    Bytes(usize),
    BytesOrEmpty(usize),
    Any,
}

impl Payload {
    fn allows(self, len: usize) -> bool {
        match self {
            Self::Empty => len == 0,
            Self::Bytes(n) => len == n,
            Self::BytesOrEmpty(n) => len == n || len == 0,
            Self::Any => true,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Empty => "an empty payload".to_owned(),
            Self::Bytes(n) => format!("{n} bytes"),
            Self::BytesOrEmpty(n) => format!("{n} bytes, or none"),
            Self::Any => "any payload".to_owned(),
        }
    }
}

struct Step {
    name: &'static str,
    count: std::ops::RangeInclusive<usize>,
    payload: Payload,
}

const fn step(name: &'static str, min: usize, max: usize, payload: Payload) -> Step {
    Step { name, count: min..=max, payload }
}

/// The events up to the point where keys are requested, in order.
static BOOT: [Step; 8] = [
    step("system-preparing", 1, 1, Payload::Empty),
    step("app-id", 1, 1, Payload::Bytes(AppId::LEN)),
    step("compose-hash", 1, 1, Payload::Bytes(ComposeHash::LEN)),
    step("init-script-hash", 0, 5, Payload::Bytes(32)),
    step("gpu-policy-hash", 0, 1, Payload::Bytes(32)),
    step("gpu-attestation", 0, MAX_GPU_ATTESTATIONS, Payload::Any),
    step("instance-id", 1, 1, Payload::BytesOrEmpty(InstanceId::LEN)),
    step("boot-mr-done", 1, 1, Payload::Empty),
];

/// The events between that point and the end of the boot, each at most once.
static SETUP: [Step; 5] = [
    step("os-image-hash", 0, 1, Payload::Bytes(OsImageHash::LEN)),
    step("mr-kms", 0, 1, Payload::Any),
    step("key-provider", 0, 1, Payload::Any),
    step("storage-fs", 0, 1, Payload::Any),
    step(SYSTEM_READY, 0, 1, Payload::Empty),
];

const SYSTEM_READY: &str = "system-ready";

/// How far the guest had booted when it made its quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootPhase {
    /// The measured guest alone controls the log.
    Booting,
    /// The application runs, and can extend the log.
    Ready,
}

/// Who provided the guest's keys, as the guest measured it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyProvider {
    /// `kms`, `local-sgx`, `tpm` or `none`.
    pub name: String,
    /// The provider's identity: for a KMS, its root CA's public key (SPKI DER) in hexadecimal.
    pub id: String,
}

/// Who asks: proven by a genuine quote and the event log that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootIdentity {
    /// The application.
    pub app_id: AppId,
    /// The code.
    pub compose_hash: ComposeHash,
    /// The deployment; none where the compose file says `no_instance_id`.
    pub instance_id: Option<InstanceId>,
    /// The hardware.
    pub device_id: DeviceId,
    /// The system below the application.
    pub mr_system: MrSystem,
    /// All of the TD.
    pub mr_aggregated: MrAggregated,
    /// Who provided the keys, once that is measured.
    pub key_provider: Option<KeyProvider>,
    /// How far the guest has booted.
    pub phase: BootPhase,
}

impl BootIdentity {
    /// Reads the identity from a log that must replay to the quote's RTMR3.
    ///
    /// Refused with `rtmr3-mismatch`, `event-missing`, `event-unexpected`, `event-payload-invalid` or
    /// `mr-config-id-mismatch`.
    pub fn extract(quote: &AuthenticQuote, log: &EventLog) -> Result<Self, DenyReason> {
        let td = quote.td();
        let [.., rtmr3] = &td.rtmr;
        log.check_replay(rtmr3)?;
        let events = BootEvents::read(log.events())?;
        let identity = Self {
            app_id: AppId(events.fixed("app-id")?),
            compose_hash: ComposeHash(events.fixed("compose-hash")?),
            instance_id: match events.payload("instance-id") {
                Some([]) => None,
                _ => Some(InstanceId(events.fixed("instance-id")?)),
            },
            device_id: quote.platform().ppid.device_id(),
            mr_system: mr_system(td, events.payload("key-provider")),
            mr_aggregated: mr_aggregated(td),
            key_provider: events.payload("key-provider").map(read_key_provider).transpose()?,
            phase: events.phase,
        };
        identity.check_mr_config_id(td)?;
        Ok(identity)
    }

    /// Refuses with `boot-finished` an identity whose log the application may already have extended. Keys are a
    /// boot-time thing: a release needs this.
    pub fn check_booting(&self) -> Result<(), DenyReason> {
        match self.phase {
            BootPhase::Booting => Ok(()),
            BootPhase::Ready => {
                let found = "a log that holds system-ready";
                Err(DenyReason::new(DenyCode::BootFinished, found, "a log that ends before system-ready"))
            }
        }
    }

    /// Where MRCONFIGID is set, it must be about this code. Version 2 can be compared once the key provider is
    /// measured; version 3 is a digest of a document that is not part of the evidence.
    fn check_mr_config_id(&self, td: &TdReport) -> Result<(), DenyReason> {
        let expected = match MrConfigId::parse(&td.mr_config_id) {
            MrConfigId::Unset | MrConfigId::V3(_) => return Ok(()),
            MrConfigId::V2(_) => match self.config_id_v2() {
                Some(expected) => expected,
                None => return Ok(()),
            },
            MrConfigId::V1(_) | MrConfigId::Unknown => MrConfigId::V1(self.compose_hash),
        };
        let expected = expected.to_register().unwrap_or(td.mr_config_id);
        if expected == td.mr_config_id {
            return Ok(());
        }
        Err(DenyReason::new(DenyCode::MrConfigId, td.mr_config_id, expected))
    }

    fn config_id_v2(&self) -> Option<MrConfigId> {
        let provider = self.key_provider.as_ref()?;
        let kind = KeyProviderKind::from_name(&provider.name)?;
        let id = hex::decode(&provider.id).ok()?;
        Some(MrConfigId::v2(&self.compose_hash, &self.app_id, kind, &id))
    }
}

/// The system below the application; `key_provider` is the payload of the event, once there is one.
fn mr_system(td: &TdReport, key_provider: Option<&[u8]>) -> MrSystem {
    let [rtmr0, rtmr1, rtmr2, _] = &td.rtmr;
    let mr_key_provider = key_provider.map_or([0; 32], |payload| sha256(&[payload]));
    MrSystem(sha256(&[&td.mrtd.0, &rtmr0.0, &rtmr1.0, &rtmr2.0, &mr_key_provider]))
}

/// All of the TD, with its configuration registers only where any is set.
#[must_use]
pub fn mr_aggregated(td: &TdReport) -> MrAggregated {
    let registers = [td.mrtd].into_iter().chain(td.rtmr);
    let config = [td.mr_config_id, td.mr_owner, td.mr_owner_config];
    let set = config.iter().any(|register| !register.is_zero());
    let config = config.into_iter().filter(|_| set);
    let bytes: Vec<u8> = registers.chain(config).flat_map(|register| register.0).collect();
    MrAggregated(sha256(&[&bytes]))
}

fn read_key_provider(payload: &[u8]) -> Result<KeyProvider, DenyReason> {
    let invalid = |found: &str| {
        DenyReason::quoting(DenyCode::EventPayload, found, r#"a key-provider event of {"name", "id"}"#)
    };
    if payload.len() > MAX_KEY_PROVIDER_BYTES {
        return Err(invalid(&format!("{} bytes", payload.len())));
    }
    from_object(payload).map_err(|error| invalid(&error.to_string()))
}

/// The events that have a meaning, each found in its place.
struct BootEvents<'a> {
    found: Vec<&'a RuntimeEvent>,
    phase: BootPhase,
}

impl<'a> BootEvents<'a> {
    fn read(events: &'a [RuntimeEvent]) -> Result<Self, DenyReason> {
        let mut rest = events;
        let mut found = Vec::new();
        for step in &BOOT {
            found.extend(take_step(&mut rest, step)?);
        }
        let phase = read_setup(&mut rest, &mut found)?;
        match rest.iter().find(|event| is_reserved(&event.name)) {
            Some(event) => Err(unexpected(event, "only the application's own events")),
            None => Ok(Self { found, phase }),
        }
    }

    fn payload(&self, name: &str) -> Option<&'a [u8]> {
        self.found.iter().find(|event| event.name == name).map(|event| &event.payload[..])
    }

    fn fixed<const N: usize>(&self, name: &'static str) -> Result<[u8; N], DenyReason> {
        let payload = self.payload(name).and_then(|payload| payload.try_into().ok());
        payload.ok_or_else(|| DenyReason::new(DenyCode::EventMissing, "no such event", name))
    }
}

fn is_reserved(name: &str) -> bool {
    BOOT.iter().chain(&SETUP).any(|step| step.name == name)
}

/// Takes the events of one step of the boot from the front of the log.
fn take_step<'a>(rest: &mut &'a [RuntimeEvent], step: &Step) -> Result<&'a [RuntimeEvent], DenyReason> {
    let max = *step.count.end();
    let count = rest.iter().take(max).take_while(|event| event.name == step.name).count();
    let (taken, others) = rest.split_at(count);
    if count < *step.count.start() {
        let expected = format!("the event {}", step.name);
        return Err(match others.first() {
            Some(event) => DenyReason::quoting(DenyCode::EventMissing, &event.name, expected),
            None => DenyReason::new(DenyCode::EventMissing, "the end of the log", expected),
        });
    }
    for event in taken {
        check_payload(event, step)?;
    }
    *rest = others;
    Ok(taken)
}

/// Takes the events between the request for keys and the end of the boot.
fn read_setup<'a>(
    rest: &mut &'a [RuntimeEvent],
    found: &mut Vec<&'a RuntimeEvent>,
) -> Result<BootPhase, DenyReason> {
    let mut seen = BTreeSet::new();
    while let Some((event, others)) = rest.split_first() {
        let step = SETUP.iter().find(|step| step.name == event.name);
        let step = step.ok_or_else(|| unexpected(event, "an event of the boot, or system-ready"))?;
        if !seen.insert(step.name) {
            return Err(unexpected(event, format_args!("{} once", step.name)));
        }
        check_payload(event, step)?;
        found.push(event);
        *rest = others;
        if event.name == SYSTEM_READY {
            return Ok(BootPhase::Ready);
        }
    }
    Ok(BootPhase::Booting)
}

fn check_payload(event: &RuntimeEvent, step: &Step) -> Result<(), DenyReason> {
    if step.payload.allows(event.payload.len()) {
        return Ok(());
    }
    let found = format!("{} with {} bytes", step.name, event.payload.len());
    Err(DenyReason::new(DenyCode::EventPayload, found, step.payload.describe()))
}

fn unexpected(event: &RuntimeEvent, expected: impl std::fmt::Display) -> DenyReason {
    DenyReason::quoting(DenyCode::EventUnexpected, &event.name, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Vec<RuntimeEvent> {
        vec![
            RuntimeEvent::new("system-preparing", []),
            RuntimeEvent::new("app-id", [1; 20]),
            RuntimeEvent::new("compose-hash", [2; 32]),
            RuntimeEvent::new("init-script-hash", [3; 32]),
            RuntimeEvent::new("init-script-hash", [4; 32]),
            RuntimeEvent::new("gpu-attestation", *b"{}"),
            RuntimeEvent::new("instance-id", [5; 20]),
            RuntimeEvent::new("boot-mr-done", []),
        ]
    }

    fn booted() -> Vec<RuntimeEvent> {
        let mut events = boot();
        events.push(RuntimeEvent::new("key-provider", *br#"{"name":"kms","id":"ab"}"#));
        events.push(RuntimeEvent::new("os-image-hash", [6; 32]));
        events.push(RuntimeEvent::new("system-ready", []));
        events.push(RuntimeEvent::new("my-own-event", [7; 7]));
        events
    }

    fn read_code(events: &[RuntimeEvent]) -> Option<DenyCode> {
        BootEvents::read(events).err().map(|reason| reason.code)
    }

    #[test]
    fn boot_events__should_be_read_in_order() {
        let events = booted();
        let read = BootEvents::read(&events).unwrap();
        assert_eq!(read.phase, BootPhase::Ready);
        assert_eq!(read.fixed("app-id"), Ok([1; 20]));
        assert_eq!(read.payload("key-provider"), Some(&br#"{"name":"kms","id":"ab"}"#[..]));
        assert_eq!(BootEvents::read(&boot()).unwrap().phase, BootPhase::Booting);
    }

    #[test]
    fn boot_events__should_refuse_a_log_that_lacks_any_mandatory_event() {
        for name in ["system-preparing", "app-id", "compose-hash", "instance-id", "boot-mr-done"] {
            let events: Vec<_> = boot().into_iter().filter(|event| event.name != name).collect();
            assert_eq!(read_code(&events), Some(DenyCode::EventMissing), "{name}");
        }
    }

    #[test]
    fn boot_events__should_refuse_any_meaningful_event_twice_or_out_of_place() {
        let whole = booted();
        for event in whole.iter().filter(|event| is_reserved(&event.name)) {
            for at in 0..=whole.len() {
                let mut events = whole.clone();
                events.insert(at, event.clone());
                let repeatable = ["init-script-hash", "gpu-attestation"].contains(&event.name.as_str());
                let beside = at.checked_sub(1).is_some_and(|before| whole[before].name == event.name)
                    || whole.get(at).is_some_and(|after| after.name == event.name);
                assert_eq!(BootEvents::read(&events).is_ok(), repeatable && beside, "{} at {at}", event.name);
            }
        }
    }

    #[test]
    fn boot_events__should_refuse_foreign_events_before_the_application_runs() {
        let at_ready = booted().iter().position(|event| event.name == SYSTEM_READY).unwrap();
        for at in 0..=at_ready {
            let mut events = booted();
            events.insert(at, RuntimeEvent::new("my-own-event", []));
            assert!(read_code(&events).is_some(), "at {at}");
        }
    }

    #[test]
    fn boot_events__should_refuse_more_than_five_init_scripts() {
        let mut events = boot();
        for _ in 0..4 {
            events.insert(3, RuntimeEvent::new("init-script-hash", [9; 32]));
        }
        assert_eq!(read_code(&events), Some(DenyCode::EventMissing));
    }

    #[test]
    fn boot_events__should_refuse_payloads_of_other_lengths() {
        for (name, payload) in [
            ("system-preparing", vec![0]),
            ("app-id", vec![1; 19]),
            ("app-id", vec![1; 21]),
            ("compose-hash", vec![]),
            ("instance-id", vec![5; 32]),
            ("boot-mr-done", vec![0]),
            ("system-ready", vec![0]),
            ("os-image-hash", vec![0; 31]),
        ] {
            let mut events = booted();
            let event = events.iter_mut().find(|event| event.name == name).unwrap();
            event.payload = payload;
            assert_eq!(read_code(&events), Some(DenyCode::EventPayload), "{name}");
        }
    }

    #[test]
    fn key_provider__should_be_strict_json_of_bounded_size() {
        assert!(read_key_provider(br#"{"name":"kms","id":"ab"}"#).is_ok());
        for bad in [
            &br#"{"name":"kms"}"#[..],
            b"",
            br#"{"name":"kms","id":"","x":1}"#,
            br#"["kms",""]"#,
            &[b' '; 5000],
        ] {
            assert_eq!(read_key_provider(bad).unwrap_err().code, DenyCode::EventPayload);
        }
    }
}
