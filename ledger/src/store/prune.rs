//! Retention: evidence that only old records name is removed; the records stay, and the tree stays as it is.
//!
//! Removes a blob only if no record from the given one on names it, if no other blob has it as a part, and if it is not of the
//! node itself: what binds the log's key to an enclave, and shows that governance allowed that enclave, is kept for as long as
//! the log. A mark in the log says before which entry evidence may be missing; it is durable before anything is removed. Called
//! by the publisher's thread, while the writer relies on nothing that is there. Threats: evidence of a young record that
//! goes with an old one's; a log whose key nobody vouches for any more; evidence that is missing without a word.

use std::collections::BTreeSet;

use super::Shared;
use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::layout;
use super::publish::Publisher;
use super::tiles::DiskTiles;
use crate::blob::BlobId;
use crate::record::Record;
use crate::tree::{TILE_WIDTH, Tile, TileKind};

/// Which records are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Those before this index.
    Index(u64),
    /// Those before the first that was written at this time or later, in Unix seconds.
    Time(u64),
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Before which entry evidence may be missing now.
    pub before: u64,
    /// How many blobs were removed.
    pub blobs: u64,
    /// How many bytes their files had.
    pub bytes: u64,
}

impl Publisher {
    /// Removes evidence that only old records name. The writer must rely on nothing that is there until this returns.
    pub(super) fn prune(&mut self, before: Before, shared: &Shared) -> Result<Pruned, StoreFault> {
        self.publish(shared)?;
        let disk = &*self.disk;
        let done = read_mark(disk, layout::REMOVED)?;
        let mut search = Search { before, old: BTreeSet::new(), kept: BTreeSet::new(), end: None };
        each_record(disk, done, self.size(), |index, record| search.take(index, record))?;
        let end = search.end.unwrap_or_else(|| self.size()).max(done);
        let mark = end.max(read_mark(disk, layout::PRUNED)?);
        write_mark(disk, layout::PRUNED, mark)?;
        let mut pruned = Pruned { before: mark, blobs: 0, bytes: 0 };
        for id in &search.kept {
            keep(disk, *id)?;
        }
        for id in search.old.difference(&search.kept).copied() {
            pruned.remove(disk, id)?;
        }
        disk.sync_all().map_err(fault::disk("removing evidence"))?;
        write_mark(disk, layout::REMOVED, end)?;
        Ok(pruned)
    }
}

/// The blobs that only old records name.
struct Search {
    before: Before,
    old: BTreeSet<BlobId>,
    /// The blobs that old records of the node itself name.
    kept: BTreeSet<BlobId>,
    /// The first record that is not old.
    end: Option<u64>,
}

impl Search {
    fn take(&mut self, index: u64, record: &Record) {
        let old = match self.before {
            Before::Index(end) => index < end,
            Before::Time(end) => record.time < end,
        };
        if self.end.is_none() && old {
            let blobs = if record.is_of_the_node() { &mut self.kept } else { &mut self.old };
            blobs.extend(record.blobs());
        } else {
            self.end = self.end.or(Some(index));
            for id in record.blobs() {
                self.old.remove(&id);
            }
        }
    }
}

impl Pruned {
    fn remove(&mut self, disk: &dyn Disk, id: BlobId) -> Result<(), StoreFault> {
        let path = layout::blob(id);
        let removing = |error| fault::disk(format_args!("removing {path}"))(error);
        for mark in [layout::part(id), layout::kept(id)] {
            if disk.length(&mark).map_err(removing)?.is_some() {
                return Ok(());
            }
        }
        if let Some(bytes) = disk.length(&path).map_err(removing)? {
            disk.remove(&path).map_err(removing)?;
            self.blobs += 1;
            self.bytes += bytes;
        }
        Ok(())
    }
}

/// Marks a blob as one of the node itself: records that follow may name it too, and go. Durable before it is relied on, for the
/// next removal begins to look behind its record.
fn keep(disk: &dyn Disk, id: BlobId) -> Result<(), StoreFault> {
    let path = layout::kept(id);
    let marking = |error| fault::disk(format_args!("writing {path}"))(error);
    if disk.length(&path).map_err(marking)?.is_some() {
        return Ok(());
    }
    layout::put(disk, &path, &[]).map_err(marking)
}

fn each_record(
    disk: &dyn Disk,
    start: u64,
    size: u64,
    mut take: impl FnMut(u64, &Record),
) -> Result<(), StoreFault> {
    let mut index = start;
    while let Some(bundle) = Tile::holding(TileKind::Entries, index, size) {
        let entries = (DiskTiles { disk, size }).entries(bundle)?;
        let skipped = usize::try_from(index - bundle.start()).unwrap_or(TILE_WIDTH);
        for entry in entries.iter().skip(skipped) {
            take(index, &Record::decode(entry)?);
            index += 1;
        }
        index = bundle.start() + TILE_WIDTH as u64;
    }
    Ok(())
}

/// A mark, or 0 when there is none.
pub(super) fn read_mark(disk: &dyn Disk, path: &str) -> Result<u64, StoreFault> {
    let reading = |error| fault::disk(format_args!("reading {path}"))(error);
    let Some(length) = disk.length(path).map_err(reading)? else { return Ok(0) };
    let bytes = disk.read(path, 0, usize::try_from(length).unwrap_or(usize::MAX)).map_err(reading)?;
    let mark = str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
    mark.ok_or_else(|| fault::damaged(path, "an index in decimal digits"))
}

fn write_mark(disk: &dyn Disk, path: &str, mark: u64) -> Result<(), StoreFault> {
    let written = layout::put_durably(disk, path, format!("{mark}\n").as_bytes());
    written.map_err(fault::disk(format_args!("writing {path}")))
}
