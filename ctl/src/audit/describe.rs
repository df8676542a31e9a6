//! A record in a line, and as JSON.

use kms_attestation::time::rfc3339;
use kms_ledger::Record;
use kms_ledger::record::{Decision, Event, Outcome, Who};
use serde_json::{Value, json};

/// A line: index, time, what was asked, by whom, and the answer.
pub(super) fn line(index: u64, record: &Record) -> String {
    format!("{index:>8}  {}  {}", rfc3339(record.time), event(&record.event))
}

/// A record and where it stands, as JSON.
pub(super) fn members(index: u64, record: &Record) -> Value {
    json!({ "index": index, "record": record })
}

fn event(event: &Event) -> String {
    match event {
        Event::Started(started) => format!("started, log key {}", hex::encode(started.log_key)),
        Event::Stopped => "stopped".to_owned(),
        Event::Unstored(unstored) => {
            let count: u64 = unstored.refusals.iter().map(|refusal| refusal.count).sum();
            format!("{count} refusals that proved nothing")
        }
        Event::Decision(decision) => {
            format!("{:15} {}  {}", decision.subject.as_str(), answer(&decision.outcome), who(decision))
        }
    }
}

/// The answer in a word or a code.
pub(super) fn answer(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow { latest, .. } => format!("allowed at block {}", latest.number),
        Outcome::Deny { code, .. } => format!("denied: {}", printable(code)),
    }
}

fn who(decision: &Decision) -> String {
    match &decision.who {
        Who::Unknown => String::new(),
        Who::Open(identity) => format!("app {} on device {}", identity.app_id, identity.device_id),
        Who::Sealed(id) => format!("sealed {id}"),
    }
}

/// A log's text, fit for a terminal: whoever wrote the log chose it.
pub(super) fn printable(text: &str) -> String {
    kms_attestation::refusal::sanitise(text)
}
