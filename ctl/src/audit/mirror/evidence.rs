//! The blobs of a bundle of records: each verified under its name, parts before what they are parts of.
//!
//! A blob that the target has is not sent again: its name vouches for it, and only verified ones are ever put. One thing more
//! must hold: a part's file is whole, never a list (`docs/LEDGER.md`, blob files). So a list never takes the place of another
//! file, and a part takes the place of a list. Threat: evidence that is missing in a copy without a word.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kms_ledger::blob::MAX_BLOB_BYTES;
use kms_ledger::blob_file::{self, BlobFile};
use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::{BlobId, LogPath, Record};
use tokio::sync::Mutex;

use super::code::MirrorError;
use super::copy::{BLOBS, Round};

/// How many blobs are remembered to be in the target: some megabytes.
const MAX_KNOWN: usize = 65_536;
/// How many files can be looked at and then put, without another one of the same name between.
const LOCKS: usize = 64;

/// Whether evidence is copied with the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    Copied,
    LeftOut,
}

/// What the target has a blob as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// In any form.
    Any,
    /// By itself, as the parts of others must be.
    Whole,
}

/// What is known of the target's blobs, and of the source's.
pub(super) struct Known {
    there: RefCell<BTreeSet<(BlobId, Form)>>,
    locks: Vec<Mutex<()>>,
    /// Before which record the source has removed evidence.
    pruned: Cell<u64>,
}

impl Known {
    pub(super) fn new() -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::default()).collect();
        Self { there: RefCell::default(), locks, pruned: Cell::new(0) }
    }

    /// Before which record the source has removed evidence.
    pub(super) fn pruned(&self) -> u64 {
        self.pruned.get()
    }

    fn has(&self, id: BlobId, form: Form) -> bool {
        let there = self.there.borrow();
        there.contains(&(id, form)) || there.contains(&(id, Form::Whole))
    }

    fn add(&self, id: BlobId, form: Form) {
        let mut there = self.there.borrow_mut();
        if there.len() >= MAX_KNOWN {
            there.clear();
        }
        there.insert((id, form));
    }

    async fn lock(&self, id: BlobId) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let lock = self.locks.get(usize::from(id.0[0]) % LOCKS)?;
        Some(lock.lock().await)
    }
}

/// A blob's file and the files of its parts, verified.
struct Verified {
    file: Vec<u8>,
    parts: BTreeMap<BlobId, Vec<u8>>,
}

impl Round<'_> {
    /// The blobs that these entries name, from the first that the target does not have yet.
    pub(super) async fn evidence(
        &self,
        first: u64,
        entries: &[Vec<u8>],
        old: u64,
    ) -> Result<(), MirrorError> {
        let mut named = BTreeMap::new();
        for (index, entry) in (first..).zip(entries).filter(|(index, _)| *index >= old) {
            named.extend(Record::decode(entry)?.blobs().into_iter().map(|id| (id, index)));
        }
        named.retain(|id, _| !self.route.known.has(*id, Form::Any));
        let blobs = stream::iter(named).map(|(id, index)| self.blob(id, index)).buffer_unordered(BLOBS);
        blobs.try_collect::<()>().await
    }

    /// A blob, which this record names last.
    async fn blob(&self, id: BlobId, index: u64) -> Result<(), MirrorError> {
        // It is never closed.
        let _permit = self.blobs.acquire().await.ok();
        if self.route.known.has(id, Form::Any) {
            return Ok(());
        }
        if self.route.target.first_byte(LogPath::Blob(id)).await?.is_some() {
            self.counts.there();
        } else {
            match self.verified(id).await {
                Ok(Verified { file, parts }) => {
                    for (part, bytes) in parts {
                        self.part(part, bytes).await?;
                    }
                    self.put(id, file).await?;
                }
                Err(refusal) if refusal.code == LedgerCode::BlobMissing => {
                    return self.missing(index, refusal).await;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        self.route.known.add(id, Form::Any);
        Ok(())
    }

    async fn put(&self, id: BlobId, file: Vec<u8>) -> Result<(), MirrorError> {
        let (path, len) = (LogPath::Blob(id), file.len());
        let _guard = self.route.known.lock(id).await;
        let whole = file.first().copied().is_some_and(blob_file::is_whole);
        if !whole && self.route.target.first_byte(path).await?.is_some() {
            self.counts.there();
            return Ok(());
        }
        self.route.target.put(path, file).await?;
        self.counts.sent(len);
        Ok(())
    }

    /// The file of a part: whole, whatever stands there.
    async fn part(&self, id: BlobId, file: Vec<u8>) -> Result<(), MirrorError> {
        let (path, len) = (LogPath::Blob(id), file.len());
        let _guard = self.route.known.lock(id).await;
        if self.route.known.has(id, Form::Whole) {
            return Ok(());
        }
        if self.route.target.first_byte(path).await?.is_some_and(blob_file::is_whole) {
            self.counts.there();
        } else {
            self.route.target.put(path, file).await?;
            self.counts.sent(len);
        }
        self.route.known.add(id, Form::Whole);
        Ok(())
    }

    /// A blob of the source, with its parts; each has its name.
    async fn verified(&self, id: BlobId) -> Result<Verified, LedgerRefusal> {
        let file = self.fetched(id).await?;
        let decoded = BlobFile::decode(&file)?;
        let mut parts = BTreeMap::new();
        // Every part is in the blob at least once: together they are no larger than a blob can be.
        let mut left = MAX_BLOB_BYTES;
        for part in decoded.needs() {
            let bytes = self.fetched(part).await?;
            left = left.checked_sub(bytes.len().saturating_sub(1)).ok_or_else(|| {
                LedgerRefusal::new(
                    LedgerCode::Blob,
                    format!("parts of {id} that are too large"),
                    "parts of one blob",
                )
            })?;
            let none = |id| {
                Err(LedgerRefusal::new(LedgerCode::Blob, format!("a part that needs {id}"), "a whole file"))
            };
            BlobFile::decode(&bytes)?.assemble(part, none)?;
            parts.insert(part, bytes);
        }
        let piece = |part| parts.get(&part).cloned().ok_or_else(|| missing(part));
        decoded.assemble(id, piece)?;
        Ok(Verified { file, parts })
    }

    async fn fetched(&self, id: BlobId) -> Result<Vec<u8>, LedgerRefusal> {
        self.route.source.get(LogPath::Blob(id)).await?.ok_or_else(|| missing(id))
    }

    /// A blob that the source does not have: fine, if it says so of the record that names it.
    async fn missing(&self, index: u64, refusal: LedgerRefusal) -> Result<(), MirrorError> {
        let known = self.route.known;
        if index >= known.pruned() {
            // It may have been removed meanwhile.
            known.pruned.set(self.reader.files().pruned().await?);
        }
        if index < known.pruned() {
            self.counts.pruned.update(|pruned| pruned + 1);
            return Ok(());
        }
        let found = format!("nothing, and record {index} names it; --no-evidence leaves all of it out");
        Err(LedgerRefusal { found, ..refusal }.into())
    }
}

fn missing(id: BlobId) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::BlobMissing, "nothing", LogPath::Blob(id))
}
