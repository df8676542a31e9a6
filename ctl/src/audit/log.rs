//! A log under a signed checkpoint: its records, each shown to stand in the tree, and its blobs, each under its name.
//!
//! ```text
//! checkpoint, key ─▶ SignedCheckpoint ─┐ root
//! entry bundle ─▶ leaf hashes ─▶ tiles ─┴▶ inclusion ─▶ Record
//! ```
//!
//! A whole entry bundle is shown by one inclusion proof, in which the bundle's own hashes stand for its tile. Without a
//! pinned key, the key is the one in the log's first record, once a genuine quote has vouched for it. Threat: a source that
//! shows records which the log never signed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kms_attestation::RootOfTrust;
use kms_attestation::refusal::{Refusal, StableCode};
use kms_ledger::audit_bundle::AuditBundle;
use kms_ledger::blob_file::BlobFile;
use kms_ledger::hash::TreeHash;
use kms_ledger::note::{LogKey, SignedNote};
use kms_ledger::record::Event;
use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::replay::{
    Archive, Gap, Indices, LogIdentity, ReplayCode, Replayed, Replayer, no_blob, no_record,
};
use kms_ledger::tree::{
    Level, Plan, TILE_WIDTH, Tile, TileKind, Tiles, decode_bundle, decode_hashes, verify_inclusion,
};
use kms_ledger::{BlobId, Checkpoint, LogPath, Record, SignedCheckpoint};

use super::files::Files;
use super::finding::{AuditCode, Code, Finding, Place};
use crate::outcome::Exit;

/// How many entry bundles are kept: of 4 MiB at most, mostly of 200 KiB.
const KEPT_ENTRIES: usize = 16;
/// How many tiles of hashes are kept, of 8 KiB.
const KEPT_TILES: usize = 1024;
/// How many blobs, and how many parts of blobs, are kept: of 8 MiB at most, mostly of 20 KiB.
const KEPT_BLOBS: usize = 32;

/// Why there is no log to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The source cannot be had.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Unavailable(LedgerRefusal),
    /// The log is refused.
    #[error("{}", .0.text().trim_end())]
    Refused(Box<Finding>),
}

impl OpenError {
    /// What it means for whoever asked.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Unavailable(_) => Exit::Undecided,
            Self::Refused(_) => Exit::Refused,
        }
    }

    pub(super) fn refused<C: StableCode>(place: Place, refusal: Refusal<C>) -> Self
    where
        Code: From<C>,
    {
        Self::Refused(Box::new(Finding::new(place, refusal)))
    }
}

/// Whence the log's key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFrom {
    /// The auditor pinned it.
    Pinned,
    /// The log's first record, vouched for by a genuine quote.
    Quote,
}

/// Which checkpoint of a log's files counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Latest {
    /// The newest.
    Published,
    /// The newest that enough witnesses have cosigned; where a log has no such file, the newest must be that.
    Witnessed,
}

impl Latest {
    fn read(self, files: &Files) -> Result<Vec<u8>, OpenError> {
        let get = |path| files.get(path).map_err(OpenError::Unavailable);
        let witnessed = if self == Self::Witnessed { get(LogPath::Witnessed)? } else { None };
        let file = match witnessed {
            None => get(LogPath::Checkpoint)?,
            witnessed => witnessed,
        };
        file.ok_or_else(|| OpenError::refused(Place::Checkpoint, missing(LogPath::Checkpoint)))
    }
}

/// Where the log's parts are.
pub(super) enum Parts {
    Files(Files),
    Bundle(AuditBundle),
}

/// Entries of a bundle that stand in the tree.
type Entries = Arc<Vec<Vec<u8>>>;

/// Its parts under one root.
pub(super) struct Tree {
    parts: Parts,
    checkpoint: Checkpoint,
    entries: Kept<u64, Vec<Vec<u8>>>,
    tiles: Kept<Tile, Vec<TreeHash>>,
    pieces: Kept<BlobId, Vec<u8>>,
    blobs: Kept<BlobId, Vec<u8>>,
    /// The first time that the source could not be had.
    trouble: Mutex<Option<LedgerRefusal>>,
}

/// A log.
pub(super) struct Log {
    tree: Tree,
    pub(super) signed: SignedCheckpoint,
    pub(super) key: LogKey,
    pub(super) key_from: KeyFrom,
}

