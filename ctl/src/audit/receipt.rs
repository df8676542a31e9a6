//! `kmsctl audit receipt`: that a receipt proves a release, and that a log still has it.
//!
//! Offline, a receipt shows that the key signed a log with this record. With a log, that the log goes on from there, and
//! what the record says. With witnesses, that they have seen the record, in the receipt's checkpoint or in the log's. Under the
//! receipt's own key it shows that to its receiver only: anyone can make a key. Threat: an operator who leaves out, changes or
//! cuts off what was released, or shows it to its receiver alone.

use std::sync::Arc;

use kms_attestation::RootOfTrust;
use kms_attestation::refusal::Refusal;
use kms_ledger::hash::TreeHash;
use kms_ledger::note::LogKey;
use kms_ledger::proof::MAX_PROOF_BYTES;
use kms_ledger::receipt::{BESIDE_SUFFIX, MAX_BESIDE_BYTES};
use kms_ledger::refusal::LedgerRefusal;
use kms_ledger::replay::Archive as _;
use kms_ledger::{Receipt, Record, SignedCheckpoint};
use serde_json::{Value, json};

use super::args::ReceiptArgs;
use super::checkpoint_file::with_end;
use super::describe;
use super::finding::{AuditCode, Place};
use super::log::{Latest, Log, OpenError};
use super::witnesses;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{self, Exit, Outcome};
use crate::row::{Mark, row};
use crate::style::Style;

/// A receipt that holds, and what a log says of it.
struct Checked {
    receipt: Receipt,
    head: SignedCheckpoint,
    key: LogKey,
    /// What the key is worth: pinned, or only the receipt's.
    mark: Mark,
    log: Option<(u64, Arc<Record>)>,
}

/// Checks a receipt; with a log, that too.
pub(super) fn receipt(args: &ReceiptArgs) -> Result<Outcome, CtlError> {
    let refused = |refusal: LedgerRefusal| CtlError::Receipt { path: args.file.clone(), refusal };
    let proof = input::read_at_most(&args.file, MAX_PROOF_BYTES as u64)?;
    let beside = input::read_at_most(&with_end(&args.file, BESIDE_SUFFIX), MAX_BESIDE_BYTES as u64)?;
    let receipt = Receipt::decode(&proof, &beside).map_err(refused)?;
    let mut head = receipt.verify(&receipt.log_key).map_err(refused)?;
    // A pinned key signs the receipt's checkpoint too; it, and not what the receipt says, is what counts then.
    if let Some(pinned) = &args.key {
        head = receipt.verify(pinned).map_err(refused)?;
    }
    let key = args.key.as_ref().unwrap_or(&receipt.log_key).clone();
    let (log, seen) = match &args.log {
        None => {
            witnesses::check(&head, &args.witnesses)?;
            (None, head.clone())
        }
        Some(place) => {
            let open = |latest| Log::open(args.source.open(place)?, Some(&key), RootOfTrust::intel(), latest);
            // The cosigned one first: the newest that is read after it continues it.
            let seen = witnessed(args, &receipt, open)?;
            let log = open(Latest::Published)?;
            if let Some(finding) = seen.as_ref().map_or(Ok(None), |seen| log.continues(seen.checkpoint()))? {
                return Err(OpenError::Refused(Box::new(finding)).into());
            }
            let record = continued(&log, &receipt, &head)?;
            (Some((log.size(), record)), seen.unwrap_or_else(|| log.signed.clone()))
        }
    };
    let mark = if args.key.is_some() { Mark::Fine } else { Mark::Claimed };
    let checked = Checked { receipt, head, key, mark, log };
    let stdout = if args.json {
        outcome::json(&checked.members())?
    } else {
        checked.text(Style::of_stdout()).into_bytes()
    };
    Ok(Outcome { exit: Exit::Done, stdout, stderr: witnesses::said(&seen, &args.witnesses) })
}

/// The newest checkpoint of a log that enough of the auditor's witnesses have cosigned, where they ask for any: the record
/// stands in its tree. Refused with `audit-unwitnessed` where it does not yet.
fn witnessed(
    args: &ReceiptArgs,
    receipt: &Receipt,
    open: impl FnOnce(Latest) -> Result<Log, CtlError>,
) -> Result<Option<SignedCheckpoint>, CtlError> {
    if args.witnesses.keys.is_empty() {
        return Ok(None);
    }
    let log = open(Latest::Witnessed)?;
    witnesses::check(&log.signed, &args.witnesses)?;
    let index = receipt.proof.index();
    if log.size() <= index {
        let found = format!("the newest that they have cosigned has {} records", log.size());
        let refusal = Refusal::new(AuditCode::Unwitnessed, found, format!("more than {index}"));
        return Err(OpenError::refused(Place::Checkpoint, refusal).into());
    }
    stands(&log, receipt)?;
    Ok(Some(log.signed))
}

/// The record, in a log that continues the receipt's and has that very record.
fn continued(log: &Log, receipt: &Receipt, head: &SignedCheckpoint) -> Result<Arc<Record>, CtlError> {
    if let Some(finding) = log.continues(head.checkpoint())? {
        return Err(OpenError::Refused(Box::new(finding)).into());
    }
    stands(log, receipt)?;
    log.record(receipt.proof.index()).map_err(CtlError::Gap)
}

/// That the log has the receipt's record in its place.
fn stands(log: &Log, receipt: &Receipt) -> Result<(), CtlError> {
    let index = receipt.proof.index();
    let found = TreeHash::leaf(&log.entry(index).map_err(CtlError::Gap)?);
    if found != receipt.leaf_hash {
        let refusal = Refusal::new(AuditCode::EntryChanged, found, receipt.leaf_hash);
        return Err(OpenError::refused(Place::Entry(index), refusal).into());
    }
    Ok(())
}

impl Checked {
    fn text(&self, style: Style) -> String {
        let (head, index) = (self.head.checkpoint(), self.receipt.proof.index());
        let key = match self.mark {
            Mark::Fine => "as pinned".to_owned(),
            _ => "the receipt's own; pin it with --key if you are not its receiver".to_owned(),
        };
        let mut text = row(style, Mark::Fine, "record", &format!("{index}, {}", self.receipt.leaf_hash));
        text += &row(style, Mark::Fine, "checkpoint", &format!("{} records, root {}", head.size, head.root));
        text += &row(style, self.mark, "log key", &format!("{}: {key}", self.key));
        if let Some((size, record)) = &self.log {
            text += &row(style, Mark::Fine, "log", &format!("goes on from there, {size} records"));
            text = [text, describe::line(index, record)].join("\n") + "\n";
        }
        text
    }

    fn members(&self) -> Value {
        let head = self.head.checkpoint();
        json!({
            "index": self.receipt.proof.index(),
            "leaf_hash": self.receipt.leaf_hash,
            "size": head.size,
            "root": head.root,
            "log_key": self.key.to_string(),
            "key_pinned": self.mark == Mark::Fine,
            "log": self.log.as_ref().map(|(size, record)| json!({ "size": size, "record": record })),
        })
    }
}
