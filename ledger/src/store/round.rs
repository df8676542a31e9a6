//! One round of publication: from the journal to files, up to where a checkpoint may be signed.
//!
//! Reads whole batches of the node, each of which must continue the very tree that was built so far: what the node did not
//! write is never in a tree that it signs, whatever is on the disk. Writes files and syncs them; signs nothing. Made and
//! ended by the publisher; a round that failed leaves nothing that counts. Threats: a journal that was changed, exchanged
//! or put together from two histories; a file that a checkpoint covers and that is torn.

use std::collections::{BTreeSet, HashSet};

use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::journal::{self, Durable, Frame, Position, Seal, Segment};
use super::layout;
use super::publish::Published;
use crate::blob::BlobId;
use crate::blob_file::{self, BlobFile, MAX_BLOB_FILE_BYTES};
use crate::hash::TreeHash;
use crate::tree::{TILE_WIDTH, Tile, TileHashes, TileKind, append_entry};

/// After how many bytes of the journal a checkpoint is made, though more is waiting.
const ROUND_BYTES: u64 = 64 * 1024 * 1024;

/// One round: what is written before the checkpoint.
pub(super) struct Round<'a> {
    disk: &'a dyn Disk,
    seal: &'a Seal,
    /// Tiles that the checkpoint in the log covers. They are not written again: a file that takes the place of another may
    /// be empty after a crash, and these are read before the journal is.
    standing: Vec<TileHashes>,
    pub(super) grown: Published,
    pub(super) position: Position,
    /// How many bytes of batches were taken in.
    pub(super) bytes: u64,
    /// Tiles that became full.
    pub(super) full: BTreeSet<Tile>,
    /// Blobs that are marked as parts of others.
    pub(super) parts: HashSet<BlobId>,
}

impl<'a> Round<'a> {
    /// A round that begins behind what is published, at a place of the journal between two batches.
    pub(super) fn new(
        (disk, seal): (&'a dyn Disk, &'a Seal),
        published: &Published,
        position: Position,
        parts: HashSet<BlobId>,
    ) -> Self {
        Self {
            disk,
            seal,
            standing: published.edge.partials(),
            grown: published.clone(),
            position,
            bytes: 0,
            full: BTreeSet::new(),
            parts,
        }
    }

    /// Writes files for the journal up to the goal, or for as much of it as a round takes, and makes them durable.
    pub(super) fn run(&mut self, goal: &Durable) -> Result<(), StoreFault> {
        while self.grown.edge.size() < goal.size && self.bytes < ROUND_BYTES {
            if self.position == goal.position {
                let found = format!("a journal that ends at {}", self.grown.edge.size());
                return Err(fault::damaged(found, goal.size));
            }
            self.segment(goal)?;
        }
        self.agrees(goal)?;
        for tile in self.grown.edge.partials() {
            if !self.standing.contains(&tile) {
                self.put_hashes(&tile)?;
            }
        }
        if let Some(tile) = Tile::partial_bundle(self.grown.edge.size()) {
            self.put_bundle(tile)?;
        }
        self.disk.sync_all().map_err(fault::disk("syncing the published files"))
    }

    /// That the tree is the writer's, once it has as many entries. A host that cut the journal before the last start can put
    /// back what it cut: the node did write that, and yet it is not what was acknowledged since.
    fn agrees(&self, goal: &Durable) -> Result<(), StoreFault> {
        let (size, root) = (self.grown.peaks.size(), self.grown.peaks.root());
        if size < goal.size || (size, root) == (goal.size, goal.root) {
            return Ok(());
        }
        let found = format!("a journal of {size} entries with root {root}");
        Err(fault::forged(found, format_args!("{} entries with root {}", goal.size, goal.root)))
    }

    /// Takes in the rest of a segment, or of what is durable of it, or as much as the round still takes.
    fn segment(&mut self, goal: &Durable) -> Result<(), StoreFault> {
        let sequence = self.position.sequence;
        let path = journal::path(sequence);
        let (disk, seal) = (self.disk, self.seal);
        let segment = Segment::open(disk, seal, sequence)?;
        let (segment, length) = segment.ok_or_else(|| fault::damaged(&path, "a segment with a head"))?;
        let end = if sequence == goal.position.sequence { goal.position.offset } else { length };
        let mut frames = segment.frames(disk, seal, &path, (self.position.offset, end));
        let mut taken = frames.offset();
        loop {
            let next = frames.next();
            let Some(frame) = next.map_err(|unreadable| unreadable.fault(&path, taken))? else { break };
            self.frame(&frame, &path, taken)?;
            // A round ends between two batches: what was taken in of one may not be the node's.
            if frames.between_batches() {
                self.bytes += frames.offset() - taken;
                taken = frames.offset();
                self.position.offset = taken;
                if self.bytes >= ROUND_BYTES {
                    return Ok(());
                }
            }
        }
        if sequence < goal.position.sequence {
            self.position = Position { sequence: sequence + 1, offset: 0 };
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, path: &str, place: u64) -> Result<(), StoreFault> {
        match frame {
            Frame::Batch { first, root } => self.continues(*first, *root, path, place),
            Frame::Blob { id, bytes } => self.put(&layout::blob(*id), &blob_file::encode_whole(bytes)),
            Frame::File { id, file } => self.put_blob_file(*id, file),
            Frame::Entry { leaf, record } => self.entry(*leaf, record),
        }
    }

    /// That a batch continues this tree, and no other of the same size.
    fn continues(&self, first: u64, root: TreeHash, path: &str, place: u64) -> Result<(), StoreFault> {
        let (size, own) = (self.grown.peaks.size(), self.grown.peaks.root());
        if (first, root) == (size, own) {
            return Ok(());
        }
        let found =
            format!("{path}: a batch at byte {place} that continues {first} entries with root {root}");
        Err(fault::forged(found, format_args!("one that continues {size} entries with root {own}")))
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
        if holds_whole(self.disk, id, &path) {
            return Ok(());
        }
        self.put(&path, file)
    }

    fn entry(&mut self, leaf: TreeHash, record: &[u8]) -> Result<(), StoreFault> {
        append_entry(&mut self.grown.bundle, record)?;
        self.grown.peaks.append(leaf);
        for tile in self.grown.edge.append(leaf) {
            self.put_hashes(&tile)?;
            self.full.insert(tile.tile);
        }
        let entries = self.grown.edge.size();
        if entries.is_multiple_of(TILE_WIDTH as u64) {
            if let Some(bundle) = Tile::holding(TileKind::Entries, entries - 1, entries) {
                self.put_bundle(bundle)?;
                self.full.insert(bundle);
            }
            self.grown.bundle.clear();
        }
        Ok(())
    }

    fn put_hashes(&self, tile: &TileHashes) -> Result<(), StoreFault> {
        self.put(&layout::tile(tile.tile), &tile.encode())
    }

    fn put_bundle(&self, tile: Tile) -> Result<(), StoreFault> {
        self.put(&layout::tile(tile), &self.grown.bundle)
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
