//! The evidence beside a log: which blobs are there under their names, which were removed with a word, which are lost, and
//! whether this source has any at all.
//!
//! ```text
//! missing ─┬─ only records before `pruned` name it ─▶ removed, as the log says: no finding
//!          ├─ no blob is there at all              ─▶ withheld: the source does not have evidence
//!          └─ others are there                     ─▶ lost: a finding
//! ```
//!
//! Nobody signs `pruned`: the report says so, and up to where. Threat: evidence that goes missing without a word.

use std::collections::{BTreeMap, BTreeSet};

use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::{BlobId, LogPath};
use serde::Serialize;

use super::Verified;
use crate::audit::finding::Place;
use crate::audit::log::{Log, OpenError};

/// Whether evidence is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Wanted {
    /// Every blob that a record names.
    All,
    /// None: for a source that is known to withhold it.
    Nothing,
}

/// What there is of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::audit) enum State {
    /// Every blob is there.
    Complete,
    /// All but what was removed with a word.
    Pruned,
    /// Blobs are gone that should be there.
    Lost,
    /// Not one blob is there.
    Withheld,
    /// A bundle without some of what its records name.
    Incomplete,
    /// It was not looked at.
    #[default]
    Unasked,
}

/// What there is of the evidence, counted.
#[derive(Debug, Default, Serialize)]
pub(in crate::audit) struct Found {
    pub(in crate::audit) evidence: State,
    /// Blobs that have the bytes that they are named by.
    pub(in crate::audit) blobs: u64,
    /// Blobs that are not there, and should be.
    pub(in crate::audit) blobs_missing: u64,
    /// Blobs that are not there, and that only records before `pruned_before` name.
    pub(in crate::audit) blobs_pruned: u64,
    /// Before which record evidence may be missing, as the log says.
    pub(in crate::audit) pruned_before: u64,
}

impl Found {
    /// Whether there was nothing to look at.
    pub(in crate::audit) const fn is_untold(&self) -> bool {
        matches!(self.evidence, State::Withheld | State::Incomplete)
    }
}

/// The evidence of a log, as records name it.
pub(super) struct Evidence<'a> {
    log: &'a Log,
    wanted: Wanted,
    found: Found,
    /// Those that need not be looked at again.
    seen: BTreeSet<BlobId>,
    /// Those that are gone, and that only old records have named so far.
    gone: BTreeSet<BlobId>,
    /// Those that are gone, and the first record that still needs them.
    lost: BTreeMap<BlobId, u64>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(log: &'a Log, wanted: Wanted) -> Result<Self, OpenError> {
        let found = Found { pruned_before: log.pruned()?.min(log.size()), ..Found::default() };
        let (seen, gone, lost) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Ok(Self { log, wanted, found, seen, gone, lost })
    }

    /// Looks at a blob that a record names. Refused where the source cannot be had.
    pub(super) fn take(
        &mut self,
        index: u64,
        id: BlobId,
        verified: &mut Verified,
    ) -> Result<(), LedgerRefusal> {
        let old = index < self.found.pruned_before;
        if self.wanted == Wanted::Nothing || self.seen.contains(&id) || (old && self.gone.contains(&id)) {
            return Ok(());
        }
        // A younger record needs what an older one could do without.
        let missing = self.gone.remove(&id) || {
            match self.log.bytes_of(id) {
                Ok(_) => {
                    self.found.blobs += 1;
                    false
                }
                Err(refusal) if refusal.code == LedgerCode::BlobMissing => true,
                Err(refusal) if refusal.code == LedgerCode::LogSource => return Err(refusal),
                Err(mut refusal) => {
                    refusal.found = format!("{}, and record {index} names it", refusal.found);
                    verified.find(Place::File(LogPath::Blob(id).to_string()), refusal);
                    false
                }
            }
        };
        if missing && old {
            self.gone.insert(id);
            return Ok(());
        }
        self.seen.insert(id);
        if missing {
            self.lost.insert(id, index);
        }
        Ok(())
    }

    /// What came of it.
    pub(super) fn end(mut self, verified: &mut Verified) {
        self.found.blobs_missing = self.lost.len() as u64;
        self.found.blobs_pruned = self.gone.len() as u64;
        self.found.evidence = self.state();
        if self.found.evidence == State::Lost {
            for (id, index) in self.lost {
                let found = format!("nothing, and record {index} names it");
                let refusal = LedgerRefusal::new(LedgerCode::BlobMissing, found, id);
                verified.find(Place::File(LogPath::Blob(id).to_string()), refusal);
            }
        }
        verified.evidence = self.found;
    }

    fn state(&self) -> State {
        if self.wanted == Wanted::Nothing {
            return State::Unasked;
        }
        match (self.lost.is_empty(), self.gone.is_empty()) {
            (true, true) => State::Complete,
            (true, false) => State::Pruned,
            (false, _) if self.log.reader().is_none() => State::Incomplete,
            (false, _) if self.found.blobs == 0 => State::Withheld,
            (false, _) => State::Lost,
        }
    }
}
