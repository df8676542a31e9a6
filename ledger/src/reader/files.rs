//! The files of a log, read by their form alone: nothing vouches for what is in them.
//!
//! Where a partial tile is gone, the full one that took its place is read, and as much of it used. Called by
//! [`LogReader`](super::LogReader), which proves what it hands out, and by whoever looks for the place where a log was
//! changed.

use crate::hash::TreeHash;
use crate::path::LogPath;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::source::Source;
use crate::tree::{Level, TILE_WIDTH, Tile, TileKind, decode_bundle, decode_hashes};

/// The files of a log, as of a tree of one size.
#[derive(Debug, Clone)]
pub struct LogFiles {
    source: Source,
    size: u64,
}

impl LogFiles {
    /// The files of a tree of so many entries.
    #[must_use]
    pub const fn new(source: Source, size: u64) -> Self {
        Self { source, size }
    }

    /// The bytes of a file, unless there is none. Refused with what the source refuses.
    pub async fn get(&self, path: LogPath) -> Result<Option<Vec<u8>>, LedgerRefusal> {
        self.source.get(path).await
    }

    /// The bundle with the entries from `256 * number` on. Refused with `log-out-of-range`.
    pub fn bundle(&self, number: u64) -> Result<Tile, LedgerRefusal> {
        self.holding(TileKind::Entries, number)
    }

    /// The tile with the leaf hashes of that bundle. Refused with `log-out-of-range`.
    pub fn leaves(&self, number: u64) -> Result<Tile, LedgerRefusal> {
        self.holding(TileKind::Hashes(Level::LEAVES), number)
    }

    fn holding(&self, kind: TileKind, number: u64) -> Result<Tile, LedgerRefusal> {
        let first = number.saturating_mul(TILE_WIDTH as u64);
        Tile::holding(kind, first, self.size).ok_or_else(|| {
            LedgerRefusal::new(LedgerCode::LogRange, first, format!("less than {}", self.size))
        })
    }

    /// The hashes of a tile. Refused with `log-file-missing`, `tile-malformed`, and with what the source refuses.
    pub async fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, LedgerRefusal> {
        let (found, bytes) = self.newest(tile).await?;
        let mut hashes = decode_hashes(&bytes, found.width())?;
        hashes.truncate(tile.width().get());
        Ok(hashes)
    }

    /// The entries of a bundle. Refused as [`LogFiles::hashes`] is.
    pub async fn entries(&self, bundle: Tile) -> Result<Vec<Vec<u8>>, LedgerRefusal> {
        let (found, bytes) = self.newest(bundle).await?;
        let entries = decode_bundle(&bytes, found.width())?.into_iter().take(bundle.width().get());
        Ok(entries.map(<[u8]>::to_vec).collect())
    }

    /// Before which entry evidence may be missing, as the log says and nobody signs: 0 where nothing was removed. Refused
    /// with `log-pruned-malformed`, and with what the source refuses.
    pub async fn pruned(&self) -> Result<u64, LedgerRefusal> {
        let Some(bytes) = self.get(LogPath::Pruned).await? else { return Ok(0) };
        let index = str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n')?.parse::<u64>().ok());
        index.filter(|index| format!("{index}\n").as_bytes() == bytes).ok_or_else(|| {
            let found = String::from_utf8_lossy(&bytes);
            LedgerRefusal::quoting(LedgerCode::LogPruned, &found, "an index in decimal digits, and a newline")
        })
    }

    /// The file of a tile, or, where a partial one is not kept any more, the full one in its place.
    async fn newest(&self, tile: Tile) -> Result<(Tile, Vec<u8>), LedgerRefusal> {
        if let Some(bytes) = self.get(LogPath::Tile(tile)).await? {
            return Ok((tile, bytes));
        }
        let full = tile.when_full();
        let bytes = if tile.width().is_full() { None } else { self.get(LogPath::Tile(full)).await? };
        bytes.map(|bytes| (full, bytes)).ok_or_else(|| missing(LogPath::Tile(tile)))
    }
}

/// A file that the log must have.
pub(super) fn missing(path: LogPath) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogFileMissing, "nothing", path)
}
