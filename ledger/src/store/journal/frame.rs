//! A frame of the journal: its bytes, and what one batch of frames is made of.
//!
//! ```text
//! frame = length u32 | kind u8 | hash 32 | bytes
//! kind  = 1 batch: see below                hash = SHA-256("onchain-kms/journal/batch/v2" | bytes)
//!       | 2 blob: its bytes                 hash = SHA-256(bytes), its name
//!       | 3 file: name 32 | the blob's file hash = SHA-256(bytes)
//!       | 4 entry: the record               hash = the leaf's: SHA-256(0 | bytes)
//! batch = first index u64 | root of the tree before it 32 | length u64 and SHA-256 of the heads of the frames that follow
//!       | tag 32                            over "onchain-kms/journal/batch/v2", the segment's salt, and all before it
//! ```
//!
//! The hash is the checksum: what was torn or has rotted does not have it, and a kind cannot pass for another. The tag says
//! that the node wrote the batch, all of it, here, behind this tree. Threats: bytes that are half on the disk; bytes that
//! somebody else put there.

use kms_attestation::hash::sha256;

use super::seal::{Seal, TAG_BYTES};
use crate::blob::BlobId;
use crate::hash::TreeHash;

/// The bytes before those of a frame: its head.
pub(super) const HEAD_BYTES: usize = 4 + 1 + 32;
/// The bytes of a batch, behind the head.
const BATCH_BYTES: usize = 8 + 32 + 8 + 32 + TAG_BYTES;
/// A batch with its head.
const OPENING_BYTES: usize = HEAD_BYTES + BATCH_BYTES;

const BATCH: u8 = 1;
const BLOB: u8 = 2;
const FILE: u8 = 3;
const ENTRY: u8 = 4;
const BATCH_CONTEXT: &[u8] = b"onchain-kms/journal/batch/v2";

/// Random bytes of a segment, which tie its batches to it.
pub(super) type Salt = [u8; 16];

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Frame<'a> {
    /// What follows was written and synced together.
    Batch {
        /// The index of the next entry.
        first: u64,
        /// The root of the tree that the batch continues.
        root: TreeHash,
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
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// Frames that are written and synced together.
pub(in crate::store) struct Batch {
    /// Room for the opening, then the frames.
    bytes: Vec<u8>,
    heads: Vec<u8>,
    leaves: Vec<TreeHash>,
}

impl Batch {
    pub(super) fn begin() -> Self {
        Self { bytes: vec![0; OPENING_BYTES], heads: Vec::new(), leaves: Vec::new() }
    }

    /// Adds a blob of one piece. Its name must be that of the bytes.
    pub(in crate::store) fn blob(&mut self, id: BlobId, bytes: &[u8]) {
        self.put(BLOB, id.0, [bytes, &[]]);
    }

    /// Adds a blob in the form of its file. The parts that it names must be durable, or come before it.
    pub(in crate::store) fn file(&mut self, id: BlobId, file: &[u8]) {
        self.put(FILE, sha256(&[&id.0, file]), [&id.0, file]);
    }

    /// Adds an entry. The blobs that it names must be durable, or come before it.
    pub(in crate::store) fn entry(&mut self, leaf: TreeHash, record: &[u8]) {
        self.put(ENTRY, leaf.0, [record, &[]]);
        self.leaves.push(leaf);
    }

    fn put(&mut self, kind: u8, hash: [u8; 32], pieces: [&[u8]; 2]) {
        let start = self.bytes.len();
        put(&mut self.bytes, kind, hash, pieces);
        self.heads.extend(self.bytes.get(start..start + HEAD_BYTES).unwrap_or_default());
    }

    /// The bytes of the batch, as one that continues the tree of `first` entries with this root. Asked again, the same.
    pub(super) fn close(&mut self, seal: &Seal, salt: &Salt, first: u64, root: TreeHash) -> &[u8] {
        let length = self.bytes.len() - OPENING_BYTES;
        let opening = Opening { first, root, length: length as u64, heads: sha256(&[&self.heads]) };
        let opening = opening.encode(seal, salt);
        self.bytes.iter_mut().zip(opening).for_each(|(slot, byte)| *slot = byte);
        &self.bytes
    }

    /// The hashes of its entries, in order.
    pub(super) fn leaves(&self) -> &[TreeHash] {
        &self.leaves
    }
}

/// What a batch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) first: u64,
    pub(super) root: TreeHash,
    /// How many bytes of frames follow.
    pub(super) length: u64,
    /// The SHA-256 of their heads.
    pub(super) heads: [u8; 32],
}

