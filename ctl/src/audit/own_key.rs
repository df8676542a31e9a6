//! The key of a log that nobody pinned: the one in its first record, once a genuine quote has vouched for it.
//!
//! ```text
//! first record, as it lies there ─▶ key ─▶ checkpoint signed by it ─▶ a start in that tree ─▶ quote over this key
//! ```
//!
//! The key that is read first proves nothing; the quote of a start that stands in the tree it signed does. The first
//! record's evidence may have been removed: then that of a later start counts. Threat: a log of anybody's, under a key that
//! no enclave has.

use kms_attestation::RootOfTrust;
use kms_attestation::refusal::Refusal;
use kms_ledger::note::{LogKey, SignedNote};
use kms_ledger::record::Event;
use kms_ledger::refusal::LedgerRefusal;
use kms_ledger::replay::{Archive as _, Gap, ReplayCode, Replayed, Replayer};
use kms_ledger::{Checkpoint, Record};

use super::finding::{AuditCode, Place};
use super::log::{Log, OpenError};

/// The key that the first record names, for a checkpoint of this origin.
pub(super) fn named(
    checkpoint: &[u8],
    first: impl FnOnce(u64) -> Result<Vec<u8>, LedgerRefusal>,
) -> Result<LogKey, OpenError> {
    let refused = |refusal: LedgerRefusal| OpenError::refused(Place::Checkpoint, refusal);
    let note = SignedNote::decode(checkpoint).map_err(refused)?;
    let Checkpoint { origin, size, .. } = Checkpoint::decode(note.text()).map_err(refused)?;
    let bytes = first(size).map_err(|refusal| OpenError::of_ledger(Place::Entry(0), refusal))?;
    let record = Record::decode(&bytes).map_err(|refusal| unbound(&refusal.to_string()))?;
    match record.event {
        Event::Started(started) => Ok(LogKey::new(origin, started.log_key)),
        _ => Err(unbound("a first record of something else")),
    }
}

/// Refused unless a quote of a start vouches for the key that signed the log.
pub(super) fn vouched(log: &Log, root: RootOfTrust) -> Result<(), OpenError> {
    let replayer = Replayer::new(root, Some(log.identity()));
    let again = |index| log.record(index).map(|record| replayer.replay(log, index, &record));
    match again(0).map_err(unproven)? {
        Replayed::Identical => Ok(()),
        Replayed::NotReplayable { why } if why.code == ReplayCode::BlobMissing => {
            // Evidence is removed from the oldest on; every start has a quote over the key.
            let pruned = log.pruned()?;
            let starts = if pruned == 0 { 0..0 } else { pruned..log.size() };
            for index in starts {
                let record = log.record(index).map_err(unproven)?;
                let start = matches!(record.event, Event::Started(_));
                if start && replayer.replay(log, index, &record) == Replayed::Identical {
                    return Ok(());
                }
            }
            Err(unproven(why))
        }
        Replayed::NotReplayable { why } => Err(unproven(why)),
        Replayed::Different(difference) => Err(unbound(&difference.recorded)),
        other => Err(unbound(other.name())),
    }
}

fn unproven(gap: Gap) -> OpenError {
    match gap.code {
        ReplayCode::SourceUnavailable => OpenError::Unavailable(LedgerRefusal {
            code: kms_ledger::LedgerCode::LogSource,
            found: gap.found,
            expected: gap.expected,
        }),
        _ => unbound(&gap.to_string()),
    }
}

fn unbound(found: &str) -> OpenError {
    let expected = "a genuine quote over the log's key, in its first record";
    OpenError::refused(Place::Entry(0), Refusal::quoting(AuditCode::KeyUnbound, found, expected))
}
