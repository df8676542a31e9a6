//! `--witness`: whether enough of the auditor's witnesses have cosigned the checkpoint of a log.
//!
//! Believes the keys that the auditor gave, never those that the log's policy names. Threat: a log that is shown to this
//! auditor alone.

use std::collections::BTreeSet;

use kms_attestation::refusal::Refusal;
use kms_attestation::time::rfc3339;
use kms_ledger::SignedCheckpoint;

use super::args::LogArgs;
use super::finding::{AuditCode, Place};
use super::log::OpenError;

/// Who has cosigned, and when, in Unix seconds.
fn cosigned<'a>(signed: &SignedCheckpoint, args: &'a LogArgs) -> Vec<(&'a str, u64)> {
    // A key that is given twice is one voice.
    let keys: BTreeSet<_> = args.witnesses.iter().collect();
    keys.into_iter().filter_map(|key| Some((key.name().as_str(), signed.cosigned_at(key).ok()?))).collect()
}

/// Refused with `audit-unwitnessed` where they are too few.
pub(super) fn check(signed: &SignedCheckpoint, args: &LogArgs) -> Result<(), OpenError> {
    let needed = args.witness_quorum.map_or(args.witnesses.len(), usize::from);
    let cosigned = cosigned(signed, args);
    if cosigned.len() >= needed {
        return Ok(());
    }
    let names: Vec<_> = cosigned.iter().map(|(name, _)| *name).collect();
    let found = format!("{} at {} records ({})", names.len(), signed.checkpoint().size, names.join(", "));
    let expected = format!("{needed} of {} witnesses", args.witnesses.len());
    Err(OpenError::refused(Place::Checkpoint, Refusal::new(AuditCode::Unwitnessed, found, expected)))
}

/// A line for people on who has cosigned, and when; nothing where no witness was asked for.
pub(super) fn said(signed: &SignedCheckpoint, args: &LogArgs) -> String {
    let of = |(name, time): (&str, u64)| format!("cosigned by {name} at {}\n", rfc3339(time));
    cosigned(signed, args).into_iter().map(of).collect()
}
