//! The files that a log consists of: every one has one path, and there are no others.

use std::fmt;
use std::str::FromStr;

use crate::blob::BlobId;
use crate::blob_file::{self, MAX_BLOB_FILE_BYTES};
use crate::hash::TreeHash;
use crate::note::MAX_NOTE_BYTES;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::{MAX_BUNDLE_BYTES, TILE_WIDTH, Tile, TileKind};

/// The longest path, in bytes: that of a blob.
pub const MAX_PATH_BYTES: usize = 80;
/// The longest index and its newline, in bytes.
const MAX_INDEX_BYTES: usize = 21;

/// A file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogPath {
    /// What the log signs about its tree. It changes with every publication.
    Checkpoint,
    /// The latest checkpoint that as many witnesses have cosigned as the node's policy asks for. There is no file before they
    /// have, nor where the node asks none.
    Witnessed,
    /// Before which entry evidence may be missing: an index in decimal, and a newline. There is no file before evidence is
    /// removed, and nobody signs it.
    Pruned,
    /// A tile or an entry bundle.
    Tile(Tile),
    /// A blob.
    Blob(BlobId),
}

impl LogPath {
    /// The most bytes that the file can have.
    #[must_use]
    pub fn max_bytes(self) -> usize {
        match self {
            Self::Checkpoint | Self::Witnessed => MAX_NOTE_BYTES,
            Self::Pruned => MAX_INDEX_BYTES,
            Self::Blob(_) => MAX_BLOB_FILE_BYTES,
            Self::Tile(tile) => match tile.kind() {
                TileKind::Hashes(_) => tile.width().get() * TreeHash::LEN,
                TileKind::Entries => tile.width().get() * (MAX_BUNDLE_BYTES / TILE_WIDTH),
            },
        }
    }

    /// The content type that it is served with, and kept with in an object store.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Checkpoint | Self::Witnessed | Self::Pruned => "text/plain; charset=utf-8",
            Self::Tile(_) | Self::Blob(_) => "application/octet-stream",
        }
    }

    /// How caches may keep it: what never changes for a year, the rest for no time.
    #[must_use]
    pub const fn cache_control(self) -> &'static str {
        match self {
            Self::Checkpoint | Self::Witnessed | Self::Pruned => "no-cache",
            Self::Tile(_) | Self::Blob(_) => "public, max-age=31536000, immutable",
        }
    }
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Witnessed => f.write_str("witnessed"),
            Self::Pruned => f.write_str("pruned"),
            Self::Tile(tile) => tile.fmt(f),
            Self::Blob(id) => f.write_str(&blob_file::path(*id)),
        }
    }
}

impl FromStr for LogPath {
    type Err = LedgerRefusal;

    /// Refused with `log-path-malformed`, `tile-path-malformed` or `blob-path-malformed`.
    fn from_str(path: &str) -> Result<Self, LedgerRefusal> {
        match path.split('/').next() {
            Some("checkpoint") if path.len() == "checkpoint".len() => Ok(Self::Checkpoint),
            Some("witnessed") if path.len() == "witnessed".len() => Ok(Self::Witnessed),
            Some("pruned") if path.len() == "pruned".len() => Ok(Self::Pruned),
            Some("tile") => path.parse().map(Self::Tile),
            Some("blob") => blob_file::parse_path(path).map(Self::Blob),
            _ => Err(LedgerRefusal::quoting(
                LedgerCode::LogPath,
                path,
                "checkpoint, witnessed, pruned, tile/... or blob/...",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_path__should_have_one_form_for_each_file() {
        let blob = LogPath::Blob(BlobId([0xab; 32]));
        let tiles = ["tile/0/000", "tile/entries/x001/234.p/7"];
        for path in ["checkpoint", "witnessed", "pruned", &blob.to_string()].into_iter().chain(tiles) {
            let parsed: LogPath = path.parse().unwrap();
            assert_eq!(parsed.to_string(), path);
            assert!(path.len() <= MAX_PATH_BYTES && parsed.max_bytes() > 0);
        }
        for path in [
            "",
            "/",
            "/checkpoint",
            "checkpoint/",
            "pruned/",
            "witnessed/1",
            "checkpoint/../checkpoint",
            "Checkpoint",
            "tile",
            "blob/",
            "journal",
            ".",
        ] {
            path.parse::<LogPath>().unwrap_err();
        }
    }
}
