//! The right edge of the tree: the hashes of its partial tiles, all that is needed to append and to know the root.
//!
//! At most 255 hashes on each of eight levels. Called by the store, which writes each tile as it becomes full.

use super::peaks::Peaks;
use super::plan::Tiles;
use super::tile::{Level, TILE_WIDTH, Tile, TileKind, Width};
use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// A tile and its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileHashes {
    /// Which tile.
    pub tile: Tile,
    /// As many as it is wide.
    pub hashes: Vec<TreeHash>,
}

impl TileHashes {
    /// The bytes of the tile's file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

/// The right edge of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// The hashes of the partial tile of each level, from the leaves up.
    levels: [Vec<TreeHash>; Level::COUNT],
}

impl Edge {
    /// The edge of a tree of this size. Its partial tiles ([`Tile::partials`]) are read, and nothing vouches for them yet:
    /// compare the root with a checkpoint's. Refused with `tile-malformed`, and with what `tiles` is refused with.
    pub fn read(size: u64, tiles: &impl Tiles) -> Result<Self, LedgerRefusal> {
        let mut edge = Self { size, ..Self::default() };
        for tile in Tile::partials(size) {
            let hashes = tiles.hashes(tile)?.into_owned();
            if hashes.len() != tile.width().get() {
                let expected = format!("{} hashes", tile.width().get());
                return Err(LedgerRefusal::new(LedgerCode::Tile, hashes.len(), expected));
            }
            let level = usize::from(tile.kind().level().number());
            edge.levels.iter_mut().skip(level).take(1).for_each(|slot| slot.clone_from(&hashes));
        }
        Ok(edge)
    }

    /// Appends an entry by its leaf hash. Returns the tiles that are full now, from the leaves up: mostly none.
    pub fn append(&mut self, leaf: TreeHash) -> Vec<TileHashes> {
        self.size += 1;
        let mut full = Vec::new();
        let mut hash = leaf;
        for (level, slot) in Level::all().zip(&mut self.levels) {
            slot.push(hash);
            if slot.len() < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::replace(slot, Vec::with_capacity(TILE_WIDTH));
            hash = tile_root(&hashes);
            let index = (level.hashes_in(self.size) - 1) / TILE_WIDTH as u64;
            let tile = Tile { kind: TileKind::Hashes(level), index, width: Width::FULL };
            full.push(TileHashes { tile, hashes });
        }
        full
    }

    /// How many entries the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let below = |root, hashes: &Vec<TreeHash>| fold(hashes, root);
        self.levels.iter().fold(None, below).unwrap_or_else(TreeHash::empty)
    }

    /// The perfect trees that the tree consists of.
    #[must_use]
    pub fn peaks(&self) -> Peaks {
        let mut roots = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while let Some((perfect_tree, right)) = largest_left(rest) {
                roots.extend(perfect(perfect_tree));
                rest = right;
            }
        }
        Peaks::new(self.size, roots)
    }

    /// The partial tiles, from the leaves up.
    #[must_use]
    pub fn partials(&self) -> Vec<TileHashes> {
        let tiles = Tile::partials(self.size);
        let filled = self.levels.iter().filter(|hashes| !hashes.is_empty());
        tiles.zip(filled).map(|(tile, hashes)| TileHashes { tile, hashes: hashes.clone() }).collect()
    }
}

/// The root of the hashes of a tile.
#[must_use]
pub fn tile_root(hashes: &[TreeHash]) -> TreeHash {
    fold(hashes, None).unwrap_or_else(TreeHash::empty)
}

/// The root over consecutive hashes of one height, and what stands to the right of them.
pub(super) fn fold(hashes: &[TreeHash], right: Option<TreeHash>) -> Option<TreeHash> {
    let Some((left, rest)) = largest_left(hashes) else { return right };
    let left = perfect(left)?;
    Some(fold(rest, right).map_or(left, |right| TreeHash::node(left, right)))
}

/// The largest perfect subtree, which stands to the left, as in RFC 6962, and the rest; nothing of nothing.
fn largest_left(hashes: &[TreeHash]) -> Option<(&[TreeHash], &[TreeHash])> {
    hashes.split_at_checked(1 << hashes.len().checked_ilog2()?)
}

/// The root over a power of two of hashes.
fn perfect(hashes: &[TreeHash]) -> Option<TreeHash> {
    if let [hash] = hashes {
        return Some(*hash);
    }
    let (left, right) = hashes.split_at_checked(hashes.len() / 2)?;
    Some(TreeHash::node(perfect(left)?, perfect(right)?))
}