/// A few of many things, by name; begun anew when full.
struct Kept<K, V> {
    most: usize,
    things: Mutex<HashMap<K, Arc<V>>>,
}

impl<K: std::hash::Hash + Eq + Copy, V> Kept<K, V> {
    fn new(most: usize) -> Self {
        Self { most, things: Mutex::default() }
    }

    fn get<E>(&self, name: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        if let Some(kept) = self.things.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Arc::clone(kept));
        }
        let new = Arc::new(make()?);
        let mut entries = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(name, Arc::clone(&new));
        Ok(new)
    }
}

impl Log {
    /// Opens a log. With a pinned key, that key must have signed it; without one, the key of its first record, which a quote
    /// under this root of trust must vouch for.
    pub(super) fn open(
        parts: Parts,
        pinned: Option<&LogKey>,
        root: RootOfTrust,
        latest: Latest,
    ) -> Result<Self, OpenError> {
        let bytes = match &parts {
            Parts::Bundle(bundle) => bundle.checkpoint.clone(),
            Parts::Files(files) => latest.read(files)?,
        };
        let refused = |refusal: LedgerRefusal| OpenError::refused(Place::Checkpoint, refusal);
        if let Some(key) = pinned {
            let signed = SignedCheckpoint::open(&bytes, key).map_err(refused)?;
            let tree = Tree::new(parts, signed.checkpoint().clone());
            return Ok(Self { tree, signed, key: key.clone(), key_from: KeyFrom::Pinned });
        }
        let note = SignedNote::decode(&bytes).map_err(refused)?;
        let checkpoint = Checkpoint::decode(note.text()).map_err(refused)?;
        let tree = Tree::new(parts, checkpoint);
        let key = tree.own_key(root)?;
        let signed = SignedCheckpoint::open(&bytes, &key).map_err(refused)?;
        Ok(Self { tree, signed, key, key_from: KeyFrom::Quote })
    }

    /// How many records it has.
    pub(super) fn size(&self) -> u64 {
        self.tree.checkpoint.size
    }

    /// Whether the log continues what was seen of it before. A bundle can show that for its own size alone.
    pub(super) fn continues(&self, older: &Checkpoint) -> Result<(), Finding> {
        let found = |refusal: LedgerRefusal| Finding::new(Place::Checkpoint, refusal);
        let checkpoint = self.signed.checkpoint();
        match &self.tree.parts {
            Parts::Files(files) => files.continues(&self.signed, older).map_err(|refusal| {
                if refusal.code == LedgerCode::LogSource {
                    self.tree.note(refusal.clone());
                }
                found(refusal)
            }),
            Parts::Bundle(_) if checkpoint.size != older.size => {
                let expected = format!("a log of {} records, or its files", older.size);
                Err(found(LedgerRefusal::new(LedgerCode::LogFileMissing, "a bundle without tiles", expected)))
            }
            Parts::Bundle(_) if checkpoint.root != older.root => {
                Err(found(LedgerRefusal::new(LedgerCode::LogForked, checkpoint.root, older.root)))
            }
            Parts::Bundle(_) => Ok(()),
        }
    }

    /// The tree, for those who look at all of it.
    pub(super) const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Which log it is, for replay.
    pub(super) fn identity(&self) -> LogIdentity {
        LogIdentity {
            origin: self.tree.checkpoint.origin.as_str().to_owned(),
            key: Some(*self.key.public_key()),
        }
    }

    /// The records that can be had: all of a log's files, some of a bundle.
    pub(super) fn indices(&self) -> Indices {
        match &self.tree.parts {
            Parts::Files(_) => Indices::Range(0..self.size()),
            Parts::Bundle(bundle) => Indices::List(bundle.entries.keys().copied().collect()),
        }
    }
}

