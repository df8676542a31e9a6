//! Tiles that are proven to stand under the root of a checkpoint.
//!
//! The partial tiles are the right edge of the tree: their root is the checkpoint's, or nothing is read at all. A full tile
//! is proven by the hash above it, in a tile that is proven itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::fetch;
use crate::checkpoint::Checkpoint;
use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::source::Source;
use crate::tree::{Edge, Level, Tile, TileKind, decode_hashes, tile_root};

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
    pub(super) async fn open(source: &Source, head: &Checkpoint) -> Result<Self, LedgerRefusal> {
        let mut read = BTreeMap::new();
        for tile in Tile::partials(head.size) {
            read.insert(tile, fetch_hashes(source, tile).await?);
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
    pub(super) async fn get(&self, source: &Source, tile: Tile) -> Result<Hashes, LedgerRefusal> {
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
            hashes = self.prove(source, below, &hashes).await?;
        }
        Ok(hashes)
    }

    /// The leaf hashes of the entries in a bundle of the tree.
    pub(super) async fn leaves_of(&self, source: &Source, bundle: Tile) -> Result<Hashes, LedgerRefusal> {
        let leaves = Tile::holding(TileKind::Hashes(Level::LEAVES), bundle.start(), self.size);
        self.get(source, leaves.ok_or_else(|| disagree(bundle, "is not in the tree"))?).await
    }

    fn known(&self, tile: Tile) -> Option<Hashes> {
        let full = || self.full.lock().unwrap_or_else(PoisonError::into_inner).get(&tile).cloned();
        self.edge.get(&tile).cloned().or_else(full)
    }

    /// The tile with the root of this one.
    fn above(&self, tile: Tile) -> Option<Tile> {
        let level = Level::new(tile.kind().level().number() + 1)?;
        Tile::holding(TileKind::Hashes(level), tile.index(), self.size).filter(|_| tile.width().is_full())
    }

    async fn prove(&self, source: &Source, tile: Tile, above: &[TreeHash]) -> Result<Hashes, LedgerRefusal> {
        let hashes: Hashes = fetch_hashes(source, tile).await?.into();
        let place = usize::try_from(tile.index() % 256).unwrap_or(usize::MAX);
        if above.get(place) != Some(&tile_root(&hashes)) {
            return Err(disagree(tile, "has another root than the tile above says"));
        }
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.insert(tile, Arc::clone(&hashes));
        if full.len() > MAX_REMEMBERED {
            // The lowest and leftmost: a log is read from left to right.
            full.pop_first();
        }
        drop(full);
        Ok(hashes)
    }
}

async fn fetch_hashes(source: &Source, tile: Tile) -> Result<Vec<TreeHash>, LedgerRefusal> {
    let (read, bytes) = fetch(source, tile).await?;
    let mut hashes = decode_hashes(&bytes, read.width())?;
    hashes.truncate(tile.width().get());
    Ok(hashes)
}

fn disagree(tile: Tile, what: &str) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogFiles, format!("{tile} {what}"), "the tile under the checkpoint's root")
}
