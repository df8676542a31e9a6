//! Reading the whole journal when the store is opened: every hash, every index, and where it ends.
//!
//! Only the last batch can be torn, because a batch is synced before the next is written. So what cannot be read is a torn
//! tail when no batch follows it in the last segment, and damage everywhere else. Threat: acknowledged entries that are
//! dropped as if they were a torn tail.

use super::frame::{self, Frame, Unreadable};
use super::segment::{self, Segment};
use super::{Durable, Position};
use crate::store::disk::Disk;
use crate::store::fault::{self, StoreFault};

/// What the journal holds.
pub(in crate::store) struct Scan {
    /// The segment in which it ends.
    pub(in crate::store) last: Segment,
    /// Where it ends.
    pub(in crate::store) durable: Durable,
    /// Where its last batch begins.
    pub(in crate::store) last_batch: u64,
    /// Behind the entries that are published already.
    pub(in crate::store) unpublished: Position,
    /// How many bytes stand behind its end.
    pub(in crate::store) torn_bytes: u64,
}

/// Reads the journal. `published` entries are in the published tree: the journal must hold all that follow.
/// Refused with `store-damaged` or `store-disk`.
pub(in crate::store) fn scan(disk: &dyn Disk, published: u64) -> Result<Scan, StoreFault> {
    let (segments, unfinished) = segments(disk)?;
    let mut walk = Walk::begin(&segments, published)?;
    for (segment, length) in &segments {
        walk.segment(disk, segment, *length, segments.last().map(|(last, _)| last) == Some(segment))?;
    }
    if walk.durable.size < published {
        let found = format!("a journal that ends at {}", walk.durable.size);
        return Err(fault::damaged(
            found,
            format_args!("at least the {published} entries that are published"),
        ));
    }
    let last = segments.last().map(|(last, _)| *last).ok_or_else(no_segment)?;
    if let Some(path) = unfinished {
        disk.remove(&path).map_err(fault::disk(format_args!("removing {path}")))?;
    }
    let Walk { durable, last_batch, unpublished, torn_bytes, .. } = walk;
    Ok(Scan { last, durable, last_batch, unpublished, torn_bytes })
}

fn no_segment() -> StoreFault {
    fault::damaged("no segment of the journal", "at least one")
}

/// The segments that follow one another up to the last, their lengths, and the path of one that was never finished. What
/// stands before a gap was published, and its removal interrupted.
fn segments(disk: &dyn Disk) -> Result<(Vec<(Segment, u64)>, Option<String>), StoreFault> {
    let mut sequences = segment::sequences(disk)?;
    let last = sequences.last().copied().ok_or_else(no_segment)?;
    let unfinished = Segment::open(disk, last)?.is_none().then(|| segment::path(last));
    if unfinished.is_some() {
        sequences.pop();
    }
    let mut segments = Vec::new();
    for sequence in sequences.into_iter().rev() {
        let follows = segments.last().is_none_or(|(next, _): &(Segment, u64)| next.sequence == sequence + 1);
        if !follows {
            break;
        }
        let opened = Segment::open(disk, sequence)?;
        segments.push(opened.ok_or_else(|| fault::damaged(segment::path(sequence), "a whole segment"))?);
    }
    segments.reverse();
    Ok((segments, unfinished))
}

struct Walk {
    published: u64,
    durable: Durable,
    last_batch: u64,
    unpublished: Position,
    torn_bytes: u64,
}

impl Walk {
    fn begin(segments: &[(Segment, u64)], published: u64) -> Result<Self, StoreFault> {
        let (first, _) = segments.first().ok_or_else(no_segment)?;
        if first.first > published {
            let found = format!("{}: begins with entry {}", segment::path(first.sequence), first.first);
            return Err(fault::damaged(
                found,
                format_args!("entry {published}, the first that is not published"),
            ));
        }
        let position = Position { sequence: first.sequence, offset: segment::HEAD_BYTES };
        let durable = Durable { position, size: first.first };
        let last_batch = segment::HEAD_BYTES;
        Ok(Self { published, durable, last_batch, unpublished: position, torn_bytes: 0 })
    }

    fn segment(
        &mut self,
        disk: &dyn Disk,
        segment: &Segment,
        length: u64,
        is_last: bool,
    ) -> Result<(), StoreFault> {
        let path = segment::path(segment.sequence);
        if segment.first != self.durable.size {
            let found = format!("{path}: begins with entry {}", segment.first);
            return Err(fault::damaged(found, format_args!("entry {}", self.durable.size)));
        }
        let start = segment::HEAD_BYTES;
        self.durable.position = Position { sequence: segment.sequence, offset: start };
        self.last_batch = start;
        let mut frames = segment.frames(disk, start, length);
        loop {
            match frames.next() {
                Ok(Some(frame)) => {
                    let entry = matches!(frame, Frame::Entry { .. });
                    self.frame(&frame, &path)?;
                    self.passed(frames.offset(), entry);
                }
                Ok(None) => return Ok(()),
                Err(Unreadable::Disk(error)) => {
                    return Err(fault::disk(format_args!("reading {path}"))(error));
                }
                Err(Unreadable::NoFrame) => break,
            }
        }
        let offset = frames.offset();
        if !is_last || batch_follows(disk, segment, offset, length)? {
            let found = format!("{path}: no frame at byte {offset}, though others follow");
            return Err(fault::damaged(found, "the frames that were written there"));
        }
        self.torn_bytes = length - offset;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, path: &str) -> Result<(), StoreFault> {
        match frame {
            Frame::Batch { first } if *first != self.durable.size => {
                let found = format!("{path}: a batch that begins with entry {first}");
                Err(fault::damaged(found, format_args!("entry {}", self.durable.size)))
            }
            Frame::Entry { .. } => {
                self.durable.size += 1;
                Ok(())
            }
            Frame::Batch { .. } => {
                self.last_batch = self.durable.position.offset;
                Ok(())
            }
            Frame::Blob { .. } | Frame::File { .. } => Ok(()),
        }
    }

    /// The blobs before an entry belong to it: what is unpublished begins right behind an entry.
    fn passed(&mut self, offset: u64, entry: bool) {
        self.durable.position.offset = offset;
        if entry && self.durable.size <= self.published {
            self.unpublished = self.durable.position;
        }
    }
}

/// Whether a batch was written behind this place.
fn batch_follows(disk: &dyn Disk, segment: &Segment, offset: u64, length: u64) -> Result<bool, StoreFault> {
    let path = segment::path(segment.sequence);
    let rest = usize::try_from(length - offset).unwrap_or(usize::MAX);
    let rest = disk.read(&path, offset, rest).map_err(fault::disk(format_args!("reading {path}")))?;
    Ok(frame::find_batch(&segment.salt, &rest).is_some_and(|place| place > 0))
}
