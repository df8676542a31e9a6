//! What is appended: a record, its evidence, and how much it matters when the disk is nearly full.
//!
//! An entry is checked and cut into files by whoever appends it, so that the writer only writes. Threat: an entry that
//! could be written and never be read back.

use super::fault::StoreFault;
use super::known::Form;
use crate::blob::{Blob, BlobId, MAX_BLOB_BYTES};
use crate::blob_file;
use crate::hash::TreeHash;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::MAX_ENTRY_BYTES;

/// Who may use the last of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A release: it may use the reserve.
    Release,
    /// Anything else, above all refusals, which strangers can cause.
    Other,
}

/// A record on its way to the log, with the evidence that it names.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The canonical bytes of the record.
    pub record: Vec<u8>,
    /// The evidence. What is stored already is not stored again.
    pub blobs: Vec<Blob>,
    /// Whether it may use the disk's reserve.
    pub priority: Priority,
}

/// A blob on its way to the journal.
#[derive(Debug)]
pub(super) enum File {
    /// A blob of one piece.
    Blob(BlobId, Vec<u8>),
    /// A part that is found in other blobs too, under the name that it was given.
    Part(BlobId, Vec<u8>),
    /// A blob whose file lists parts.
    List(BlobId, Vec<u8>),
}

impl File {
    pub(super) const fn id(&self) -> BlobId {
        match self {
            Self::Blob(id, _) | Self::Part(id, _) | Self::List(id, _) => *id,
        }
    }

    /// In which form it must be there.
    pub(super) const fn needed(&self) -> Form {
        match self {
            Self::Part(..) => Form::Whole,
            Self::Blob(..) | Self::List(..) => Form::Any,
        }
    }

    /// In which form it is there once it was written.
    pub(super) const fn form(&self) -> Form {
        match self {
            Self::Blob(..) | Self::Part(..) => Form::Whole,
            Self::List(..) => Form::Any,
        }
    }

    const fn bytes(&self) -> &Vec<u8> {
        match self {
            Self::Blob(_, bytes) | Self::Part(_, bytes) | Self::List(_, bytes) => bytes,
        }
    }
}

/// An entry as the writer takes it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) priority: Priority,
    pub(super) leaf: TreeHash,
    pub(super) record: Vec<u8>,
    /// Parts come before the lists that name them.
    pub(super) files: Vec<File>,
}

impl Prepared {
    /// Checks an entry. Refused with `record-too-large` or `blob-malformed`.
    pub(super) fn new(entry: Entry) -> Result<Self, StoreFault> {
        if entry.record.len() > MAX_ENTRY_BYTES {
            let expected = format!("at most {MAX_ENTRY_BYTES} bytes");
            return Err(LedgerRefusal::new(LedgerCode::RecordTooLarge, entry.record.len(), expected));
        }
        let mut files = Vec::with_capacity(entry.blobs.len());
        for blob in entry.blobs {
            take_apart(blob, &mut files)?;
        }
        let leaf = TreeHash::leaf(&entry.record);
        Ok(Self { priority: entry.priority, leaf, record: entry.record, files })
    }

    /// How much memory it takes, in bytes.
    pub(super) fn len(&self) -> usize {
        self.record.len() + self.files.iter().map(|file| file.bytes().len()).sum::<usize>()
    }
}

fn take_apart(blob: Blob, files: &mut Vec<File>) -> Result<(), StoreFault> {
    if blob.len() > MAX_BLOB_BYTES {
        let (found, expected) = (format!("{} bytes", blob.len()), format!("at most {MAX_BLOB_BYTES} bytes"));
        return Err(LedgerRefusal::new(LedgerCode::Blob, found, expected));
    }
    let id = blob.id();
    let before = files.len();
    for (id, bytes) in blob_file::shared_parts(&blob) {
        files.push(File::Part(id, bytes.to_vec()));
    }
    let file = if files.len() == before {
        File::Blob(id, blob.into_bytes())
    } else {
        File::List(id, blob_file::encode(&blob)?)
    };
    files.push(file);
    Ok(())
}
