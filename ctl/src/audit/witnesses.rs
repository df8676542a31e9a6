//! `--witness`: whether enough of the auditor's witnesses have cosigned the checkpoint of a log.
//!
//! Believes the keys that the auditor gave, never those that the log's policy names. Threat: a log that is shown to this
//! auditor alone.

use std::collections::BTreeSet;

use kms_attestation::refusal::Refusal;
use kms_attestation::time::rfc3339;
use kms_ledger::SignedCheckpoint;
use kms_ledger::note::WitnessKey;

use super::args::WitnessesArgs;
use super::finding::{AuditCode, Place};
use super::log::OpenError;

/// The keys: one that is given twice is one voice.
fn distinct(args: &WitnessesArgs) -> BTreeSet<&WitnessKey> {
    args.keys.iter().collect()
}

/// Who has cosigned, and when, in Unix seconds.
fn cosigned<'a>(signed: &SignedCheckpoint, args: &'a WitnessesArgs) -> Vec<(&'a str, u64)> {
    distinct(args)
        .into_iter()
        .filter_map(|key| Some((key.name().as_str(), signed.cosigned_at(key).ok()?)))
        .collect()
}

/// Refused with `audit-unwitnessed` where they are too few.
pub(super) fn check(signed: &SignedCheckpoint, args: &WitnessesArgs) -> Result<(), OpenError> {
    let all = distinct(args).len();
    let needed = args.quorum.map_or(all, usize::from);
    let cosigned = cosigned(signed, args);
    if cosigned.len() >= needed {
        return Ok(());
    }
    let names: Vec<_> = cosigned.iter().map(|(name, _)| *name).collect();
    let found = format!("{} at {} records ({})", names.len(), signed.checkpoint().size, names.join(", "));
    let expected = format!("{needed} of {all} witnesses");
    Err(OpenError::refused(Place::Checkpoint, Refusal::new(AuditCode::Unwitnessed, found, expected)))
}

/// A line for people on who has cosigned, and when; nothing where no witness was asked for.
pub(super) fn said(signed: &SignedCheckpoint, args: &WitnessesArgs) -> String {
    let of = |(name, time): (&str, u64)| format!("cosigned by {name} at {}\n", rfc3339(time));
    cosigned(signed, args).into_iter().map(of).collect()
}
