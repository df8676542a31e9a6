//! Reading the whole journal when the store is opened: every hash, every tag, every index, and where it ends.
//!
//! Only the last batch can be torn, because a batch is synced before the next is written, and none of a torn one was
//! acknowledged. So what cannot be read is a torn tail when no batch of the node follows it in the last segment, and damage
//! everywhere else. What can be read, and is not the node's, is never a torn tail: it is refused. Threats: acknowledged
//! entries that are dropped as if they were a torn tail; entries that the node never wrote.

use super::frame::{self, Frame};
use super::frames::Unreadable;
use super::seal::Seal;
use super::segment::{self, Segment};
use super::{Durable, Position};
use crate::hash::TreeHash;
use crate::store::disk::Disk;
use crate::store::fault::{self, StoreFault};
use crate::tree::Peaks;

/// What the journal holds.
pub(in crate::store) struct Scan {
    /// The segment in which it ends.
    pub(super) last: Segment,
    /// Where it ends.
    pub(in crate::store) durable: Durable,
    /// The tree of all its entries.
    pub(super) tree: Peaks,
    /// Where its last batch begins.
    pub(super) last_batch: u64,
    /// Behind the entries that are published already.
    pub(in crate::store) unpublished: Position,
    /// How many bytes stand behind its end.
    pub(in crate::store) torn_bytes: u64,
}

/// Reads the journal. `published` is the published tree: the journal must hold all that follows, and continue it.
/// Refused with `store-forged`, `store-damaged`, `store-format` or `store-disk`.
pub(in crate::store) fn scan(disk: &dyn Disk, seal: &Seal, published: Peaks) -> Result<Scan, StoreFault> {
    let (segments, unfinished) = segments(disk, seal)?;
    let mut walk = Walk::begin((disk, seal), &segments, published)?;
    for (segment, length) in &segments {
        walk.segment(segment, *length)?;
    }
    walk.holds_the_published()?;
    let last = segments.last().map(|(last, _)| *last).ok_or_else(no_segment)?;
    if let Some(path) = unfinished {
        disk.remove(&path).map_err(fault::disk(format_args!("removing {path}")))?;
    }
    let Walk { durable, tree, last_batch, unpublished, torn, .. } = walk;
    let durable = Durable { root: tree.root(), ..durable };
    let torn_bytes = torn.map_or(0, |torn| torn.bytes);
    Ok(Scan { last, durable, tree, last_batch, unpublished, torn_bytes })
}

fn no_segment() -> StoreFault {
    fault::damaged("no segment of the journal", "at least one")
}

/// Segments with their lengths, and the path of one that was never finished.
type Segments = (Vec<(Segment, u64)>, Option<String>);

/// The segments that follow one another up to the last. What stands before a gap was published, and its removal interrupted.
fn segments(disk: &dyn Disk, seal: &Seal) -> Result<Segments, StoreFault> {
    let mut sequences = segment::sequences(disk)?;
    let last = sequences.last().copied().ok_or_else(no_segment)?;
    let unfinished = Segment::open(disk, seal, last)?.is_none().then(|| segment::path(last));
    if unfinished.is_some() {
        sequences.pop();
    }
    let mut segments = Vec::new();
    for sequence in sequences.into_iter().rev() {
        let follows = segments.last().is_none_or(|(next, _): &(Segment, u64)| next.sequence == sequence + 1);
        if !follows {
            break;
        }
        let opened = Segment::open(disk, seal, sequence)?;
        segments.push(opened.ok_or_else(|| fault::damaged(segment::path(sequence), "a whole segment"))?);
    }
    segments.reverse();
    Ok((segments, unfinished))
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    seal: &'a Seal,
    /// How many entries are published.
    published: u64,
    /// The published tree, and what the journal adds to it.
    tree: Peaks,
    durable: Durable,
    last_batch: u64,
    unpublished: Position,
    torn: Option<Torn>,
}

/// What cannot be read, up to the end of its segment.
struct Torn {
    path: String,
    offset: u64,
    bytes: u64,
}

impl<'a> Walk<'a> {
    fn begin(
        (disk, seal): (&'a dyn Disk, &'a Seal),
        segments: &[(Segment, u64)],
        tree: Peaks,
    ) -> Result<Self, StoreFault> {
        let (first, _) = segments.first().ok_or_else(no_segment)?;
        let published = tree.size();
        if first.first > published {
            let found = format!("{}: begins with entry {}", segment::path(first.sequence), first.first);
            return Err(fault::damaged(
                found,
                format_args!("entry {published}, the first that is not published"),
            ));
        }
        let position = Position { sequence: first.sequence, offset: segment::HEAD_BYTES };
        let durable = Durable { position, size: first.first, root: tree.root(), bytes: 0 };
        let last_batch = segment::HEAD_BYTES;
        Ok(Self { disk, seal, published, tree, durable, last_batch, unpublished: position, torn: None })
    }