impl Archive for Log {
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap> {
        self.tree.record(index)
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap> {
        self.tree.blob(id)
    }
}

impl Archive for Tree {
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap> {
        let bytes = self.entry(index)?;
        let unproven = |refusal: LedgerRefusal| Gap::new(ReplayCode::RecordUnproven, refusal, "a record");
        Record::decode(&bytes).map(Arc::new).map_err(unproven)
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap> {
        match &self.parts {
            Parts::Bundle(bundle) => bundle.blobs.get(id).cloned().ok_or_else(|| no_blob(id)),
            Parts::Files(_) => {
                self.blobs.get(*id, || self.assembled(*id)).map(|bytes| bytes.as_slice().into())
            }
        }
    }
}

impl Tree {
    fn new(parts: Parts, checkpoint: Checkpoint) -> Self {
        Self {
            parts,
            checkpoint,
            entries: Kept::new(KEPT_ENTRIES),
            tiles: Kept::new(KEPT_TILES),
            pieces: Kept::new(KEPT_BLOBS),
            blobs: Kept::new(KEPT_BLOBS),
            trouble: Mutex::default(),
        }
    }

    /// What it was signed as.
    pub(super) const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whether only some records are here.
    pub(super) const fn is_bundle(&self) -> bool {
        matches!(self.parts, Parts::Bundle(_))
    }

    /// Why the source could not be had, if it could not.
    pub(super) fn trouble(&self) -> Option<LedgerRefusal> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key in the first record, vouched for by its quote.
    fn own_key(&self, root: RootOfTrust) -> Result<LogKey, OpenError> {
        let unbound = |found: String| {
            let expected = "a genuine quote over the log's key, in its first record";
            OpenError::refused(Place::Entry(0), Refusal::new(AuditCode::KeyUnbound, found, expected))
        };
        let record = self.record(0).map_err(|gap| self.unavailable(unbound(gap.to_string())))?;
        let Event::Started(started) = &record.event else {
            return Err(unbound("a first record of something else".to_owned()));
        };
        let origin = self.checkpoint.origin.clone();
        let log = LogIdentity { origin: origin.as_str().to_owned(), key: Some(started.log_key) };
        match Replayer::new(root, Some(log)).replay(self, 0, &record) {
            Replayed::Identical => Ok(LogKey::new(origin, started.log_key)),
            Replayed::Different(difference) => Err(unbound(difference.recorded)),
            Replayed::NotReplayable { why } => Err(self.unavailable(unbound(why.to_string()))),
            other => Err(unbound(other.name().to_owned())),
        }
    }

    /// What could not be had is no fault of the log.
    fn unavailable(&self, refused: OpenError) -> OpenError {
        self.trouble().map_or(refused, OpenError::Unavailable)
    }

    fn note(&self, trouble: LedgerRefusal) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
    }

    /// A file; none where there is none, or where the source could not be had, which is noted.
    pub(super) fn file(&self, path: LogPath) -> Option<Vec<u8>> {
        let Parts::Files(files) = &self.parts else { return None };
        match files.get(path) {
            Ok(file) => file,
            // It is there, and no form of such a file: whoever reads it says so.
            Err(error) if error.code == LedgerCode::LogFileTooLarge => Some(Vec::new()),
            Err(error) => {
                self.note(error);
                None
            }
        }
    }

    fn assembled(&self, id: BlobId) -> Result<Vec<u8>, Gap> {
        let Some(file) = self.file(LogPath::Blob(id)) else {
            let unavailable = |error| Gap::new(ReplayCode::SourceUnavailable, error, "the file");
            return Err(self.trouble().map_or_else(|| no_blob(&id), unavailable));
        };
        let damaged = |refusal: LedgerRefusal| Gap::new(ReplayCode::BlobDamaged, refusal, id);
        BlobFile::decode(&file).and_then(|file| file.assemble(id, |part| self.piece(part))).map_err(damaged)
    }

    /// The file of a part of blobs: many share one.
    fn piece(&self, id: BlobId) -> Result<Vec<u8>, LedgerRefusal> {
        let path = LogPath::Blob(id);
        let piece = self.pieces.get(id, || self.file(path).ok_or_else(|| missing(path)))?;
        Ok((*piece).clone())
    }

