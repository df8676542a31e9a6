//! Where a tile or an entry bundle stands, and its path: `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`.
//!
//! A path is read strictly: there is one for each tile, and whatever else is asked for is refused before any disk is
//! touched. Threat: a request that names a file outside the log.

use std::fmt;
use std::str::FromStr;

use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: usize = 256;
/// The size of a full tile, in bytes.
pub const TILE_BYTES: usize = TILE_WIDTH * TreeHash::LEN;
/// The largest tree, in entries: sizes and what is computed from them fit 64 bits.
pub const MAX_TREE_SIZE: u64 = i64::MAX.unsigned_abs();

/// The longest path of a tile, in bytes.
const MAX_PATH_BYTES: usize = 64;
/// Levels of the binary tree in a level of tiles.
pub(super) const HEIGHT: u32 = 8;

/// The level of a tile: at 0 its hashes are leaves, above each is the root of a full tile below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// Where the hashes are those of entries.
    pub const LEAVES: Self = Self(0);
    /// How many there are. The specification allows 64, but a tile of the eighth spans 2^64 entries already.
    pub const COUNT: usize = 8;

    /// The level of this number.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (usize::from(number) < Self::COUNT).then_some(Self(number))
    }

    /// Every level, from the leaves up.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map_while(Self::new)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// How many hashes this level has in a tree of so many entries: those of subtrees that are complete.
    #[must_use]
    pub fn hashes_in(self, size: u64) -> u64 {
        size >> (HEIGHT * u32::from(self.0))
    }
}

/// How many hashes or entries: 1 to 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Width(u16);

impl Width {
    /// As many as there can be.
    pub const FULL: Self = Self(256);

    /// This many, if there can be as many.
    #[must_use]
    pub fn new(count: u64) -> Option<Self> {
        u16::try_from(count).ok().map(Self).filter(|width| (1..=256).contains(&width.0))
    }

    /// How many.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }

    /// Whether no more can come: what is full never changes.
    #[must_use]
    pub fn is_full(self) -> bool {
        self == Self::FULL
    }
}

/// What a tile has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of one level.
    Hashes(Level),
    /// The entries themselves.
    Entries,
}

impl TileKind {
    /// The level on whose hashes it stands.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Hashes(level) => level,
            Self::Entries => Level::LEAVES,
        }
    }
}

/// A tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    pub(super) kind: TileKind,
    pub(super) index: u64,
    pub(super) width: Width,
}

impl Tile {
    /// The tile at a place, if a tree can have it.
    #[must_use]
    pub fn new(kind: TileKind, index: u64, width: Width) -> Option<Self> {
        // All that it spans is below 2^64.
        let past_the_last = u64::MAX >> (HEIGHT * u32::from(kind.level().0)) >> HEIGHT;
        (index <= past_the_last).then_some(Self { kind, index, width })
    }

    /// The tile that has the hash (or the entry) of this index in its level, as wide as it is in a tree of `size` entries.
    #[must_use]
    pub fn holding(kind: TileKind, hash: u64, size: u64) -> Option<Self> {
        let index = hash >> HEIGHT;
        let end = kind.level().hashes_in(size);
        let width = end.checked_sub(index << HEIGHT).map(|left| left.min(Width::FULL.0.into()));
        (hash < end).then_some(Self { kind, index, width: Width::new(width?)? })
    }

    /// The partial tiles of hashes of a tree, from the leaves up: at most one each level.
    pub fn partials(size: u64) -> impl Iterator<Item = Self> {
        Level::all().filter_map(move |level| {
            let last = level.hashes_in(size).checked_sub(1)?;
            Self::holding(TileKind::Hashes(level), last, size).filter(|tile| !tile.width.is_full())
        })
    }

    /// The partial entry bundle of a tree, if it has one.
    #[must_use]
    pub fn partial_bundle(size: u64) -> Option<Self> {
        let tile = Self::holding(TileKind::Entries, size.checked_sub(1)?, size)?;
        (!tile.width.is_full()).then_some(tile)
    }

    /// What it has.
    #[must_use]
    pub const fn kind(self) -> TileKind {
        self.kind
    }

    /// Which one of its level.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How much of it there is.
    #[must_use]
    pub const fn width(self) -> Width {
        self.width
    }

    /// The index, in its level, of its first hash; of a bundle: of its first entry.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.index << HEIGHT
    }

    /// The same place, once nothing more can come.
    #[must_use]
    pub const fn when_full(self) -> Self {
        Self { width: Width::FULL, ..self }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{}", level.0)?,
            TileKind::Entries => f.write_str("tile/entries")?,
        }
        let above = std::iter::successors(Some(self.index / 1000), |rest| Some(rest / 1000));
        let groups: Vec<u64> = above.take_while(|rest| *rest > 0).map(|rest| rest % 1000).collect();
        for group in groups.iter().rev() {
            write!(f, "/x{group:03}")?;
        }
        write!(f, "/{:03}", self.index % 1000)?;
        if self.width.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width.0) }
    }
}

impl FromStr for Tile {
    type Err = LedgerRefusal;

    /// Refused with `tile-path-malformed`.
    fn from_str(path: &str) -> Result<Self, LedgerRefusal> {
        let short = Some(path).filter(|path| path.len() <= MAX_PATH_BYTES);
        // What reads as a tile, but is written in another way, is no path of it.
        short.and_then(parse).filter(|tile| tile.to_string() == path).ok_or_else(|| {
            let expected = "tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]";
            LedgerRefusal::quoting(LedgerCode::TilePath, path, expected)
        })
    }
}

fn parse(path: &str) -> Option<Tile> {
    let (kind, place) = path.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(Level::new(level.parse().ok()?)?),
    };
    let (groups, width) = match place.split_once(".p/") {
        Some((groups, width)) => (groups, Width::new(width.parse().ok()?)?),
        None => (place, Width::FULL),
    };
    let index = groups.split('/').try_fold(0_u64, |index, group| {
        let group: u16 =
            group.strip_prefix('x').unwrap_or(group).parse().ok().filter(|group| *group < 1000)?;
        index.checked_mul(1000)?.checked_add(group.into())
    })?;
    Tile::new(kind, index, width)
}

/// Reads the hashes of a tile. Refused with `tile-malformed`.
pub fn decode_hashes(bytes: &[u8], width: Width) -> Result<Vec<TreeHash>, LedgerRefusal> {
    let (hashes, rest) = bytes.as_chunks::<{ TreeHash::LEN }>();
    if hashes.len() != width.get() || !rest.is_empty() {
        let expected = format!("{} bytes", width.get() * TreeHash::LEN);
        return Err(LedgerRefusal::new(LedgerCode::Tile, format!("{} bytes", bytes.len()), expected));
    }
    Ok(hashes.iter().map(|hash| TreeHash(*hash)).collect())
}
