//! Blobs by their names: read, put together of their parts, and kept for those who ask again.
//!
//! A blob that is returned has the bytes that it is named by. Threats: a list whose parts are larger together than a blob
//! can be; a part that every blob shares, read anew for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::{LogFiles, missing};
use super::kept::Kept;
use crate::blob::{BlobId, MAX_BLOB_BYTES};
use crate::blob_file::BlobFile;
use crate::path::LogPath;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// How many bytes of blobs, and of files of parts, are kept: some thousand of what a node records.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// The blobs of a log.
pub(super) struct Blobs {
    whole: Kept<BlobId, [u8]>,
    parts: Kept<BlobId, Vec<u8>>,
}

impl Blobs {
    pub(super) fn new() -> Self {
        Self { whole: Kept::new(KEPT_BYTES), parts: Kept::new(KEPT_BYTES) }
    }

    /// A blob. Refused with `blob-missing`, `blob-malformed`, `blob-foreign`, with `log-file-missing` for a part, and with
    /// what the source refuses.
    pub(super) async fn get(&self, files: &LogFiles, id: BlobId) -> Result<Arc<[u8]>, LedgerRefusal> {
        if let Some(kept) = self.whole.get(&id) {
            return Ok(kept);
        }
        let path = LogPath::Blob(id);
        let file = files.get(path).await?;
        let file = file.ok_or_else(|| LedgerRefusal::new(LedgerCode::BlobMissing, "nothing", path))?;
        let file = BlobFile::decode(&file)?;
        let mut parts = BTreeMap::new();
        // Every part is in the blob at least once: together they are no larger than a blob can be.
        let mut left = MAX_BLOB_BYTES;
        for part in file.needs() {
            let bytes = self.part(files, part).await?;
            left = left.checked_sub(bytes.len().saturating_sub(1)).ok_or_else(|| too_large(id))?;
            parts.insert(part, bytes);
        }
        let part = |part| parts.get(&part).map(|bytes| bytes.to_vec());
        let bytes = file.assemble(id, |id| part(id).ok_or_else(|| missing(LogPath::Blob(id))))?;
        let bytes: Arc<[u8]> = bytes.into();
        self.whole.keep(id, &bytes, bytes.len());
        Ok(bytes)
    }

    /// The file of a part of blobs: many share one.
    async fn part(&self, files: &LogFiles, id: BlobId) -> Result<Arc<Vec<u8>>, LedgerRefusal> {
        if let Some(kept) = self.parts.get(&id) {
            return Ok(kept);
        }
        let path = LogPath::Blob(id);
        let bytes = Arc::new(files.get(path).await?.ok_or_else(|| missing(path))?);
        self.parts.keep(id, &bytes, bytes.len());
        Ok(bytes)
    }
}

fn too_large(id: BlobId) -> LedgerRefusal {
    let found = format!("parts of more than {MAX_BLOB_BYTES} bytes in {id}");
    LedgerRefusal::new(LedgerCode::Blob, found, "parts of one blob")
}
