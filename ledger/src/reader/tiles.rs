//! Tiles that are proven to stand under the root of a checkpoint.
//!
//! The partial tiles are the right edge of the tree: their root is the checkpoint's, or nothing is read at all. A full tile
//! is proven by the hash above it, in a tile that is proven itself. The leaves that a bundle of entries gives are proven in
//! the same way, without the file of their tile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::LogFiles;
use crate::checkpoint::Checkpoint;
use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::{Edge, Level, Tile, TileKind, tile_root};

/// How many full tiles are remembered: 8 MiB.
const MAX_REMEMBERED: usize = 1024;

type Hashes = Arc<[TreeHash]>;

/// The tiles of one tree.
pub(super) struct VerifiedTiles {
    size: u64,
    edge: BTreeMap<Tile, Hashes>,
    full: Mutex<BTreeMap<Tile, Hashes>>,
}

impl VerifiedTiles {
    /// Reads the right edge. Refused with `log-file-missing`, `tile-malformed`, `log-files-disagree`, and with what the
    /// source refuses.
    pub(super) async fn open(files: &LogFiles, head: &Checkpoint) -> Result<Self, LedgerRefusal> {
        let mut read = BTreeMap::new();
        for tile in Tile::partials(head.size) {
            read.insert(tile, files.hashes(tile).await?);
        }
        let root = Edge::read(head.size, &read)?.root();
        if root != head.root {
            return Err(LedgerRefusal::new(
                LedgerCode::LogFiles,
                format!("tiles with the root {root}"),
                head.root,
            ));
        }
        let edge = read.into_iter().map(|(tile, hashes)| (tile, hashes.into())).collect();
        Ok(Self { size: head.size, edge, full: Mutex::default() })
    }

    /// The hashes of a tile of the tree, as wide as it is there. Refused as [`VerifiedTiles::open`] is.
    pub(super) async fn get(&self, files: &LogFiles, tile: Tile) -> Result<Hashes, LedgerRefusal> {
        let mut climb = vec![tile];
        let mut known = self.known(tile);
        // Up to a tile that is known, at the latest to the edge, and down again, proving each by the one above.
        while let (None, Some(above)) = (&known, climb.last().and_then(|tile| self.above(*tile))) {
            known = self.known(above);
            climb.push(above);
        }
        let mut hashes = known.ok_or_else(|| disagree(tile, "is not in the tree"))?;
        climb.pop();
        for below in climb.into_iter().rev() {
            hashes = self.prove(below, files.hashes(below).await?.into(), &hashes)?;
        }
        Ok(hashes)
    }

    /// Shows that these hashes are those of a tile of leaves; else the place of the first that is not. Refused as
    /// [`VerifiedTiles::get`] is.
    pub(super) async fn check_leaves(
        &self,
        files: &LogFiles,
        tile: Tile,
        found: &[TreeHash],
    ) -> Result<(), CheckFailed> {
        if self.known(tile).is_none()
            && let Some(above) = self.above(tile)
            && self.prove(tile, found.into(), &self.get(files, above).await?).is_ok()
        {
            return Ok(());
        }
        let proven = self.get(files, tile).await?;
        let differ = found.iter().zip(proven.iter()).position(|(found, proven)| found != proven);
        differ.map_or(Ok(()), |place| Err(CheckFailed::Differs(place)))
    }

    fn known(&self, tile: Tile) -> Option<Hashes> {
        self.edge.get(&tile).cloned().or_else(|| self.full().get(&tile).cloned())
    }

    fn full(&self) -> MutexGuard<'_, BTreeMap<Tile, Hashes>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tile with the root of this one.
    fn above(&self, tile: Tile) -> Option<Tile> {
        let level = Level::new(tile.kind().level().number() + 1)?;
        Tile::holding(TileKind::Hashes(level), tile.index(), self.size).filter(|_| tile.width().is_full())
    }

    fn prove(&self, tile: Tile, hashes: Hashes, above: &[TreeHash]) -> Result<Hashes, LedgerRefusal> {
        let place = usize::try_from(tile.index() % 256).unwrap_or(usize::MAX);
        if above.get(place) != Some(&tile_root(&hashes)) {
            return Err(disagree(tile, "has another root than the tile above says"));
        }
        let mut full = self.full();
        full.insert(tile, Arc::clone(&hashes));
        if full.len() > MAX_REMEMBERED {
            // The lowest and leftmost: a log is read from left to right.
            full.pop_first();
        }
        drop(full);
        Ok(hashes)
    }
}

/// Why hashes are not shown to be leaves.
pub(super) enum CheckFailed {
    /// The one at this place is another.
    Differs(usize),
    /// The tree itself cannot be read.
    Refused(LedgerRefusal),
}

impl From<LedgerRefusal> for CheckFailed {
    fn from(refusal: LedgerRefusal) -> Self {
        Self::Refused(refusal)
    }
}

fn disagree(tile: Tile, what: &str) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogFiles, format!("{tile} {what}"), "the tile under the checkpoint's root")
}
