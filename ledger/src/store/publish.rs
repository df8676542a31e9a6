//! From the journal to static files: blobs, entry bundles, tiles, then the checkpoint that covers them.
//!
//! ```text
//! journal from the cursor on ─▶ files ─▶ sync of all ─▶ checkpoint, signed and put in place ─▶ the journal is cut
//! ```
//!
//! Reads only what the journal holds durably, so a checkpoint never covers an entry that a crash can take, and only what
//! the node wrote there, so it never covers what a host put in. Opening the store is the same work: the cursor stands behind
//! what is published, and whatever the last process left is written again. A round that failed is done again from its start,
//! because after a failed sync nothing that it wrote may be believed. Owned by one thread. Threats: a checkpoint over entries
//! that are lost, or that the node did not write.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::Arc;

use super::Shared;
use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::journal::{self, Durable, Position, Seal};
use super::layout;
use super::round::Round;
use super::sign::Signing;
use super::tiles::DiskTiles;
use crate::blob::BlobId;
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::tree::{Edge, Level, Peaks, TILE_WIDTH, Tile, TileKind, Width, append_entry};

/// How many marks are remembered: a megabyte or two.
const MAX_PARTS: usize = 32 * 1024;

/// The right edge of the published log.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) edge: Edge,
    /// The same tree, for its root after each batch.
    pub(super) peaks: Peaks,
    /// The entries of the partial bundle, as they stand in it.
    pub(super) bundle: Vec<u8>,
}

/// Publishes what is durable.
pub(super) struct Publisher {
    pub(super) disk: Arc<dyn Disk>,
    seal: Arc<Seal>,
    signing: Signing,
    published: Published,
    /// Everything before it is published.
    cursor: Position,
    /// How many bytes of the journal were published.
    bytes: u64,
    /// Tiles that are full: their partial files are no longer needed.
    outgrown: BTreeSet<Tile>,
    /// Blobs that are marked as parts of others.
    parts: HashSet<BlobId>,
}

impl Publisher {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        (seal, signing): (Arc<Seal>, Signing),
        published: Published,
        cursor: Position,
    ) -> Self {
        let outgrown = last_full(published.edge.size());
        let parts = HashSet::new();
        Self { disk, seal, signing, published, cursor, bytes: 0, outgrown, parts }
    }

    /// How many entries are published.
    pub(super) const fn size(&self) -> u64 {
        self.published.edge.size()
    }

    /// Publishes all that is durable now.
    pub(super) fn publish(&mut self, shared: &Shared) -> Result<(), StoreFault> {
        let goal = shared.durable();
        while self.size() < goal.size {
            self.publish_some(shared)?;
        }
        if self.outgrown.is_empty() { Ok(()) } else { self.clean() }
    }

    /// Publishes one round of what is durable now.
    pub(super) fn publish_some(&mut self, shared: &Shared) -> Result<(), StoreFault> {
        let goal = shared.durable();
        if self.size() == goal.size {
            return Ok(());
        }
        self.disk.in_place().map_err(fault::disk("finding the log's folder"))?;
        let checkpoint = self.round(&goal)?;
        shared.set_published(checkpoint, self.bytes);
        self.clean()
    }

    /// Publishes some of it, and returns the checkpoint over that.
    fn round(&mut self, goal: &Durable) -> Result<SignedCheckpoint, StoreFault> {
        // Of a round that fails, no part may be remembered.
        let parts = mem::take(&mut self.parts);
        let mut round = Round::new((&*self.disk, &*self.seal), &self.published, self.cursor, parts);
        round.run(goal)?;
        let Round { grown, position, bytes, full, parts, .. } = round;
        self.parts = if parts.len() < MAX_PARTS { parts } else { HashSet::new() };
        let checkpoint = self.sign(&grown.edge)?;
        (self.published, self.cursor) = (grown, position);
        self.bytes += bytes;
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
        self.disk.in_place().map_err(fault::disk("finding the log's folder"))?;
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
