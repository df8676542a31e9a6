//! Where everything lies in the store's folder.
//!
//! ```text
//! format        which version this is, and the log's name
//! lock          locked by the process that has the store open
//! journal/      what is durable and not yet published
//! staging       a file that is being made
//! parts/        which blobs are parts of others, and so are never removed
//! kept/         which blobs are of the node itself, and so are never removed
//! removed       before which entry evidence was removed
//! log/          the log as it is served and mirrored: nothing else is in this folder
//!   checkpoint  witnessed  tile/…  blob/…  pruned
//! ```

use std::io;

use super::disk::Disk;
use crate::blob::BlobId;
use crate::blob_file;
use crate::tree::Tile;

/// The folder that is served.
pub(super) const LOG: &str = "log";
/// The version of the folder, and the log's name.
pub(super) const FORMAT: &str = "format";
/// The file that is locked.
pub(super) const LOCK: &str = "lock";
/// The latest checkpoint.
pub(super) const CHECKPOINT: &str = "log/checkpoint";
/// The latest checkpoint that a quorum of witnesses has cosigned.
pub(super) const WITNESSED: &str = "log/witnessed";
/// Before which entry evidence may be missing.
pub(super) const PRUNED: &str = "log/pruned";
/// Before which entry evidence was removed: where the next removal begins to look.
pub(super) const REMOVED: &str = "removed";
const STAGING: &str = "staging";

/// The file of a blob.
pub(super) fn blob(id: BlobId) -> String {
    format!("{LOG}/{}", blob_file::path(id))
}

/// The mark of a blob that is a part of others.
pub(super) fn part(id: BlobId) -> String {
    mark("parts", id)
}

/// The mark of a blob that is evidence of the node itself.
pub(super) fn kept(id: BlobId) -> String {
    mark("kept", id)
}

fn mark(folder: &str, id: BlobId) -> String {
    let name = id.to_string();
    format!("{folder}/{}/{name}", name.get(..2).unwrap_or_default())
}

/// The file of a tile or bundle.
pub(super) fn tile(tile: Tile) -> String {
    format!("{LOG}/{tile}")
}

/// Puts a file in its place as a whole: nobody sees a part of it. Not durable yet.
pub(super) fn put(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    disk.create(STAGING)?.write_at(bytes, 0)?;
    match disk.rename(STAGING, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.make_folder(folder_of(path))?;
            disk.rename(STAGING, path)
        }
        other => other,
    }
}

/// Puts a file in its place, durably: after a crash there is the old file or the new one.
pub(super) fn put_durably(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(STAGING)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(STAGING, path)?;
    disk.sync_folder(folder_of(path))
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}
