//! Reads a log so that nothing of it has to be believed but the signature under its checkpoint.
//!
//! ```text
//! checkpoint ─ signed by the pinned key ─▶ root ─▶ partial tiles (its right edge) ─▶ full tiles below ─▶ entries
//!                                                                              record ─ names ─▶ blobs
//! ```
//!
//! Every tile is checked whole against the hash above it before one hash of it is used; an entry bundle against the same
//! hash; a blob against its name. What was checked is remembered, so that many threads can ask for the same. The one
//! reader of this project: the node's clients, witnesses and `kmsctl audit` use it. Threats: a mirror that changes a log,
//! an operator who does.

mod blobs;
mod files;
mod kept;
mod tiles;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OnceCell;

use self::blobs::Blobs;
pub use self::files::LogFiles;
use self::files::missing;
use self::kept::Kept;
use self::tiles::{CheckFailed, VerifiedTiles};
use crate::blob::BlobId;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::TreeHash;
use crate::note::LogKey;
use crate::path::LogPath;
use crate::proof::LogProof;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::source::Source;
use crate::tree::{Plan, TILE_WIDTH, Tile, TileHashes, verify_consistency};

/// How many bytes of entries are kept: a bundle has some 200 KiB, and at most 16 MiB.
const KEPT_ENTRY_BYTES: usize = 16 * 1024 * 1024;

/// The entries of a bundle.
pub type Entries = Arc<Vec<Vec<u8>>>;

/// A log as of one checkpoint.
pub struct LogReader {
    files: LogFiles,
    head: SignedCheckpoint,
    tiles: OnceCell<VerifiedTiles>,
    bundles: Kept<u64, Vec<Vec<u8>>>,
    blobs: Blobs,
}

impl LogReader {
    /// Reads the log at its latest checkpoint. Refused with `log-file-missing`, and with what [`SignedCheckpoint::open`]
    /// refuses.
    pub async fn open(source: Source, key: &LogKey) -> Result<Self, LedgerRefusal> {
        let bytes = source.get(LogPath::Checkpoint).await?;
        let bytes = bytes.ok_or_else(|| missing(LogPath::Checkpoint))?;
        Ok(Self::at(source, SignedCheckpoint::open(&bytes, key)?))
    }

    /// Reads the log as of a checkpoint, which may be an older one. Nothing is read yet.
    #[must_use]
    pub fn at(source: Source, head: SignedCheckpoint) -> Self {
        let files = LogFiles::new(source, head.checkpoint().size);
        let bundles = Kept::new(KEPT_ENTRY_BYTES);
        Self { files, head, tiles: OnceCell::new(), bundles, blobs: Blobs::new() }
    }

    /// The checkpoint that everything read is proven against.
    #[must_use]
    pub const fn head(&self) -> &SignedCheckpoint {
        &self.head
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.head.checkpoint().size
    }

    /// The files, for those who look at what nothing vouches for.
    #[must_use]
    pub const fn files(&self) -> &LogFiles {
        &self.files
    }

    /// Reads the right edge of the tree, which must give the root; everything else does so when it is needed. Refused with
    /// `log-file-missing`, `tile-malformed`, `log-files-disagree`, and with what the source refuses.
    pub async fn check_edge(&self) -> Result<(), LedgerRefusal> {
        self.tiles().await.map(drop)
    }

    async fn tiles(&self) -> Result<&VerifiedTiles, LedgerRefusal> {
        self.tiles.get_or_try_init(|| VerifiedTiles::open(&self.files, self.head.checkpoint())).await
    }

    /// An entry. Refused with `log-out-of-range`, and with what [`LogReader::bundle`] refuses.
    pub async fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerRefusal> {
        let entries = self.bundle(index / TILE_WIDTH as u64).await?;
        let place = usize::try_from(index % TILE_WIDTH as u64).unwrap_or(usize::MAX);
        entries.get(place).cloned().ok_or_else(|| {
            LedgerRefusal::new(LedgerCode::LogRange, index, format!("less than {}", self.size()))
        })
    }

