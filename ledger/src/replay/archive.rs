//! Where records and evidence come from: whatever the source, nothing from it is believed.

use std::sync::Arc;

use super::code::{Gap, ReplayCode};
use crate::blob::BlobId;
use crate::record::Record;

/// Records and blobs beside one another: a mirror, a folder, a bundle, a test.
pub trait Archive: Sync {
    /// The record at an index, none if it is not there. Whoever implements it has proven that it stands in the log.
    fn record(&self, index: u64) -> Option<Arc<Record>>;
    /// The bytes of that name, none if they are not there. Whoever asks checks the name.
    fn blob(&self, id: &BlobId) -> Option<Arc<[u8]>>;
}

/// A blob, checked against its name.
pub(super) fn fetch(archive: &dyn Archive, what: &str, id: BlobId) -> Result<Arc<[u8]>, Gap> {
    let Some(bytes) = archive.blob(&id) else {
        return Err(Gap::new(ReplayCode::BlobMissing, format_args!("no {what} {id}"), "the blob"));
    };
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