    fn holds_the_published(&self) -> Result<(), StoreFault> {
        if self.durable.size >= self.published {
            return Ok(());
        }
        let found = format!("a journal that ends at {}", self.durable.size);
        Err(fault::damaged(found, format_args!("at least the {} entries that are published", self.published)))
    }

    fn segment(&mut self, segment: &Segment, length: u64) -> Result<(), StoreFault> {
        self.nothing_torn()?;
        let path = segment::path(segment.sequence);
        if segment.first != self.durable.size {
            let found = format!("{path}: begins with entry {}", segment.first);
            return Err(fault::damaged(found, format_args!("entry {}", self.durable.size)));
        }
        let start = segment::HEAD_BYTES;
        self.durable.position = Position { sequence: segment.sequence, offset: start };
        self.last_batch = start;
        let mut batch = Vec::new();
        let mut frames = segment.frames(self.disk, self.seal, &path, (start, length));
        loop {
            match frames.next() {
                Ok(Some(Frame::Batch { first, root })) => self.continues(first, root, &path)?,
                Ok(Some(Frame::Entry { leaf, .. })) => batch.push(leaf),
                Ok(Some(Frame::Blob { .. } | Frame::File { .. })) => {}
                Ok(None) => return Ok(()),
                Err(Unreadable::NoFrame) => break,
                Err(fault) => return Err(fault.fault(&path, frames.offset())),
            }
            if frames.between_batches() {
                self.take(&mut batch, frames.offset(), &path)?;
            }
        }
        self.torn(segment, length)
    }

    /// That a batch stands behind the entries that it was written behind.
    fn continues(&self, first: u64, root: TreeHash, path: &str) -> Result<(), StoreFault> {
        let same_tree = first < self.published || root == self.tree.root();
        if first == self.durable.size && same_tree {
            return Ok(());
        }
        let place = format!("{path}: a batch at byte {}", self.durable.position.offset);
        let found = format!("{place} that continues {first} entries with root {root}");
        let expected = format!("one that continues the log: {} entries", self.durable.size);
        Err(fault::forged(found, expected))
    }

    /// Counts the entries of a batch that was read whole.
    fn take(&mut self, batch: &mut Vec<TreeHash>, end: u64, path: &str) -> Result<(), StoreFault> {
        let first = self.durable.size;
        self.durable.size += batch.len() as u64;
        if first < self.published && self.published < self.durable.size {
            let found = format!("{path}: a batch of the entries from {first} to {}", self.durable.size);
            let expected = format!("one that ends with the published tree, at {}", self.published);
            return Err(fault::forged(found, expected));
        }
        let new = batch.drain(..);
        if first >= self.published {
            new.for_each(|leaf| self.tree.append(leaf));
        }
        self.last_batch = self.durable.position.offset;
        self.durable.bytes += end - self.last_batch;
        self.durable.position.offset = end;
        if self.durable.size <= self.published {
            self.unpublished = self.durable.position;
            self.durable.bytes = 0;
        }
        Ok(())
    }

    /// What comes behind the last whole batch is torn, if no batch of the node follows.
    fn torn(&mut self, segment: &Segment, length: u64) -> Result<(), StoreFault> {
        let path = segment::path(segment.sequence);
        let offset = self.durable.position.offset;
        let bytes = length.saturating_sub(offset);
        let rest = usize::try_from(bytes).unwrap_or(usize::MAX);
        let rest =
            self.disk.read(&path, offset, rest).map_err(fault::disk(format_args!("reading {path}")))?;
        self.torn = Some(Torn { path, offset, bytes });
        let follows = frame::find_batch(self.seal, &segment.salt, &rest).is_some_and(|place| place > 0);
        if follows { self.nothing_torn() } else { Ok(()) }
    }

    /// Whatever comes now is behind what could not be read.
    fn nothing_torn(&self) -> Result<(), StoreFault> {
        let Some(Torn { path, offset, .. }) = &self.torn else { return Ok(()) };
        let found = format!("{path}: no whole batch at byte {offset}, though others follow");
        Err(fault::damaged(found, "the batches that were written there"))
    }
}
