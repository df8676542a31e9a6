//! From the journal to static files: blobs, entry bundles, tiles, then the checkpoint that covers them.
//!
//! ```text
//! journal from the cursor on ─▶ files ─▶ sync of all ─▶ checkpoint, signed and put in place ─▶ the journal is cut
//! ```
//!
//! Reads only what the journal holds durably, so a checkpoint never covers an entry that a crash can take. Opening the
//! store is the same work: the cursor stands behind what is published, and whatever the last process left is written again.
//! A round that failed is done again from its start, because after a failed sync nothing that it wrote may be believed.
//! Owned by one thread. Threats: a checkpoint over entries that are lost; a file that a checkpoint covers and that is torn.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::Arc;

use super::Shared;
use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::journal::{self, Durable, Frame, Position, Segment, Unreadable};
use super::layout;
use super::sign::Signing;
use super::tiles::DiskTiles;
use crate::blob::BlobId;
use crate::blob_file::{self, BlobFile, MAX_BLOB_FILE_BYTES};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::tree::{Edge, Level, TILE_WIDTH, Tile, TileHashes, TileKind, Width, append_entry};

/// After how many bytes of the journal a checkpoint is made, though more is waiting.
const ROUND_BYTES: u64 = 64 * 1024 * 1024;

/// How many marks are remembered: a megabyte or two.
const MAX_PARTS: usize = 32 * 1024;

/// The right edge of the published log.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) edge: Edge,
    /// The entries of the partial bundle, as they stand in it.
    pub(super) bundle: Vec<u8>,
}

/// Publishes what is durable.
pub(super) struct Publisher {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) signing: Signing,
    published: Published,
    /// Everything before it is published.
    cursor: Position,
    /// Tiles that are full: their partial files are no longer needed.
    outgrown: BTreeSet<Tile>,
    /// Blobs that are marked as parts of others.
    parts: HashSet<BlobId>,
}

impl Publisher {
    pub(super) fn new(disk: Arc<dyn Disk>, signing: Signing, published: Published, cursor: Position) -> Self {
        let outgrown = last_full(published.edge.size());
        Self { disk, signing, published, cursor, outgrown, parts: HashSet::new() }
    }

    /// How many entries are published.
    pub(super) const fn size(&self) -> u64 {
        self.published.edge.size()
    }

    /// Publishes all that is durable now.
    pub(super) fn publish(&mut self, shared: &Shared) -> Result<(), StoreFault> {
        let goal = shared.durable();
        if self.size() == goal.size && self.outgrown.is_empty() {
            return Ok(());
        }
        while self.size() < goal.size {
            let checkpoint = self.round(&goal)?;
            shared.set_published(checkpoint);
        }
        self.clean()
    }

    /// Publishes some of it, and returns the checkpoint over that.
    fn round(&mut self, goal: &Durable) -> Result<SignedCheckpoint, StoreFault> {
        let mut round = Round {
            disk: &*self.disk,
            standing: self.published.edge.partials(),
            grown: self.published.clone(),
            position: self.cursor,
            full: BTreeSet::new(),
            // Of a round that fails, nothing may be remembered.
            parts: mem::take(&mut self.parts),
        };
        round.run(goal)?;
        let Round { grown, position, full, parts, .. } = round;
        self.parts = if parts.len() < MAX_PARTS { parts } else { HashSet::new() };
        let checkpoint = self.sign(&grown.edge)?;
        (self.published, self.cursor) = (grown, position);
        self.outgrown.extend(full);
        Ok(checkpoint)
    }

    /// Signs the tree and puts the checkpoint in its place. Everything that it covers must be durable.
    fn sign(&self, edge: &Edge) -> Result<SignedCheckpoint, StoreFault> {
        let checkpoint = self.signing.sign(edge)?;
        put_checkpoint(&*self.disk, &checkpoint)?;
        Ok(checkpoint)
    }

