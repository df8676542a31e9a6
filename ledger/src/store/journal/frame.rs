//! A frame of the journal: its bytes, and reading it back.
//!
//! ```text
//! frame = length u32 | kind u8 | hash 32 | bytes
//! kind  = 1 batch: first index u64          hash = SHA-256("onchain-kms/journal/batch/v1" | salt | bytes)
//!       | 2 blob: its bytes                 hash = SHA-256(bytes), its name
//!       | 3 file: name 32 | the blob's file hash = SHA-256(bytes)
//!       | 4 entry: the record               hash = the leaf's: SHA-256(0 | bytes)
//! ```
//!
//! The hash is the checksum: what was torn or has rotted does not have it, and a kind cannot pass for another. Who sends
//! evidence cannot forge a batch, because the salt stays in the journal. Threat: bytes that are half on the disk.

use std::io;

use kms_attestation::hash::sha256;

use crate::blob::BlobId;
use crate::blob_file::MAX_BLOB_FILE_BYTES;
use crate::hash::TreeHash;
use crate::store::disk::Disk;

/// The bytes before those of a frame.
pub(super) const HEAD_BYTES: usize = 4 + 1 + 32;
/// The largest frame that is believed: the file of a blob, behind its name.
const MAX_FRAME_BYTES: usize = 32 + MAX_BLOB_FILE_BYTES;
/// How much is read from the disk at once.
const WINDOW_BYTES: usize = 1024 * 1024;

const BATCH: u8 = 1;
const BLOB: u8 = 2;
const FILE: u8 = 3;
const ENTRY: u8 = 4;
const BATCH_CONTEXT: &[u8] = b"onchain-kms/journal/batch/v1";
const BATCH_BYTES: usize = 8;

/// Random bytes of a segment. They never leave the journal.
pub(super) type Salt = [u8; 16];

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Frame<'a> {
    /// What follows was written and synced together.
    Batch {
        /// The index of the next entry.
        first: u64,
    },
    /// A blob of one piece.
    Blob {
        /// Its name.
        id: BlobId,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A blob, in the form of its file.
    File {
        /// Its name.
        id: BlobId,
        /// The bytes of its file.
        file: &'a [u8],
    },
    /// An entry, after every blob that it names.
    Entry {
        /// Its hash in the tree.
        leaf: TreeHash,
        /// Its bytes.
        record: &'a [u8],
    },
}

fn put(out: &mut Vec<u8>, kind: u8, hash: [u8; 32], pieces: [&[u8]; 2]) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    // Entries and blobs are bounded far below this when they are taken in.
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.push(kind);
    out.extend(hash);
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}

/// Frames that are written and synced together.
pub(in crate::store) struct Batch {
    bytes: Vec<u8>,
    entries: u64,
}

impl Batch {
    pub(super) fn begin(salt: &Salt, first: u64) -> Self {
        let (mut bytes, index) = (Vec::new(), first.to_be_bytes());
        put(&mut bytes, BATCH, batch_hash(salt, &index), [&index, &[]]);
        Self { bytes, entries: 0 }
    }

    /// Adds a blob of one piece. Its name must be that of the bytes.
    pub(in crate::store) fn blob(&mut self, id: BlobId, bytes: &[u8]) {
        put(&mut self.bytes, BLOB, id.0, [bytes, &[]]);
    }

    /// Adds a blob in the form of its file. The parts that it names must be durable, or come before it.
    pub(in crate::store) fn file(&mut self, id: BlobId, file: &[u8]) {
        put(&mut self.bytes, FILE, sha256(&[&id.0, file]), [&id.0, file]);
    }

    /// Adds an entry. The blobs that it names must be durable, or come before it.
    pub(in crate::store) fn entry(&mut self, leaf: TreeHash, record: &[u8]) {
        put(&mut self.bytes, ENTRY, leaf.0, [record, &[]]);
        self.entries += 1;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }
}

fn batch_hash(salt: &Salt, bytes: &[u8]) -> [u8; 32] {
    sha256(&[BATCH_CONTEXT, salt, bytes])
}

/// The length and kind that the head of a frame claims, and the hash.
fn head(bytes: &[u8]) -> Option<(usize, u8, [u8; 32])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first()?;
    let hash = rest.first_chunk::<32>()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, *kind, *hash))
}

