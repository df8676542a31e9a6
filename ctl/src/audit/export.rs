//! `kmsctl audit export`: some records with all that shows them and all that they rest on, in one file.

use std::collections::BTreeSet;
use std::fs;

use kms_ledger::audit_bundle::{AuditBundle, BundledEntry};
use kms_ledger::record::Event;
use kms_ledger::replay::{Archive as _, ReplayCode, follow_up};

use super::args::ExportArgs;
use super::log::Log;
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome, json};

/// `kmsctl audit export`.
pub(super) fn run(args: &ExportArgs) -> Result<Outcome, CtlError> {
    let log = super::open(&args.log)?;
    if log.reader().is_none() {
        return Err(CtlError::ExportOfBundle);
    }
    let (bundle, missing) = bundle(&log, &args.indices)?;
    let bytes = bundle.encode();
    let written = fs::write(&args.output, &bytes);
    written.map_err(|source| CtlError::NotWritten { path: args.output.clone(), source })?;
    let (records, blobs) = (bundle.entries.len(), bundle.blobs.len());
    let members = serde_json::json!({
        "records": records, "blobs": blobs, "blobs_missing": missing, "bytes": bytes.len(),
    });
    let text = format!("{records} records, {blobs} blobs, {} bytes\n", bytes.len());
    let stdout = if args.log.json { json(&members)? } else { text.into_bytes() };
    let stderr = match missing {
        0 => String::new(),
        _ => format!("{missing} blobs that these records name are not here, and not in the bundle\n"),
    };
    Ok(Outcome { exit: Exit::Done, stdout, stderr })
}

/// A bundle of these records, of the releases that certificates among them follow from, and of the log's first record,
/// which vouches for its key, with the record that names the collateral which a start lacks; and how many of their blobs
/// are not there.
fn bundle(log: &Log, indices: &[u64]) -> Result<(AuditBundle, usize), CtlError> {
    let checkpoint = log.signed.encode().into_bytes();
    let mut bundle = AuditBundle { checkpoint, ..AuditBundle::default() };
    let mut missing = BTreeSet::new();
    let mut wanted: BTreeSet<u64> = indices.iter().copied().chain([0]).collect();
    while let Some(index) = wanted.pop_first() {
        let record = log.record(index).map_err(CtlError::Gap)?;
        if let Event::Started(started) = &record.event {
            let later = follow_up(log, index, started).map_err(CtlError::Gap)?.map(|(later, _)| later);
            wanted.extend(later.filter(|later| !bundle.entries.contains_key(later)));
        }
        if let Event::Decision(decision) = &record.event {
            // A release stands before what follows from it; one that does not is shown as it is, and replay refuses it.
            wanted.extend(
                decision.release.filter(|release| *release < index && !bundle.entries.contains_key(release)),
            );
        }
        for id in record.blobs() {
            match log.blob(&id) {
                Ok(bytes) => drop(bundle.blobs.insert(id, bytes)),
                // What is not there cannot be shown; whoever replays the bundle is told.
                Err(gap) if gap.code == ReplayCode::BlobMissing => drop(missing.insert(id)),
                Err(gap) => return Err(CtlError::Gap(gap)),
            }
        }
        let (bytes, path) = (log.entry(index).map_err(CtlError::Gap)?, log.path_of(index)?);
        bundle.entries.insert(index, BundledEntry { bytes, path });
    }
    Ok((bundle, missing.len()))
}