    /// Removes the segments that are published, and partial tiles of full ones. The specification lets a log keep the
    /// partial tiles of older checkpoints until the full one is there, so that a slow reader still finds them.
    fn clean(&mut self) -> Result<(), StoreFault> {
        for sequence in journal::sequences(&*self.disk)? {
            if sequence < self.cursor.sequence {
                let path = journal::path(sequence);
                self.disk.remove(&path).map_err(fault::disk(format_args!("removing {path}")))?;
            }
        }
        while let Some(tile) = self.outgrown.first().copied() {
            let folder = format!("{}.p", layout::tile(tile));
            remove_files(&*self.disk, &folder).map_err(fault::disk(format_args!("removing {folder}")))?;
            self.outgrown.remove(&tile);
        }
        Ok(())
    }
}

/// Puts a checkpoint in its place, durably.
pub(super) fn put_checkpoint(disk: &dyn Disk, checkpoint: &SignedCheckpoint) -> Result<(), StoreFault> {
    let put = layout::put_durably(disk, layout::CHECKPOINT, checkpoint.encode().as_bytes());
    put.map_err(fault::disk("writing the checkpoint"))
}

fn remove_files(disk: &dyn Disk, folder: &str) -> std::io::Result<()> {
    let names = disk.list(folder)?;
    if names.is_empty() {
        return Ok(());
    }
    names.iter().try_for_each(|name| disk.remove(&format!("{folder}/{name}")))?;
    disk.remove_folder(folder)
}

/// The last full tile of each level, and the last full bundle: a process that stopped may have left partial ones.
fn last_full(size: u64) -> BTreeSet<Tile> {
    let kinds = Level::all().map(TileKind::Hashes).chain([TileKind::Entries]);
    let last = |kind: TileKind| {
        let index = (kind.level().hashes_in(size) / TILE_WIDTH as u64).checked_sub(1)?;
        Tile::new(kind, index, Width::FULL)
    };
    kinds.filter_map(last).collect()
}

/// One round: what is written before the checkpoint.
struct Round<'a> {
    disk: &'a dyn Disk,
    /// Tiles that the checkpoint in the log covers. They are not written again: a file that takes the place of another may
    /// be empty after a crash, and these are read before the journal is.
    standing: Vec<TileHashes>,
    grown: Published,
    position: Position,
    full: BTreeSet<Tile>,
    parts: HashSet<BlobId>,
}

impl Round<'_> {
    /// Writes files for the journal up to the goal, or for as much of it as a round takes, and makes them durable.
    fn run(&mut self, goal: &Durable) -> Result<(), StoreFault> {
        let mut bytes = 0;
        while self.grown.edge.size() < goal.size && bytes < ROUND_BYTES {
            if self.position == goal.position {
                let found = format!("a journal that ends at {}", self.grown.edge.size());
                return Err(fault::damaged(found, goal.size));
            }
            bytes += self.segment(goal, ROUND_BYTES - bytes)?;
        }
        for tile in self.grown.edge.partials() {
            if !self.standing.contains(&tile) {
                self.put_hashes(&tile)?;
            }
        }
        if let Some(tile) = Tile::partial_bundle(self.grown.edge.size()) {
            self.put(&layout::tile(tile), &self.grown.bundle)?;
        }
        self.disk.sync_all().map_err(fault::disk("syncing the published files"))
    }

    /// Takes in the rest of a segment, or of what is durable of it; how many bytes that were.
    fn segment(&mut self, goal: &Durable, most: u64) -> Result<u64, StoreFault> {
        let sequence = self.position.sequence;
        let segment = open_segment(self.disk, sequence)?;
        let start = self.position.offset;
        let end = if sequence == goal.position.sequence { goal.position.offset } else { segment.1 };
        let disk = self.disk;
        let mut frames = segment.0.frames(disk, start, end);
        loop {
            let entry = match frames.next() {
                Ok(Some(frame)) => self.frame(&frame)?,
                Ok(None) => break,
                Err(fault) => return Err(unreadable(sequence, frames.offset(), fault)),
            };
            self.position.offset = frames.offset();
            // A round ends behind an entry: blobs belong to the entry after them.
            if entry && self.position.offset - start >= most {
                return Ok(self.position.offset - start);
            }
        }
        if sequence < goal.position.sequence {
            self.position = Position { sequence: sequence + 1, offset: 0 };
        }
        Ok(end.saturating_sub(start))
    }

    /// Takes in a frame, and says whether it was an entry.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<bool, StoreFault> {
        match frame {
            Frame::Batch { .. } => Ok(false),
            Frame::Blob { id, bytes } => {
                self.put(&layout::blob(*id), &blob_file::encode_whole(bytes)).map(|()| false)
            }
            Frame::File { id, file } => self.put_blob_file(*id, file).map(|()| false),
            Frame::Entry { leaf, record } => self.entry(*leaf, record).map(|()| true),
        }
    }

    /// A file that holds its blob by itself is never replaced by a list: others may have the blob as a part.
    fn put_blob_file(&mut self, id: BlobId, file: &[u8]) -> Result<(), StoreFault> {
        let path = layout::blob(id);
        if file.first().copied().is_some_and(blob_file::is_whole) {
            return self.put(&path, file);
        }
        for part in BlobFile::decode(file)?.needs() {
            if self.parts.insert(part) {
                self.put(&layout::part(part), &[])?;
            }
        }
        if holds_whole(self.disk, id, &path) { Ok(()) } else { self.put(&path, file) }
    }

    fn entry(&mut self, leaf: TreeHash, record: &[u8]) -> Result<(), StoreFault> {
        append_entry(&mut self.grown.bundle, record)?;
        for tile in self.grown.edge.append(leaf) {
            self.put_hashes(&tile)?;
            self.full.insert(tile.tile);
        }
        let entries = self.grown.edge.size();
        if entries.is_multiple_of(TILE_WIDTH as u64) {
            let bundle = Tile::holding(TileKind::Entries, entries - 1, entries);
            if let Some(bundle) = bundle {
                self.put(&layout::tile(bundle), &self.grown.bundle)?;
                self.full.insert(bundle);
            }
            self.grown.bundle.clear();
        }
        Ok(())
    }

    fn put_hashes(&self, tile: &TileHashes) -> Result<(), StoreFault> {
        self.put(&layout::tile(tile.tile), &tile.encode())
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreFault> {
        layout::put(self.disk, path, bytes).map_err(fault::disk(format_args!("writing {path}")))
    }
}

