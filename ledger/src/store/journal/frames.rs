//! Reading the frames of a segment, one after the other, and only what the node wrote.
//!
//! A frame is handed out when its own hash is right, and the last of a batch only when the batch is whole and the node's:
//! between two batches, everything before is. Whoever reads relies on nothing before that. Called when the store is opened,
//! and by the publisher, which reads the same bytes again from a disk that is not the node's. Threat: a host that changes
//! the journal, at any moment.

use std::io;

use ring::digest::{Context, SHA256};

use super::frame::{Forged, Frame, HEAD_BYTES, Head, Opening};
use super::seal::Seal;
use super::segment::Segment;
use crate::blob_file::MAX_BLOB_FILE_BYTES;
use crate::store::disk::Disk;
use crate::store::fault::{self, StoreFault};

/// The largest frame that is believed: the file of a blob, behind its name.
const MAX_FRAME_BYTES: usize = 32 + MAX_BLOB_FILE_BYTES;
/// How much is read from the disk at once.
const WINDOW_BYTES: usize = 1024 * 1024;

/// Why there is no next frame.
pub(in crate::store) enum Unreadable {
    /// The disk did not give the bytes.
    Disk(io::Error),
    /// The bytes are no frame: a crash, or a bad disk, leaves such.
    NoFrame,
    /// The bytes are whole, so that no crash made them, and the node did not write them there.
    Forged,
}

impl Unreadable {
    /// The fault of a journal that must be readable up to here.
    pub(in crate::store) fn fault(self, path: &str, offset: u64) -> StoreFault {
        match self {
            Self::Disk(error) => fault::disk(format_args!("reading {path}"))(error),
            Self::NoFrame => fault::damaged(
                format_args!("{path}: no frame at byte {offset}"),
                "the frames that were written there",
            ),
            Self::Forged => fault::forged(
                format_args!("{path}: frames at byte {offset} that this log's key did not write"),
                "the batches that the node wrote, where it wrote them",
            ),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Forged> for Unreadable {
    fn from(_: Forged) -> Self {
        Self::Forged
    }
}

/// The frames of a segment, one after the other.
pub(in crate::store) struct Frames<'a> {
    disk: &'a dyn Disk,
    path: &'a str,
    seal: &'a Seal,
    segment: Segment,
    /// Where the next frame begins.
    offset: u64,
    /// Where they end.
    end: u64,
    /// The batch that is being read.
    batch: Option<Rest>,
    window: Vec<u8>,
    window_at: u64,
}

/// What is still to come of a batch.
struct Rest {
    bytes: u64,
    /// The SHA-256 of the heads of its frames, as the node wrote it, and as far as they were read.
    heads: [u8; 32],
    read: Context,
}

impl Rest {
    fn of(opening: &Opening) -> Self {
        Self { bytes: opening.length, heads: opening.heads, read: Context::new(&SHA256) }
    }

    /// Takes in a frame by its head. None once the batch was read whole.
    fn take(mut self, head: &[u8], whole: u64) -> Result<Option<Self>, Unreadable> {
        self.read.update(head);
        self.bytes = self.bytes.checked_sub(whole).ok_or(Unreadable::NoFrame)?;
        if self.bytes > 0 {
            return Ok(Some(self));
        }
        if self.read.finish().as_ref() == self.heads { Ok(None) } else { Err(Unreadable::Forged) }
    }
}

impl<'a> Frames<'a> {
    /// The frames between two places, the first of which is between two batches.
    pub(super) fn new(
        disk: &'a dyn Disk,
        seal: &'a Seal,
        segment: Segment,
        path: &'a str,
        (offset, end): (u64, u64),
    ) -> Self {
        let (window, batch) = (Vec::new(), None);
        Self { disk, path, seal, segment, offset, end, batch, window, window_at: offset }
    }

    /// Where the next frame begins: everything before it was read.
    pub(in crate::store) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether all that was read is whole batches of the node.
    pub(in crate::store) const fn between_batches(&self) -> bool {
        self.batch.is_none()
    }

    /// The next frame, or none at the end.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Frame<'_>>, Unreadable> {
        if self.offset == self.end && self.batch.is_none() {
            return Ok(None);
        }
        self.load(HEAD_BYTES)?;
        let head = Head::decode(self.ahead()).ok_or(Unreadable::NoFrame)?;
        let whole = HEAD_BYTES + head.length;
        if head.length > MAX_FRAME_BYTES || whole as u64 > self.end - self.offset {
            return Err(Unreadable::NoFrame);
        }
        self.load(whole)?;
        let start = usize::try_from(self.offset - self.window_at).unwrap_or(usize::MAX);
        let frame = self.window.get(start..start + whole).ok_or(Unreadable::NoFrame)?;
        let (head_bytes, bytes) = frame.split_at_checked(HEAD_BYTES).ok_or(Unreadable::NoFrame)?;
        let frame = match self.batch.take() {
            None => {
                let opening = head.opening(self.seal, &self.segment.salt, bytes);
                let opening = opening.ok_or_else(|| stray(&head, bytes))??;
                self.batch = Some(Rest::of(&opening));
                Frame::Batch { first: opening.first, root: opening.root }
            }
            Some(rest) => {
                let frame = head.content(bytes).ok_or(Unreadable::NoFrame)?;
                self.batch = rest.take(head_bytes, whole as u64)?;
                frame
            }
        };
        self.offset += whole as u64;
        Ok(Some(frame))
    }

    fn ahead(&self) -> &[u8] {
        let start = usize::try_from(self.offset - self.window_at).unwrap_or(usize::MAX);
        self.window.get(start..).unwrap_or_default()
    }

    /// Has so many bytes at hand, if there are as many.
    fn load(&mut self, bytes: usize) -> io::Result<()> {
        if self.ahead().len() < bytes {
            let rest = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
            self.window = self.disk.read(self.path, self.offset, bytes.max(WINDOW_BYTES).min(rest))?;
            self.window_at = self.offset;
        }
        Ok(())
    }
}

/// What stands where a batch must begin. A frame that is whole was not torn off its batch: somebody put it there.
fn stray(head: &Head, bytes: &[u8]) -> Unreadable {
    if head.content(bytes).is_some() { Unreadable::Forged } else { Unreadable::NoFrame }
}
