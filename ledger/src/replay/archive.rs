//! Where records and evidence come from: whatever the source, nothing from it is believed.

use std::sync::Arc;

use super::code::{Gap, ReplayCode};
use crate::blob::BlobId;
use crate::record::Record;

/// Records and blobs beside one another: a mirror, a folder, a bundle, a test. Whatever cannot be had is a gap.
pub trait Archive: Sync {
    /// The record at an index. Whoever implements it has proven that it stands in the log.
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap>;
    /// The bytes of that name. Whoever asks checks the name.
    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap>;
}

/// There is no record of that index.
#[must_use]
pub fn no_record(index: u64) -> Gap {
    Gap::new(ReplayCode::RecordMissing, format_args!("no record {index}"), "the record")
}

/// There is no blob of that name.
#[must_use]
pub fn no_blob(id: &BlobId) -> Gap {
    Gap::new(ReplayCode::BlobMissing, format_args!("no blob {id}"), "the blob")
}

/// A blob, checked against its name.
pub(super) fn fetch(archive: &dyn Archive, what: &str, id: BlobId) -> Result<Arc<[u8]>, Gap> {
    let bytes = archive.blob(&id)?;
    match BlobId::of(&bytes) {
        found if found == id => Ok(bytes),
        found => Err(Gap::new(ReplayCode::BlobDamaged, format_args!("a {what} {found}"), id)),
    }
}

/// A blob that the record must name.
pub(super) fn need(archive: &dyn Archive, what: &str, id: Option<BlobId>) -> Result<Arc<[u8]>, Gap> {
    let unnamed = || Gap::new(ReplayCode::EvidenceUnnamed, format_args!("no {what}"), "its digest");
    fetch(archive, what, id.ok_or_else(unnamed)?)
}
