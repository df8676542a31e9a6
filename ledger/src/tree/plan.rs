//! Proofs computed from tiles: first which tiles are needed, then the hashes.
//!
//! A plan names its tiles before any is read, so that a node answers from disk, an auditor fetches all at once, and
//! neither this code waits for anything. What comes out is checked like any proof: nothing here vouches for tiles.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::edge::fold;
use super::tile::{HEIGHT, Level, MAX_TREE_SIZE, Tile, TileKind};
use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// Where hashes come from.
pub trait Tiles {
    /// The hashes of a tile, as many as it is wide.
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal>;
}

impl Tiles for BTreeMap<Tile, Vec<TreeHash>> {
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal> {
        let hashes = self.get(&tile).ok_or_else(|| missing(tile))?;
        Ok(Cow::Borrowed(hashes))
    }
}

fn missing(tile: Tile) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogFileMissing, "nothing", tile)
}

/// Hashes of a tree that are to be computed, each over a range of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    spans: Vec<Range<u64>>,
}

/// The root of a complete subtree of 2^height entries.
#[derive(Clone, Copy)]
struct Node {
    height: u32,
    index: u64,
}

impl Plan {
    /// The proof that an entry is in a tree of `size` entries: RFC 6962, 2.1.1. Refused with `log-out-of-range`.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, LedgerRefusal> {
        in_range(index, size.checked_sub(1))?;
        in_range(size, Some(MAX_TREE_SIZE))?;
        let (mut here, mut spans) = (0..size, Vec::new());
        while let Some(middle) = split(&here) {
            let (inside, beside) = if index < middle {
                (here.start..middle, middle..here.end)
            } else {
                (middle..here.end, here.start..middle)
            };
            spans.push(beside);
            here = inside;
        }
        spans.reverse();
        Ok(Self { size, spans })
    }

    /// The proof that a tree of `new` entries continues one of `old`: RFC 6962, 2.1.2. Refused with `log-out-of-range`.
    pub fn consistency(old: u64, new: u64) -> Result<Self, LedgerRefusal> {
        in_range(old, Some(new))?;
        in_range(new, Some(MAX_TREE_SIZE))?;
        let (mut here, mut spans) = (0..new, Vec::new());
        while let Some(middle) = split(&here).filter(|_| old != 0 && old != here.end) {
            let (inside, beside) = if old <= middle {
                (here.start..middle, middle..here.end)
            } else {
                (middle..here.end, here.start..middle)
            };
            spans.push(beside);
            here = inside;
        }
        // The old tree is a subtree here; its root is known unless it ends within the new tree's right side.
        if here.start != 0 {
            spans.push(here);
        }
        spans.reverse();
        Ok(Self { size: new, spans })
    }

    /// The root of a tree of `size` entries. Refused with `log-out-of-range`.
    pub fn root(size: u64) -> Result<Self, LedgerRefusal> {
        in_range(size, Some(MAX_TREE_SIZE))?;
        Ok(Self { size, spans: std::iter::once(0..size).collect() })
    }

    /// The tiles that have to be at hand, as wide as they are in the tree.
    #[must_use]
    pub fn tiles(&self) -> BTreeSet<Tile> {
        self.spans.iter().flat_map(nodes).filter_map(|node| node.tile(self.size)).collect()
    }

    /// Computes the hashes. Refused with `tile-malformed`, and with what `tiles` is refused with.
    pub fn hashes(&self, tiles: &impl Tiles) -> Result<Vec<TreeHash>, LedgerRefusal> {
        self.spans.iter().map(|span| self.span(span, tiles)).collect()
    }

    fn span(&self, span: &Range<u64>, tiles: &impl Tiles) -> Result<TreeHash, LedgerRefusal> {
        let nodes: Vec<Node> = nodes(span).collect();
        let mut root = None;
        for node in nodes.iter().rev() {
            let tile = node.tile(self.size).ok_or_else(|| out_of_range(span.end, Some(self.size)))?;
            let left = node.hash(tile, &tiles.hashes(tile)?)?;
            root = Some(root.map_or(left, |right| TreeHash::node(left, right)));
        }
        Ok(root.unwrap_or_else(TreeHash::empty))
    }
}

impl Node {
    /// The index, in its tile's level, of the first hash below this node.
    const fn first(self) -> u64 {
        self.index << (self.height % HEIGHT)
    }

    fn tile(self, size: u64) -> Option<Tile> {
        let level = u8::try_from(self.height / HEIGHT).ok().and_then(Level::new)?;
        Tile::holding(TileKind::Hashes(level), self.first(), size)
    }

    fn hash(self, tile: Tile, hashes: &[TreeHash]) -> Result<TreeHash, LedgerRefusal> {
        let start = usize::try_from(self.first() - tile.start()).unwrap_or(usize::MAX);
        let below = hashes.get(start..start.saturating_add(1 << (self.height % HEIGHT)));
        below.and_then(|below| fold(below, None)).ok_or_else(|| {
            LedgerRefusal::new(LedgerCode::Tile, hashes.len(), format!("{} hashes", tile.width().get()))
        })
    }
}

/// Where a range is parted: the left side has the largest power of two of entries that leaves some for the right.
fn split(range: &Range<u64>) -> Option<u64> {
    let len = range.end - range.start;
    (len > 1).then(|| range.start + (1 << (len - 1).ilog2()))
}

/// The complete subtrees that a range is made of, from the left. The range begins where a subtree as large as it does.
fn nodes(span: &Range<u64>) -> impl Iterator<Item = Node> + use<> {
    let (mut start, end) = (span.start, span.end);
    std::iter::from_fn(move || {
        let height = (end - start).checked_ilog2()?;
        let node = Node { height, index: start >> height };
        start += 1 << height;
        Some(node)
    })
}

fn in_range(found: u64, last: Option<u64>) -> Result<(), LedgerRefusal> {
    if last.is_some_and(|last| found <= last) { Ok(()) } else { Err(out_of_range(found, last)) }
}

fn out_of_range(found: u64, last: Option<u64>) -> LedgerRefusal {
    let expected =
        last.map_or_else(|| "an entry, and the log has none".to_owned(), |last| format!("at most {last}"));
    LedgerRefusal::new(LedgerCode::LogRange, found, expected)
}
