//! The journal: where an entry and its evidence are durable first, in order, with one sync for many.
//!
//! ```text
//! batch ─▶ one write: blobs before the record that names them ─▶ one fdatasync ─▶ acknowledged
//! ```
//!
//! Owned by the writer, read by the publisher and when the store is opened. After a fault nothing behind the last
//! durable batch is believed: it is cut off before anything else is written. Never gives an index twice to entries that
//! were acknowledged. Every batch carries a tag that only the node can make, over all of it and over the tree that it
//! continues: nothing else is ever published. Threats: a crash between any two instructions, and a sync that failed once
//! and then seems to work; a host that writes into the journal.

mod frame;
mod frames;
mod scan;
mod seal;
mod segment;

use std::sync::Arc;

pub(super) use self::frame::{Batch, Frame};
pub(super) use self::scan::{Scan, scan};
pub use self::seal::JournalKey;
pub(super) use self::seal::Seal;
use self::segment::FOLDER;
pub(super) use self::segment::{Segment, is_empty, path, sequences};
use super::disk::{Disk, DiskFile};
use super::fault::{self, StoreFault};
use crate::hash::TreeHash;
use crate::tree::Peaks;

/// A place in the journal, between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Which segment.
    pub(super) sequence: u64,
    /// How many bytes are before it.
    pub(super) offset: u64,
}

/// How far the journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Durable {
    /// Where its last durable batch ends.
    pub(super) position: Position,
    /// How many entries the log has.
    pub(super) size: u64,
    /// The root of their tree: what is published must have it.
    pub(super) root: TreeHash,
    /// How many bytes of batches became durable, those that were unpublished when the store was opened included.
    pub(super) bytes: u64,
}

/// The journal's end, where it grows.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    seal: Arc<Seal>,
    segment: Segment,
    file: Box<dyn DiskFile>,
    durable: Durable,
    /// The tree of all durable entries.
    tree: Peaks,
    /// Whether something may stand behind the last durable batch.
    torn: bool,
    /// From how many bytes on a new segment is begun.
    segment_bytes: u64,
}

impl Journal {
    /// Makes the first segment of a log.
    pub(super) fn create(disk: &dyn Disk, seal: &Seal) -> Result<(), StoreFault> {
        disk.make_folder(FOLDER).map_err(fault::disk("making the journal"))?;
        Segment::create(disk, seal, 0, 0).map(drop)
    }

    /// Goes on where the journal was found to end. The last batch is written again: the process before may have been told
    /// that a sync failed, and then what is read here is not on the disk.
    pub(super) fn resume(
        disk: Arc<dyn Disk>,
        seal: Arc<Seal>,
        scan: &Scan,
        segment_bytes: u64,
    ) -> Result<Self, StoreFault> {
        let (segment, durable, tree) = (scan.last, scan.durable, scan.tree.clone());
        let path = path(segment.sequence);
        let length = usize::try_from(durable.position.offset - scan.last_batch).unwrap_or(usize::MAX);
        let resuming = |error| fault::disk(format_args!("resuming {path}"))(error);
        let last = disk.read(&path, scan.last_batch, length).map_err(resuming)?;
        let file = disk.open(&path).map_err(resuming)?;
        let again =
            file.write_at(&segment.head(&seal), 0).and_then(|()| file.write_at(&last, scan.last_batch));
        again.map_err(resuming)?;
        let mut journal = Self { disk, seal, segment, file, durable, tree, torn: true, segment_bytes };
        journal.repair()?;
        Ok(journal)
    }

    /// How far it is durable.
    pub(super) const fn durable(&self) -> Durable {
        self.durable
    }

    /// Begins a batch at the journal's end.
    pub(super) fn begin(&mut self) -> Result<Batch, StoreFault> {
        if self.torn {
            self.repair()?;
        }
        if self.durable.position.offset >= self.segment_bytes {
            self.rotate()?;
        }
        Ok(Batch::begin())
    }

    /// Writes the batch that was begun last, and syncs. Returns the index of its first entry.
    pub(super) fn commit(&mut self, mut batch: Batch) -> Result<u64, StoreFault> {
        let first = self.durable.size;
        self.torn = true;
        let bytes = batch.close(&self.seal, &self.segment.salt, first, self.durable.root);
        let length = bytes.len() as u64;
        let written = self.file.write_at(bytes, self.durable.position.offset);
        written.map_err(fault::disk("writing the journal"))?;
        self.file.sync().map_err(fault::disk("syncing the journal"))?;
        self.torn = false;
        for leaf in batch.leaves() {
            self.tree.append(*leaf);
        }
        self.durable.position.offset += length;
        (self.durable.size, self.durable.root) = (self.tree.size(), self.tree.root());
        self.durable.bytes += length;
        Ok(first)
    }

    /// Takes away whatever stands behind the last durable batch, for good.
    fn repair(&mut self) -> Result<(), StoreFault> {
        let cut = self.file.set_len(self.durable.position.offset).and_then(|()| self.file.sync());
        cut.map_err(fault::disk("repairing the journal"))?;
        self.torn = false;
        Ok(())
    }

    /// Begins another segment. The old one stays the last until this one is durable.
    fn rotate(&mut self) -> Result<(), StoreFault> {
        let (sequence, first) = (self.segment.sequence + 1, self.durable.size);
        let (segment, file) = Segment::create(&*self.disk, &self.seal, sequence, first)?;
        (self.segment, self.file) = (segment, file);
        self.durable.position = Position { sequence, offset: segment::HEAD_BYTES };
        Ok(())
    }
}