/// Whether a file is there that holds the blob by itself, undamaged.
fn holds_whole(disk: &dyn Disk, id: BlobId, path: &str) -> bool {
    let read = || {
        let file =
            disk.length(path).ok().flatten().and_then(|_| disk.read(path, 0, MAX_BLOB_FILE_BYTES).ok())?;
        let whole = file.first().copied().is_some_and(blob_file::is_whole);
        let decoded = BlobFile::decode(&file).ok().filter(|_| whole)?;
        decoded.assemble(id, |part| Err(fault::damaged(part, "a file without parts"))).ok()
    };
    read().is_some()
}

fn open_segment(disk: &dyn Disk, sequence: u64) -> Result<(Segment, u64), StoreFault> {
    let segment = Segment::open(disk, sequence)?;
    segment.ok_or_else(|| fault::damaged(journal::path(sequence), "a segment with a head"))
}

fn unreadable(sequence: u64, offset: u64, unreadable: Unreadable) -> StoreFault {
    let path = journal::path(sequence);
    match unreadable {
        Unreadable::Disk(error) => fault::disk(format_args!("reading {path}"))(error),
        Unreadable::NoFrame => fault::damaged(
            format_args!("{path}: no frame at byte {offset}"),
            "the frames that were written there",
        ),
    }
}

/// Checks that the partial bundle has the entries whose hashes the tree has, and returns its bytes.
pub(super) fn read_bundle(disk: &dyn Disk, edge: &Edge) -> Result<Vec<u8>, StoreFault> {
    let Some(tile) = Tile::partial_bundle(edge.size()) else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    let mut leaves = Vec::new();
    for entry in (DiskTiles { disk, size: edge.size() }).entries(tile)? {
        append_entry(&mut bytes, &entry)?;
        leaves.push(TreeHash::leaf(&entry));
    }
    let hashes = edge.partials().into_iter().next().map(|tile| tile.hashes).unwrap_or_default();
    if leaves == hashes {
        return Ok(bytes);
    }
    Err(fault::damaged(format_args!("{}: other entries", layout::tile(tile)), "the entries of the tree"))
}
