//! The journal: where an entry and its evidence are durable first, in order, with one sync for many.
//!
//! ```text
//! batch ─▶ one write: blobs before the record that names them ─▶ one fdatasync ─▶ acknowledged
//! ```
//!
//! Owned by the writer, read by the publisher and when the store is opened. After a fault nothing behind the last
//! durable frame is believed: it is cut off before anything else is written. Never gives an index twice to entries that
//! were acknowledged. Threat: a crash between any two instructions, and a sync that failed once and then seems to work.

mod frame;
mod scan;
mod segment;

use std::sync::Arc;

pub(super) use self::frame::{Batch, Frame, Unreadable};
pub(super) use self::scan::{Scan, scan};
use self::segment::FOLDER;
pub(super) use self::segment::{Segment, is_empty, path, sequences};
use super::disk::{Disk, DiskFile};
use super::fault::{self, StoreFault};

/// A place in the journal, between two frames.
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
    /// Where its last durable frame ends.
    pub(super) position: Position,
    /// How many entries the log has.
    pub(super) size: u64,
}

/// The journal's end, where it grows.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    segment: Segment,
    file: Box<dyn DiskFile>,
    durable: Durable,
    /// Whether something may stand behind the last durable frame.
    torn: bool,
    /// From how many bytes on a new segment is begun.
    segment_bytes: u64,
}

impl Journal {
    /// Makes the first segment of a log.
    pub(super) fn create(disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Self, StoreFault> {
        disk.make_folder(FOLDER).map_err(fault::disk("making the journal"))?;
        let (segment, file) = Segment::create(&*disk, 0, 0)?;
        let position = Position { sequence: 0, offset: segment::HEAD_BYTES };
        let durable = Durable { position, size: 0 };
        Ok(Self { disk, segment, file, durable, torn: false, segment_bytes })
    }

    /// Goes on where the journal was found to end. The last batch is written again: the process before may have been told
    /// that a sync failed, and then what is read here is not on the disk.
    pub(super) fn resume(disk: Arc<dyn Disk>, scan: &Scan, segment_bytes: u64) -> Result<Self, StoreFault> {
        let (segment, durable) = (scan.last, scan.durable);
        let path = path(segment.sequence);
        let length = usize::try_from(durable.position.offset - scan.last_batch).unwrap_or(usize::MAX);
        let resuming = |error| fault::disk(format_args!("resuming {path}"))(error);
        let last = disk.read(&path, scan.last_batch, length).map_err(resuming)?;
        let file = disk.open(&path).map_err(resuming)?;
        let again = file.write_at(&segment.head(), 0).and_then(|()| file.write_at(&last, scan.last_batch));
        again.map_err(resuming)?;
        let mut journal = Self { disk, segment, file, durable, torn: true, segment_bytes };
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
        Ok(Batch::begin(&self.segment.salt, self.durable.size))
    }

    /// Writes the batch that was begun last, and syncs. Returns the index of its first entry.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<u64, StoreFault> {
        let first = self.durable.size;
        self.torn = true;
        let written = self.file.write_at(batch.bytes(), self.durable.position.offset);
        written.map_err(fault::disk("writing the journal"))?;
        self.file.sync().map_err(fault::disk("syncing the journal"))?;
        self.torn = false;
        self.durable.position.offset += batch.bytes().len() as u64;
        self.durable.size += batch.entries();
        Ok(first)
    }

    /// Takes away whatever stands behind the last durable frame, for good.
    fn repair(&mut self) -> Result<(), StoreFault> {
        let cut = self.file.set_len(self.durable.position.offset).and_then(|()| self.file.sync());
        cut.map_err(fault::disk("repairing the journal"))?;
        self.torn = false;
        Ok(())
    }

    /// Begins another segment. The old one stays the last until this one is durable.
    fn rotate(&mut self) -> Result<(), StoreFault> {
        let (segment, file) = Segment::create(&*self.disk, self.segment.sequence + 1, self.durable.size)?;
        (self.segment, self.file) = (segment, file);
        self.durable.position = Position { sequence: segment.sequence, offset: segment::HEAD_BYTES };
        Ok(())
    }
}
