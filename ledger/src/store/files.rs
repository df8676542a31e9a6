//! Files that are about to be published: gathered, then made by several threads at once.
//!
//! A file of its own for each piece of evidence is what a mirror needs, and what costs most: half of the time is the file
//! system's, the other half compression. Both are shared out here. In which order files are made does not matter: all of
//! them are synced before a checkpoint covers any. Owned by one round of publication. Threat: evidence that comes faster
//! than it is published, until the journal fills the disk.

use std::collections::BTreeMap;
use std::thread;

use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::layout;
use crate::blob_file;

/// How many bytes are gathered at most before they are written.
const GATHERED_BYTES: usize = 8 * 1024 * 1024;
/// How many files are gathered at most.
const GATHERED_FILES: usize = 1024;

/// What a file will hold.
pub(super) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The file of a blob of one piece: it is compressed when it is made.
    Blob(Vec<u8>),
}

impl Content {
    const fn bytes(&self) -> &Vec<u8> {
        match self {
            Self::Bytes(bytes) | Self::Blob(bytes) => bytes,
        }
    }

    fn put(&self, disk: &dyn Disk, lane: usize, path: &str) -> Result<(), StoreFault> {
        let put = match self {
            Self::Bytes(bytes) => layout::put(disk, lane, path, bytes),
            Self::Blob(bytes) => layout::put(disk, lane, path, &blob_file::encode_whole(bytes)),
        };
        put.map_err(fault::disk(format_args!("writing {path}")))
    }
}

/// Files that wait to be made.
pub(super) struct Files<'a> {
    disk: &'a dyn Disk,
    waiting: BTreeMap<String, Content>,
    bytes: usize,
}

impl<'a> Files<'a> {
    pub(super) const fn new(disk: &'a dyn Disk) -> Self {
        Self { disk, waiting: BTreeMap::new(), bytes: 0 }
    }

    /// Puts a file in its place, now or with others. Whatever was put there before is made first.
    pub(super) fn put(&mut self, path: String, content: Content) -> Result<(), StoreFault> {
        self.settle(&path)?;
        self.bytes += content.bytes().len();
        self.waiting.insert(path, content);
        let full = self.bytes >= GATHERED_BYTES || self.waiting.len() >= GATHERED_FILES;
        if full { self.make() } else { Ok(()) }
    }

    /// If a file of this name waits, it is made.
    pub(super) fn settle(&mut self, path: &str) -> Result<(), StoreFault> {
        if self.waiting.contains_key(path) { self.make() } else { Ok(()) }
    }

    /// Makes all that wait. Nothing is durable yet.
    pub(super) fn make(&mut self) -> Result<(), StoreFault> {
        let files: Vec<_> = std::mem::take(&mut self.waiting).into_iter().collect();
        self.bytes = 0;
        let (disk, lanes) = (self.disk, self.disk.lanes().min(files.len()));
        if lanes < 2 {
            return files.iter().try_for_each(|(path, content)| content.put(disk, 0, path));
        }
        let each = files.len().div_ceil(lanes);
        thread::scope(|scope| {
            let make = |(lane, files): (usize, &'_ [(String, Content)])| {
                files.iter().try_for_each(|(path, content)| content.put(disk, lane, path))
            };
            let spawned = files.chunks(each).enumerate().map(|files| {
                thread::Builder::new().name("log-files".to_owned()).spawn_scoped(scope, move || make(files))
            });
            // All are spawned before the first is waited for.
            let spawned: Vec<_> = spawned.collect();
            spawned.into_iter().try_for_each(|lane| {
                let lane = lane.map_err(fault::disk("starting a thread"))?;
                lane.join().unwrap_or_else(|_| Err(fault::closed()))
            })
        })
    }
}
