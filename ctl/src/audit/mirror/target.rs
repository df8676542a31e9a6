//! Where a copy of a log lies: a folder, or a prefix in a bucket. Bytes by path, and nothing else.
//!
//! A file is there whole or not at all, whenever the process ends. Nothing here looks into a file: `copy` has verified what is
//! put, and compares what is there. Threat: a copy that looks complete and is not.

use kms_ledger::LogPath;
use kms_ledger::tree::Tile;
use object_store::UpdateVersion;

use super::bucket::Bucket;
use super::code::{MirrorCode, TargetRefusal};
use super::folder::Folder;

/// A place for a copy.
pub(super) enum Target {
    Folder(Folder),
    Bucket(Bucket),
}

/// The checkpoint in a target.
pub(super) struct Standing {
    /// The note.
    pub(super) bytes: Vec<u8>,
    /// Which writing of it, where the target can tell.
    pub(super) version: Option<UpdateVersion>,
}

impl Target {
    /// A folder, or `s3://bucket/prefix`.
    pub(super) fn open(place: &str, endpoint: Option<&str>) -> Result<Self, TargetRefusal> {
        let invalid = |found: &str| {
            TargetRefusal::quoting(MirrorCode::TargetAddress, found, "a folder, or s3://<bucket>/<prefix>")
        };
        match (place.strip_prefix("s3://"), endpoint) {
            (Some(address), endpoint) => Bucket::open(address, endpoint).map(Self::Bucket),
            (None, None) if !place.contains("://") => Folder::open(place).map(Self::Folder),
            (None, _) => Err(invalid(place)),
        }
    }

    /// The bytes of a file, if there is one.
    pub(super) async fn get(&self, path: LogPath) -> Result<Option<Vec<u8>>, TargetRefusal> {
        match self {
            Self::Folder(folder) => folder.get(path).await,
            Self::Bucket(bucket) => Ok(bucket.get(path).await?.map(|(bytes, _)| bytes)),
        }
    }

    /// The first byte of a file, if there is a file that has one: what form a blob's file has.
    pub(super) async fn first_byte(&self, path: LogPath) -> Result<Option<u8>, TargetRefusal> {
        match self {
            Self::Folder(folder) => folder.first_byte(path).await,
            Self::Bucket(bucket) => bucket.first_byte(path).await,
        }
    }

    /// Puts a file in its place, whatever stands there.
    pub(super) async fn put(&self, path: LogPath, bytes: Vec<u8>) -> Result<(), TargetRefusal> {
        match self {
            Self::Folder(folder) => folder.put(path, bytes).await,
            Self::Bucket(bucket) => bucket.put(path, bytes).await,
        }
    }

    /// The checkpoint, if there is one.
    pub(super) async fn checkpoint(&self) -> Result<Option<Standing>, TargetRefusal> {
        match self {
            Self::Folder(folder) => {
                let bytes = folder.get(LogPath::Checkpoint).await?;
                Ok(bytes.map(|bytes| Standing { bytes, version: None }))
            }
            Self::Bucket(bucket) => bucket.checkpoint().await,
        }
    }

    /// Puts a checkpoint in place of the one that was seen, durably, once all that was put before is durable. Refused with
    /// `mirror-target-busy` if another stands there by now.
    pub(super) async fn put_checkpoint(
        &self,
        bytes: Vec<u8>,
        standing: Option<&Standing>,
    ) -> Result<(), TargetRefusal> {
        match self {
            Self::Folder(folder) => folder.put_checkpoint(bytes).await,
            Self::Bucket(bucket) => bucket.put_checkpoint(bytes, standing).await,
        }
    }

    /// Removes the partial files of a full tile.
    pub(super) async fn remove_partials(&self, full: Tile) -> Result<(), TargetRefusal> {
        match self {
            Self::Folder(folder) => folder.remove_partials(full).await,
            Self::Bucket(bucket) => bucket.remove_partials(full).await,
        }
    }
}
