//! What a record says of itself, before anything is executed; and where two records differ.

use kms_attestation::refusal::{DenyClass, StableCode as _};
use kms_verdict::Code;
use serde::Serialize;

use super::outcome::{Difference, Replayed};
use crate::record::{Block, Decision, Event, Outcome, Record};

/// The name of an answer that is none of a denial, among codes.
const ALLOW: &str = "allow";

/// Refused where a record contradicts itself.
pub(super) fn check(record: &Record) -> Result<(), Replayed> {
    if let Some(head) = record.head.filter(|head| head.timestamp > record.time) {
        let least = format!("at least {}", head.timestamp);
        return Err(Replayed::different("time", record.time, least));
    }
    let Event::Decision(decision) = &record.event else { return Ok(()) };
    if let Some(since) = decision.out_of_date_since.filter(|since| *since > record.time) {
        return Err(Replayed::different("out_of_date_since", since, format!("at most {}", record.time)));
    }
    if let (Outcome::Allow { latest, .. }, Some(head)) = (&decision.outcome, record.head) {
        check_one_chain(head, *latest)?;
    }
    Ok(())
}

/// A node that names two blocks of one height has seen two chains.
fn check_one_chain(head: Block, latest: Block) -> Result<(), Replayed> {
    if head.number != latest.number || head == latest {
        return Ok(());
    }
    Err(Replayed::different("head.hash", hex::encode(head.hash), hex::encode(latest.hash)))
}

/// The first field in which two decisions differ.
pub(super) fn difference(recorded: &Decision, rebuilt: &Decision) -> Option<Difference> {
    let name = |outcome: &Outcome| outcome.code().unwrap_or(ALLOW).to_owned();
    if recorded.outcome != rebuilt.outcome {
        let codes = Some((name(&recorded.outcome), name(&rebuilt.outcome)));
        let (recorded, recomputed) = (json(&recorded.outcome), json(&rebuilt.outcome));
        return Some(Difference { what: "outcome", recorded, recomputed, codes });
    }
    if recorded.who != rebuilt.who {
        let (recorded, recomputed) = (json(&recorded.who), json(&rebuilt.who));
        return Some(Difference { what: "who", recorded, recomputed, codes: None });
    }
    None
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What a denial rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rests {
    /// On what was presented, and on collateral.
    Evidence,
    /// On what the contracts say.
    Chain,
    /// On the node: its limits, its heads, its providers. No evidence can show that.
    Node,
}

/// What a denial with this code rests on. Codes that no verdict has are the node's own.
pub(super) fn rests(code: &str) -> Rests {
    match Code::all().find(|known| known.as_str() == code).map(Code::class) {
        Some(DenyClass::Evidence | DenyClass::Platform | DenyClass::Collateral | DenyClass::Guest) => {
            Rests::Evidence
        }
        Some(DenyClass::Contract) => Rests::Chain,
        _ => Rests::Node,
    }
}