impl Opening {
    fn body(&self) -> Vec<u8> {
        let (first, length) = (self.first.to_be_bytes(), self.length.to_be_bytes());
        [&first[..], &self.root.0, &length, &self.heads].concat()
    }

    fn encode(&self, seal: &Seal, salt: &Salt) -> Vec<u8> {
        let mut bytes = self.body();
        let tag = seal.tag(BATCH_CONTEXT, &[salt, &bytes]);
        bytes.extend(tag);
        let mut frame = Vec::with_capacity(OPENING_BYTES);
        put(&mut frame, BATCH, sha256(&[BATCH_CONTEXT, &bytes]), [&bytes, &[]]);
        frame
    }

    /// Reads it. None if it is none; [`Forged`] if it is one, and the node did not write it into this segment.
    fn decode(seal: &Seal, salt: &Salt, bytes: &[u8]) -> Option<Result<Self, Forged>> {
        let (first, rest) = bytes.split_first_chunk()?;
        let (root, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (heads, tag) = rest.split_first_chunk()?;
        let tag: &[u8; TAG_BYTES] = tag.try_into().ok()?;
        let (first, length) = (u64::from_be_bytes(*first), u64::from_be_bytes(*length));
        let opening = Self { first, root: TreeHash(*root), length, heads: *heads };
        let whole = seal.holds(BATCH_CONTEXT, &[salt, &opening.body()], tag);
        Some(if whole { Ok(opening) } else { Err(Forged) })
    }
}

/// Bytes that are whole, so that no crash made them, and that the node did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forged;

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) length: usize,
    kind: u8,
    hash: [u8; 32],
}

impl Head {
    /// What the first bytes claim.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first()?;
        let hash = rest.first_chunk::<32>()?;
        Some(Self { length: usize::try_from(u32::from_be_bytes(*length)).ok()?, kind: *kind, hash: *hash })
    }

    /// The batch that begins with this head, if one does.
    pub(super) fn opening(&self, seal: &Seal, salt: &Salt, bytes: &[u8]) -> Option<Result<Opening, Forged>> {
        let whole = self.kind == BATCH
            && self.length == BATCH_BYTES
            && bytes.len() == BATCH_BYTES
            && sha256(&[BATCH_CONTEXT, bytes]) == self.hash;
        if whole { Opening::decode(seal, salt, bytes) } else { None }
    }

    /// The frame with this head, if it holds what its hash says; of a batch none.
    pub(super) fn content<'a>(&self, bytes: &'a [u8]) -> Option<Frame<'a>> {
        match self.kind {
            BLOB if sha256(&[bytes]) == self.hash => Some(Frame::Blob { id: BlobId(self.hash), bytes }),
            FILE if sha256(&[bytes]) == self.hash => {
                let (id, file) = bytes.split_first_chunk::<32>()?;
                Some(Frame::File { id: BlobId(*id), file })
            }
            ENTRY if TreeHash::leaf(bytes).0 == self.hash => {
                Some(Frame::Entry { leaf: TreeHash(self.hash), record: bytes })
            }
            _ => None,
        }
    }
}

/// Where the first batch begins that the node wrote into this segment, if one does in these bytes.
pub(super) fn find_batch(seal: &Seal, salt: &Salt, bytes: &[u8]) -> Option<usize> {
    bytes.windows(OPENING_BYTES).position(|window| {
        let body = window.get(HEAD_BYTES..).unwrap_or_default();
        Head::decode(window).is_some_and(|head| matches!(head.opening(seal, salt, body), Some(Ok(_))))
    })
}

#[cfg(test)]
mod tests;