    /// The entries from `256 * number` on, up to 256 of them. Refused with `log-out-of-range`, `log-file-missing`,
    /// `tile-malformed`, `log-files-disagree`, and with what the source refuses.
    pub async fn bundle(&self, number: u64) -> Result<Entries, LedgerRefusal> {
        if let Some(entries) = self.bundles.get(&number) {
            return Ok(entries);
        }
        let bundle = self.files.bundle(number)?;
        let entries = self.files.entries(bundle).await?;
        let found: Vec<TreeHash> = entries.iter().map(|entry| TreeHash::leaf(entry)).collect();
        let checked = self.tiles().await?.check_leaves(&self.files, self.files.leaves(number)?, &found).await;
        checked.map_err(|failed| disagree(bundle, failed))?;
        let bytes = entries.iter().map(|entry| entry.len() + TreeHash::LEN).sum();
        let entries = Arc::new(entries);
        self.bundles.keep(number, &entries, bytes);
        Ok(entries)
    }

    /// A tile of hashes, as wide as it is in this tree. Refused as [`LogReader::bundle`] is.
    pub async fn tile(&self, tile: Tile) -> Result<TileHashes, LedgerRefusal> {
        let hashes = self.tiles().await?.get(&self.files, tile).await?.to_vec();
        Ok(TileHashes { tile, hashes })
    }

    /// Checks that the log continues what was seen of it before. Refused with `checkpoint-foreign`, `log-rolled-back`,
    /// `log-forked`, and with what reading tiles refuses.
    pub async fn check_continues(&self, older: &Checkpoint) -> Result<(), LedgerRefusal> {
        let head = self.head.checkpoint();
        if older.origin != head.origin {
            return Err(LedgerRefusal::quoting(
                LedgerCode::CheckpointForeign,
                older.origin.as_str(),
                &head.origin,
            ));
        }
        if older.size > head.size {
            let expected = format!("at least {} entries", older.size);
            return Err(LedgerRefusal::new(
                LedgerCode::LogShrunk,
                format!("{} entries", head.size),
                expected,
            ));
        }
        let path = self.hashes(&Plan::consistency(older.size, head.size)?).await?;
        verify_consistency((older.size, older.root), (head.size, head.root), &path).map_err(|refusal| {
            let expected = format!("the root {} at {} entries", older.root, older.size);
            LedgerRefusal::new(LedgerCode::LogForked, refusal.found, expected)
        })
    }

    /// A proof that an entry is in the log, to be kept and checked without it. Refused as [`LogReader::entry`] is.
    pub async fn prove(&self, index: u64) -> Result<LogProof, LedgerRefusal> {
        let entry = self.entry(index).await?;
        Ok(LogProof::new(index, self.inclusion_path(index).await?, entry, &self.head))
    }

    /// The hashes from an entry's leaf to the root. Refused with `log-out-of-range`, and with what reading tiles refuses.
    pub async fn inclusion_path(&self, index: u64) -> Result<Vec<TreeHash>, LedgerRefusal> {
        self.hashes(&Plan::inclusion(index, self.size())?).await
    }

    async fn hashes(&self, plan: &Plan) -> Result<Vec<TreeHash>, LedgerRefusal> {
        let mut tiles = BTreeMap::new();
        for tile in plan.tiles() {
            tiles.insert(tile, self.tiles().await?.get(&self.files, tile).await?.to_vec());
        }
        plan.hashes(&tiles)
    }

    /// The bytes of a blob. Refused with `blob-missing`, `blob-malformed`, `blob-foreign`, with `log-file-missing` for a
    /// part of it, and with what the source refuses.
    pub async fn blob(&self, id: BlobId) -> Result<Arc<[u8]>, LedgerRefusal> {
        self.blobs.get(&self.files, id).await
    }
}

fn disagree(bundle: Tile, failed: CheckFailed) -> LedgerRefusal {
    match failed {
        CheckFailed::Refused(refusal) => refusal,
        CheckFailed::Differs(place) => {
            let found = format!("another entry {} in {bundle}", bundle.start().saturating_add(place as u64));
            LedgerRefusal::new(LedgerCode::LogFiles, found, "the entry that the tree has")
        }
    }
}

#[cfg(test)]
mod tests;
