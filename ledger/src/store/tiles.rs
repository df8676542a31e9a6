//! The published tree, read back from its files.
//!
//! A partial tile is removed once it is full, so a reader of an older tree is given the front of the full one. Nothing read
//! here is believed: the edge is compared with a checkpoint's root, and proofs end at one. Called when the store is opened,
//! by the publisher, and for proofs. Threat: files that were changed behind the store's back.

use std::borrow::Cow;

use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::layout;
use crate::hash::TreeHash;
use crate::refusal::LedgerRefusal;
use crate::tree::{MAX_BUNDLE_BYTES, TILE_BYTES, Tile, TileKind, Tiles, Width, decode_bundle, decode_hashes};

/// The tiles of a published tree.
pub(super) struct DiskTiles<'a> {
    pub(super) disk: &'a dyn Disk,
    /// How many entries the published tree has, or had a moment ago.
    pub(super) size: u64,
}

impl DiskTiles<'_> {
    /// The bytes of a tile or bundle, and how wide it is: at least as wide as it was asked for.
    fn read(&self, tile: Tile) -> Result<(Vec<u8>, Width), StoreFault> {
        let most = match tile.kind() {
            TileKind::Hashes(_) => TILE_BYTES,
            TileKind::Entries => MAX_BUNDLE_BYTES,
        };
        // Of an older tree the tile may never have been written as narrow as it was.
        let wider = Tile::holding(tile.kind(), tile.start(), self.size).unwrap_or(tile);
        for tile in [wider, tile.when_full()] {
            let path = layout::tile(tile);
            let reading = |error| fault::disk(format_args!("reading {path}"))(error);
            if self.disk.length(&path).map_err(reading)?.is_some() {
                return Ok((self.disk.read(&path, 0, most).map_err(reading)?, tile.width()));
            }
        }
        Err(fault::damaged(
            format_args!("no file {}", layout::tile(tile)),
            "every tile of the published tree",
        ))
    }

    /// The entries of a bundle, as many as it is wide.
    pub(super) fn entries(&self, bundle: Tile) -> Result<Vec<Vec<u8>>, StoreFault> {
        let (bytes, width) = self.read(bundle)?;
        let entries = decode_bundle(&bytes, width).map_err(|fault| damaged(bundle, &fault))?;
        Ok(entries.into_iter().take(bundle.width().get()).map(<[u8]>::to_vec).collect())
    }
}

fn damaged(tile: Tile, refusal: &LedgerRefusal) -> StoreFault {
    fault::damaged(format_args!("{}: {refusal}", layout::tile(tile)), "the tile that was written there")
}

impl Tiles for DiskTiles<'_> {
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal> {
        let (bytes, width) = self.read(tile)?;
        let mut hashes = decode_hashes(&bytes, width).map_err(|fault| damaged(tile, &fault))?;
        hashes.truncate(tile.width().get());
        Ok(Cow::Owned(hashes))
    }
}
