//! A file of the journal: its name and its head.
//!
//! ```text
//! journal/<sequence, 16 hexadecimal digits>
//! head = "okmsjrn1" | sequence u64 | first index u64 | salt 16 | SHA-256 of all before it
//! ```
//!
//! A head is durable before any batch follows it. So a head that is not whole holds nothing, and one that is not whole
//! though bytes follow it was damaged. Threat: a segment that is lost, exchanged or half made.

use kms_attestation::hash::sha256;

use super::frame::{Frames, Salt};
use crate::store::disk::{Disk, DiskFile};
use crate::store::fault::{self, StoreFault};

/// Where the segments lie.
pub(in crate::store) const FOLDER: &str = "journal";
/// The bytes of a head.
pub(super) const HEAD_BYTES: u64 = 8 + 8 + 8 + 16 + 32;
const MAGIC: &[u8; 8] = b"okmsjrn1";

/// One file of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Segment {
    /// Which one: one more than that of the file before.
    pub(in crate::store) sequence: u64,
    /// The index of the first entry in it.
    pub(in crate::store) first: u64,
    pub(super) salt: Salt,
}

/// The path of a segment.
pub(in crate::store) fn path(sequence: u64) -> String {
    format!("{FOLDER}/{sequence:016x}")
}

/// The sequence numbers of the segments that there are, in order.
pub(in crate::store) fn sequences(disk: &dyn Disk) -> Result<Vec<u64>, StoreFault> {
    let names = disk.list(FOLDER).map_err(fault::disk("listing the journal"))?;
    let sequence = |name: &String| {
        u64::from_str_radix(name, 16).map_err(|_| {
            fault::damaged(format_args!("{FOLDER}/{name}"), "segments of the journal, and nothing else")
        })
    };
    let mut sequences = names.iter().map(sequence).collect::<Result<Vec<_>, _>>()?;
    sequences.sort_unstable();
    Ok(sequences)
}

/// Whether a segment holds nothing.
pub(in crate::store) fn is_empty(disk: &dyn Disk, sequence: u64) -> Result<bool, StoreFault> {
    let path = path(sequence);
    let length = disk.length(&path).map_err(fault::disk(format_args!("reading {path}")))?;
    Ok(length.is_none_or(|length| length <= HEAD_BYTES))
}

impl Segment {
    /// Makes a segment, durable and empty.
    pub(super) fn create(
        disk: &dyn Disk,
        sequence: u64,
        first: u64,
    ) -> Result<(Self, Box<dyn DiskFile>), StoreFault> {
        let mut salt = Salt::default();
        getrandom::fill(&mut salt).map_err(|error| fault::disk("making a salt")(error.into()))?;
        let segment = Self { sequence, first, salt };
        let path = path(sequence);
        let file = disk.create(&path).map_err(fault::disk(format_args!("making {path}")))?;
        let outcome = file.write_at(&segment.head(), 0).and_then(|()| file.sync());
        outcome
            .and_then(|()| disk.sync_folder(FOLDER))
            .map_err(fault::disk(format_args!("making {path}")))?;
        Ok((segment, file))
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend(self.sequence.to_be_bytes());
        head.extend(self.first.to_be_bytes());
        head.extend(self.salt);
        head.extend(sha256(&[&head]));
        head
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (salt, _) = rest.split_first_chunk()?;
        let (sequence, first) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*first));
        let segment = Self { sequence, first, salt: *salt };
        (magic == MAGIC && segment.head() == bytes).then_some(segment)
    }

    /// Reads the head of a segment. None when it was never finished, and so holds nothing.
    pub(in crate::store) fn open(disk: &dyn Disk, sequence: u64) -> Result<Option<(Self, u64)>, StoreFault> {
        let path = path(sequence);
        let reading = |error| fault::disk(format_args!("reading {path}"))(error);
        let length = disk.length(&path).map_err(reading)?.unwrap_or_default();
        let head_bytes = usize::try_from(HEAD_BYTES).unwrap_or(usize::MAX);
        let head = disk.read(&path, 0, head_bytes).map_err(reading)?;
        match Self::parse(&head).filter(|segment| segment.sequence == sequence) {
            Some(segment) => Ok(Some((segment, length))),
            None if length <= HEAD_BYTES => Ok(None),
            None => Err(fault::damaged(format_args!("{path}: another head"), "the head of that segment")),
        }
    }

    /// The frames between two places.
    pub(in crate::store) fn frames<'a>(&self, disk: &'a dyn Disk, from: u64, end: u64) -> Frames<'a> {
        Frames::new(disk, path(self.sequence), self.salt, from.max(HEAD_BYTES), end)
    }
}
