//! Reads a log so that nothing of it has to be believed but the signature under its checkpoint.
//!
//! ```text
//! checkpoint ─ signed by the pinned key ─▶ root ─▶ partial tiles (its right edge) ─▶ full tiles below ─▶ entries
//!                                                                              record ─ names ─▶ blobs
//! ```
//!
//! Every tile is checked whole against the hash above it before one hash of it is used; an entry bundle against its tile; a
//! blob against its name. Verified tiles are remembered. Threats: a mirror that changes a log, an operator who does.

mod tiles;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use self::tiles::VerifiedTiles;
use crate::blob::{BlobId, MAX_BLOB_BYTES};
use crate::blob_file::BlobFile;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::TreeHash;
use crate::note::LogKey;
use crate::path::LogPath;
use crate::proof::LogProof;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::source::Source;
use crate::tree::{Plan, TILE_WIDTH, Tile, TileKind, decode_bundle, verify_consistency};

/// The entries of a bundle.
pub type Entries = Arc<Vec<Vec<u8>>>;

/// A log as of one checkpoint.
pub struct LogReader {
    source: Source,
    head: SignedCheckpoint,
    tiles: VerifiedTiles,
    /// The bundle that was read last: neighbours are mostly asked for next.
    last: Mutex<Option<(u64, Entries)>>,
}

impl LogReader {
    /// Reads the log at its latest checkpoint. Refused with `log-file-missing`, with what [`SignedCheckpoint::open`] refuses,
    /// and with what [`LogReader::at`] refuses.
    pub async fn open(source: Source, key: &LogKey) -> Result<Self, LedgerRefusal> {
        let bytes = source.get(LogPath::Checkpoint).await?;
        let bytes = bytes.ok_or_else(|| missing(LogPath::Checkpoint))?;
        Self::at(source, SignedCheckpoint::open(&bytes, key)?).await
    }

    /// Reads the log as of a checkpoint, which may be an older one. Refused with `log-file-missing`, `log-files-disagree`, and
    /// with what the source refuses.
    pub async fn at(source: Source, head: SignedCheckpoint) -> Result<Self, LedgerRefusal> {
        let tiles = VerifiedTiles::open(&source, head.checkpoint()).await?;
        Ok(Self { source, head, tiles, last: Mutex::default() })
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

    /// An entry. Refused with `log-out-of-range`, and with what [`LogReader::bundle`] refuses.
    pub async fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerRefusal> {
        let entries = self.bundle(index / TILE_WIDTH as u64).await?;
        let place = usize::try_from(index % TILE_WIDTH as u64).unwrap_or(usize::MAX);
        entries.get(place).cloned().ok_or_else(|| self.out_of_range(index))
    }

    /// The entries from `256 * bundle` on, up to 256 of them. Refused with `log-out-of-range`, `log-file-missing`,
    /// `tile-malformed`, `log-files-disagree`, and with what the source refuses.
    pub async fn bundle(&self, bundle: u64) -> Result<Entries, LedgerRefusal> {
        if let Some((_, entries)) = self.lock().as_ref().filter(|(last, _)| *last == bundle) {
            return Ok(Arc::clone(entries));
        }
        let first = bundle.saturating_mul(TILE_WIDTH as u64);
        let tile =
            Tile::holding(TileKind::Entries, first, self.size()).ok_or_else(|| self.out_of_range(first))?;
        let entries = Arc::new(self.read_bundle(tile).await?);
        *self.lock() = Some((bundle, Arc::clone(&entries)));
        Ok(entries)
    }

    async fn read_bundle(&self, bundle: Tile) -> Result<Vec<Vec<u8>>, LedgerRefusal> {
        let (tile, bytes) = fetch(&self.source, bundle).await?;
        let mut entries = decode_bundle(&bytes, tile.width())?;
        entries.truncate(bundle.width().get());
        let leaves = self.tiles.leaves_of(&self.source, bundle).await?;
        let found = entries.iter().map(|entry| TreeHash::leaf(entry));
        match found.zip(leaves.iter()).position(|(found, leaf)| found != *leaf) {
            None => Ok(entries.into_iter().map(<[u8]>::to_vec).collect()),
            Some(place) => {
                let found =
                    format!("another entry {} in {bundle}", bundle.start().saturating_add(place as u64));
                Err(LedgerRefusal::new(LedgerCode::LogFiles, found, "the entry that the tree has"))
            }
        }
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
        let path = self.hashes(&Plan::inclusion(index, self.size())?).await?;
        Ok(LogProof::new(index, path, entry, &self.head))
    }

    async fn hashes(&self, plan: &Plan) -> Result<Vec<TreeHash>, LedgerRefusal> {
        let mut tiles = BTreeMap::new();
        for tile in plan.tiles() {
            tiles.insert(tile, self.tiles.get(&self.source, tile).await?.to_vec());
        }
        plan.hashes(&tiles)
    }

    /// The bytes of a blob. Refused with `blob-missing`, `blob-malformed`, `blob-foreign`, and with what the source refuses.
    pub async fn blob(&self, id: BlobId) -> Result<Vec<u8>, LedgerRefusal> {
        let file = BlobFile::decode(&self.blob_file(id).await?)?;
        let mut parts = BTreeMap::new();
        // Every part is in the blob at least once: together they are no larger than a blob can be.
        let mut left = MAX_BLOB_BYTES;
        for part in file.needs() {
            let bytes = self.blob_file(part).await?;
            left = left.checked_sub(bytes.len().saturating_sub(1)).ok_or_else(|| too_large(id))?;
            parts.insert(part, bytes);
        }
        file.assemble(id, |part| parts.get(&part).cloned().ok_or_else(|| missing(LogPath::Blob(part))))
    }

    async fn blob_file(&self, id: BlobId) -> Result<Vec<u8>, LedgerRefusal> {
        let bytes = self.source.get(LogPath::Blob(id)).await?;
        bytes.ok_or_else(|| LedgerRefusal::new(LedgerCode::BlobMissing, "nothing", LogPath::Blob(id)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(u64, Entries)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn out_of_range(&self, index: u64) -> LedgerRefusal {
        LedgerRefusal::new(LedgerCode::LogRange, index, format!("less than {}", self.size()))
    }
}

fn too_large(id: BlobId) -> LedgerRefusal {
    let found = format!("parts of more than {MAX_BLOB_BYTES} bytes in {id}");
    LedgerRefusal::new(LedgerCode::Blob, found, "parts of one blob")
}

fn missing(path: LogPath) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogFileMissing, "nothing", path)
}

/// The file of a tile, or, where a partial one is not kept any more, the full one in its place.
async fn fetch(source: &Source, tile: Tile) -> Result<(Tile, Vec<u8>), LedgerRefusal> {
    if let Some(bytes) = source.get(LogPath::Tile(tile)).await? {
        return Ok((tile, bytes));
    }
    let full = tile.when_full();
    let bytes = if tile.width().is_full() { None } else { source.get(LogPath::Tile(full)).await? };
    bytes.map(|bytes| (full, bytes)).ok_or_else(|| missing(LogPath::Tile(tile)))
}

#[cfg(test)]
mod tests;