/// What a frame holds, if it holds what its hash says.
fn open<'a>(salt: &Salt, kind: u8, hash: [u8; 32], bytes: &'a [u8]) -> Option<Frame<'a>> {
    match kind {
        BATCH if batch_hash(salt, bytes) == hash => {
            Some(Frame::Batch { first: u64::from_be_bytes(bytes.try_into().ok()?) })
        }
        BLOB if sha256(&[bytes]) == hash => Some(Frame::Blob { id: BlobId(hash), bytes }),
        FILE if sha256(&[bytes]) == hash => {
            let (id, file) = bytes.split_first_chunk::<32>()?;
            Some(Frame::File { id: BlobId(*id), file })
        }
        ENTRY if TreeHash::leaf(bytes).0 == hash => {
            Some(Frame::Entry { leaf: TreeHash(hash), record: bytes })
        }
        _ => None,
    }
}

/// Whether a batch begins somewhere in these bytes, and where.
pub(super) fn find_batch(salt: &Salt, bytes: &[u8]) -> Option<usize> {
    let whole = HEAD_BYTES + BATCH_BYTES;
    bytes.windows(whole).position(|window| {
        head(window).is_some_and(|(length, kind, hash)| {
            let rest = window.get(HEAD_BYTES..).unwrap_or_default();
            kind == BATCH && length == BATCH_BYTES && batch_hash(salt, rest) == hash
        })
    })
}

/// Why there is no next frame.
pub(in crate::store) enum Unreadable {
    /// The disk did not give the bytes.
    Disk(io::Error),
    /// The bytes are no frame.
    NoFrame,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The frames of a segment, one after the other.
pub(in crate::store) struct Frames<'a> {
    disk: &'a dyn Disk,
    path: String,
    salt: Salt,
    /// Where the next frame begins.
    offset: u64,
    /// Where they end.
    end: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(disk: &'a dyn Disk, path: String, salt: Salt, offset: u64, end: u64) -> Self {
        Self { disk, path, salt, offset, end, window: Vec::new(), window_at: offset }
    }

    /// Where the next frame begins: everything before it was read.
    pub(in crate::store) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame, or none at the end.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Frame<'_>>, Unreadable> {
        if self.offset == self.end {
            return Ok(None);
        }
        self.load(HEAD_BYTES)?;
        let (length, kind, hash) = head(self.ahead()).ok_or(Unreadable::NoFrame)?;
        let whole = HEAD_BYTES + length;
        if length > MAX_FRAME_BYTES || whole as u64 > self.end - self.offset {
            return Err(Unreadable::NoFrame);
        }
        self.load(whole)?;
        let start = usize::try_from(self.offset - self.window_at).unwrap_or(usize::MAX);
        let bytes = self.window.get(start + HEAD_BYTES..start + whole).ok_or(Unreadable::NoFrame)?;
        let frame = open(&self.salt, kind, hash, bytes).ok_or(Unreadable::NoFrame)?;
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
            self.window = self.disk.read(&self.path, self.offset, bytes.max(WINDOW_BYTES).min(rest))?;
            self.window_at = self.offset;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = [7; 16];

    fn one_of_each() -> Vec<u8> {
        let mut batch = Batch::begin(&SALT, 5);
        batch.blob(BlobId::of(b"blob"), b"blob");
        batch.file(BlobId([9; 32]), b"list");
        batch.entry(TreeHash::leaf(b"record"), b"record");
        batch.bytes
    }

    fn read(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
        let (length, kind, hash) = head(bytes)?;
        let (frame, rest) = bytes.get(HEAD_BYTES..)?.split_at_checked(length)?;
        Some((open(&SALT, kind, hash, frame)?, rest))
    }

    #[test]
    fn frame__should_be_read_as_it_was_written() {
        let bytes = one_of_each();
        let (batch, rest) = read(&bytes).unwrap();
        let (blob, rest) = read(rest).unwrap();
        let (file, rest) = read(rest).unwrap();
        let (entry, rest) = read(rest).unwrap();
        assert_eq!(batch, Frame::Batch { first: 5 });
        assert_eq!(blob, Frame::Blob { id: BlobId::of(b"blob"), bytes: b"blob" });
        assert_eq!(file, Frame::File { id: BlobId([9; 32]), file: b"list" });
        let leaf = TreeHash::leaf(b"record");
        assert_eq!((entry, rest.len()), (Frame::Entry { leaf, record: b"record" }, 0));
    }

    #[test]
    fn frame__should_be_refused_with_any_bit_changed() {
        let mut bytes = Vec::new();
        put(&mut bytes, ENTRY, TreeHash::leaf(b"record").0, [b"record", &[]]);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&changed).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn batch__should_be_found_behind_damage_and_never_in_what_others_wrote() {
        let bytes = one_of_each();
        let behind = [&[0; 11][..], &bytes].concat();
        assert_eq!(find_batch(&SALT, &behind), Some(11));
        assert_eq!(find_batch(&SALT, &bytes[1..]), None);
        assert_eq!(find_batch(&[8; 16], &behind), None);
    }
}
