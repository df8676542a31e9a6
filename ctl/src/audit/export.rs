//! `kmsctl audit export`: some records with all that shows them and all that they rest on, in one file.

use std::collections::BTreeSet;

use kms_ledger::audit_bundle::{AuditBundle, BundledEntry};
use kms_ledger::record::Event;
use kms_ledger::replay::{Archive as _, Gap, ReplayCode, follow_up};

use super::log::Log;
use super::verify::blobs;

/// A bundle of these records, of the releases that certificates among them follow from, and of the log's first record,
/// which vouches for its key; with the record that names the collateral which a start lacks.
pub(super) fn bundle(log: &Log, indices: &[u64]) -> Result<AuditBundle, Gap> {
    let checkpoint = log.signed.encode().into_bytes();
    let mut bundle = AuditBundle { checkpoint, ..AuditBundle::default() };
    let mut wanted: BTreeSet<u64> = indices.iter().copied().chain([0]).collect();
    while let Some(index) = wanted.pop_first() {
        let record = log.record(index)?;
        if let Event::Started(started) = &record.event {
            let later = follow_up(log, index, started)?.map(|(later, _)| later);
            wanted.extend(later.filter(|later| !bundle.entries.contains_key(later)));
        }
        if let Event::Decision(decision) = &record.event {
            // A release stands before what follows from it; one that does not is shown as it is, and replay refuses it.
            wanted.extend(
                decision.release.filter(|release| *release < index && !bundle.entries.contains_key(release)),
            );
        }
        let unproven =
            |refusal| Gap::new(ReplayCode::RecordUnproven, refusal, format_args!("record {index}"));
        let path = log.tree().path_of(index).map_err(unproven)?;
        for id in blobs(&record) {
            match log.blob(&id) {
                Ok(bytes) => drop(bundle.blobs.insert(id, bytes)),
                // What is not there cannot be shown; whoever replays the bundle is told.
                Err(gap) if gap.code == ReplayCode::BlobMissing => {}
                Err(gap) => return Err(gap),
            }
        }
        bundle.entries.insert(index, BundledEntry { bytes: log.tree().entry(index)?, path });
    }
    Ok(bundle)
}
