//! A file of the journal: its name and its head.
//!
//! ```text
//! journal/<sequence, 16 hexadecimal digits>
//! head = "okmsjrn2" | sequence u64 | first index u64 | salt 16 | tag 32 over "onchain-kms/journal/segment/v2" and all
//!        before it | SHA-256 of all before it
//! ```
//!
//! A head is durable before any batch follows it. So a head that is not whole holds nothing, and one that is not whole
//! though bytes follow it was damaged. One that is whole without the node's tag was put there. Threats: a segment that is
//! lost, exchanged or half made; one of another log, or of this log in another place.

use kms_attestation::hash::sha256;

use super::frame::Salt;
use super::frames::Frames;
use super::seal::{Seal, TAG_BYTES};
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::store::disk::{Disk, DiskFile};
use crate::store::fault::{self, StoreFault};

/// Where the segments lie.
pub(in crate::store) const FOLDER: &str = "journal";
/// The bytes of a head.
pub(super) const HEAD_BYTES: u64 = 8 + 8 + 8 + 16 + TAG_BYTES as u64 + 32;
const MAGIC: &[u8; 8] = b"okmsjrn2";
/// What a journal began with that had no tags.
const UNSEALED_MAGIC: &[u8] = b"okmsjrn1";
const CONTEXT: &[u8] = b"onchain-kms/journal/segment/v2";

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
        seal: &Seal,
        sequence: u64,
        first: u64,
    ) -> Result<(Self, Box<dyn DiskFile>), StoreFault> {
        let mut salt = Salt::default();
        getrandom::fill(&mut salt).map_err(|error| fault::disk("making a salt")(error.into()))?;
        let segment = Self { sequence, first, salt };
        let path = path(sequence);
        let file = disk.create(&path).map_err(fault::disk(format_args!("making {path}")))?;
        let outcome = file.write_at(&segment.head(seal), 0).and_then(|()| file.sync());
        outcome
            .and_then(|()| disk.sync_folder(FOLDER))
            .map_err(fault::disk(format_args!("making {path}")))?;
        Ok((segment, file))
    }

    pub(super) fn head(&self, seal: &Seal) -> Vec<u8> {
        let body = self.body();
        let sealed = [&body[..], &seal.tag(CONTEXT, &[&body])].concat();
        [&sealed[..], &sha256(&[&sealed])].concat()
    }

    fn body(&self) -> Vec<u8> {
        [&MAGIC[..], &self.sequence.to_be_bytes(), &self.first.to_be_bytes(), &self.salt].concat()
    }

    /// Reads a head and its tag. None unless it is whole.
    fn parse(bytes: &[u8]) -> Option<(Self, [u8; TAG_BYTES])> {
        let (sealed, checksum) = bytes.split_last_chunk::<32>()?;
        let (body, tag) = sealed.split_last_chunk()?;
        let (_, rest) = body.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (sequence, first) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*first));
        let segment = Self { sequence, first, salt: rest.try_into().ok()? };
        (segment.body() == body && sha256(&[sealed]) == *checksum).then_some((segment, *tag))
    }

    /// Reads the head of a segment. None when it was never finished, and so holds nothing. Refused with `store-forged`,
    /// `store-damaged`, `store-disk`, or `store-format` for a journal of before there were tags.
    pub(in crate::store) fn open(
        disk: &dyn Disk,
        seal: &Seal,
        sequence: u64,
    ) -> Result<Option<(Self, u64)>, StoreFault> {
        let path = path(sequence);
        let reading = |error| fault::disk(format_args!("reading {path}"))(error);
        let length = disk.length(&path).map_err(reading)?.unwrap_or_default();
        let head_bytes = usize::try_from(HEAD_BYTES).unwrap_or(usize::MAX);
        let head = disk.read(&path, 0, head_bytes).map_err(reading)?;
        if head.starts_with(UNSEALED_MAGIC) {
            let found = format!("{path}: a journal of the form okmsjrn1");
            return Err(LedgerRefusal::new(
                LedgerCode::StoreFormat,
                found,
                "okmsjrn2, with tags of its node",
            ));
        }
        match Self::parse(&head) {
            Some((segment, tag)) => segment.check(seal, sequence, &tag).map(|()| Some((segment, length))),
            None if length <= HEAD_BYTES => Ok(None),
            None => Err(fault::damaged(format_args!("{path}: another head"), "the head of that segment")),
        }
    }

    /// That the node wrote this head, as that of this segment.
    fn check(&self, seal: &Seal, sequence: u64, tag: &[u8; TAG_BYTES]) -> Result<(), StoreFault> {
        let path = path(sequence);
        if !seal.holds(CONTEXT, &[&self.body()], tag) {
            let found = format!("{path}: a head that this log's key did not write");
            return Err(fault::forged(found, "the head that the node wrote"));
        }
        if self.sequence != sequence {
            let found = format!("{path}: the head of {}", self::path(self.sequence));
            return Err(fault::forged(found, "the head of that segment"));
        }
        Ok(())
    }

    /// The frames between two places, the first of which is between two batches, or before the first.
    pub(in crate::store) fn frames<'a>(
        &self,
        disk: &'a dyn Disk,
        seal: &'a Seal,
        path: &'a str,
        (from, end): (u64, u64),
    ) -> Frames<'a> {
        Frames::new(disk, seal, *self, path, (from.max(HEAD_BYTES), end))
    }
}