    /// The bytes of a record that stands in the tree.
    pub(super) fn entry(&self, index: u64) -> Result<Vec<u8>, Gap> {
        if index >= self.checkpoint.size {
            return Err(no_record(index));
        }
        let unproven = |refusal: LedgerRefusal| match self.trouble() {
            Some(error) => Gap::new(ReplayCode::SourceUnavailable, error, "the file"),
            None => Gap::new(ReplayCode::RecordUnproven, refusal, format_args!("record {index} of the log")),
        };
        match &self.parts {
            Parts::Bundle(bundle) => {
                let entry = bundle.entries.get(&index).ok_or_else(|| no_record(index))?;
                let (size, leaf) = (self.checkpoint.size, TreeHash::leaf(&entry.bytes));
                let proven = verify_inclusion(index, size, leaf, &entry.path, self.checkpoint.root);
                proven.map(|()| entry.bytes.clone()).map_err(unproven)
            }
            Parts::Files(_) => {
                let number = index / TILE_WIDTH as u64;
                let entries: Entries = self.entries.get(number, || self.proven(number)).map_err(unproven)?;
                let at = usize::try_from(index % TILE_WIDTH as u64).unwrap_or(usize::MAX);
                entries.get(at).cloned().ok_or_else(|| no_record(index))
            }
        }
    }

    /// The entries of a bundle, shown to stand in the tree.
    fn proven(&self, number: u64) -> Result<Vec<Vec<u8>>, LedgerRefusal> {
        let (entries, leaves) = self.bundle(number)?;
        self.check_leaves(number, &leaves)?;
        Ok(entries)
    }

    /// The entries of a bundle and their hashes, as they are there.
    pub(super) fn bundle(&self, number: u64) -> Result<(Vec<Vec<u8>>, Vec<TreeHash>), LedgerRefusal> {
        let tile = self.tile_of(TileKind::Entries, number)?;
        let (found, bytes) = self.newest(tile)?;
        let entries = decode_bundle(&bytes, found.width())?.into_iter().take(tile.width().get());
        let entries: Vec<Vec<u8>> = entries.map(<[u8]>::to_vec).collect();
        let leaves = entries.iter().map(|entry| TreeHash::leaf(entry)).collect();
        Ok((entries, leaves))
    }

    /// Shows that these are the leaves of a bundle: by the way of its first to the root, on which all the others lie.
    pub(super) fn check_leaves(&self, number: u64, leaves: &[TreeHash]) -> Result<(), LedgerRefusal> {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let first = number * TILE_WIDTH as u64;
        let tile = self.tile_of(TileKind::Hashes(Level::LEAVES), number)?;
        let path = Plan::inclusion(first, size)?.hashes(&Instead { tree: self, tile, leaves })?;
        let leaf = leaves.first().copied().unwrap_or_else(TreeHash::empty);
        verify_inclusion(first, size, leaf, &path, root)
    }

    fn tile_of(&self, kind: TileKind, number: u64) -> Result<Tile, LedgerRefusal> {
        let first = number.saturating_mul(TILE_WIDTH as u64);
        let out_of_range = || LedgerRefusal::new(LedgerCode::LogRange, first, "an entry of the log");
        Tile::holding(kind, first, self.checkpoint.size).ok_or_else(out_of_range)
    }

    /// The file of a tile. A partial one may be gone once the full one is there, of which it is the beginning.
    fn newest(&self, tile: Tile) -> Result<(Tile, Vec<u8>), LedgerRefusal> {
        let read = |tile| self.file(LogPath::Tile(tile)).map(|bytes| (tile, bytes));
        read(tile).or_else(|| read(tile.when_full())).ok_or_else(|| missing(LogPath::Tile(tile)))
    }

    /// The hashes of a tile, as they are there.
    pub(super) fn tile(&self, tile: Tile) -> Result<Vec<TreeHash>, LedgerRefusal> {
        let (found, bytes) = self.newest(tile)?;
        let mut hashes = decode_hashes(&bytes, found.width())?;
        hashes.truncate(tile.width().get());
        Ok(hashes)
    }

    /// The way of a record to the root, for a bundle.
    pub(super) fn path_of(&self, index: u64) -> Result<Vec<TreeHash>, LedgerRefusal> {
        Plan::inclusion(index, self.checkpoint.size)?.hashes(self)
    }
}

impl Tiles for Tree {
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal> {
        self.tiles.get(tile, || self.tile(tile)).map(|hashes| Cow::Owned((*hashes).clone()))
    }
}

/// The tree, with one tile's hashes from elsewhere.
struct Instead<'a> {
    tree: &'a Tree,
    tile: Tile,
    leaves: &'a [TreeHash],
}

impl Tiles for Instead<'_> {
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal> {
        if tile == self.tile { Ok(Cow::Borrowed(self.leaves)) } else { self.tree.hashes(tile) }
    }
}

fn missing(path: LogPath) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogFileMissing, "nothing", path)
}
