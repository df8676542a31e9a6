//! Evidence that is too large for an entry: named by its SHA-256, kept beside the log.
//!
//! A record names blobs and nothing else vouches for them: whoever reads one checks that it has the name it was asked
//! by. Parts that come back in many blobs (a contract's code in every witness) are named too, and stored once.

use std::fmt;

use bytes::Bytes;
use kms_attestation::hash::sha256;
use serde::{Serialize, Serializer};

/// The largest blob, in bytes: a chain witness at its largest.
pub const MAX_BLOB_BYTES: usize = 8 * 1024 * 1024;

/// The name of a blob: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl BlobId {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(&[bytes]))
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A piece of evidence, on its way to the log: one after the other, its parts are the bytes that its name is of. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    id: BlobId,
    parts: Vec<Part>,
}

/// Some of the bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Found in this blob alone.
    Own(Bytes),
    /// Found in other blobs too: stored once, under its own name.
    Shared(BlobId, Bytes),
}

impl Part {
    /// Bytes that no other blob has.
    #[must_use]
    pub fn own(bytes: impl Into<Bytes>) -> Self {
        Self::Own(bytes.into())
    }

    /// Bytes that other blobs have too.
    #[must_use]
    pub fn shared(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Shared(BlobId::of(&bytes), bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) | Self::Shared(_, bytes) => bytes,
        }
    }
}

impl Blob {
    /// A blob of one piece.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { id: BlobId::of(&bytes), parts: vec![Part::Own(bytes)] }
    }

    /// A blob of one piece whose name is known already. The name must be that of these bytes: the caller vouches for it, and
    /// a blob that has another one is unreadable for ever.
    #[must_use]
    pub fn named(id: BlobId, bytes: Bytes) -> Self {
        debug_assert_eq!(id, BlobId::of(&bytes));
        Self { id, parts: vec![Part::Own(bytes)] }
    }

    /// A blob of several parts.
    #[must_use]
    pub fn of_parts(parts: Vec<Part>) -> Self {
        let bytes: Vec<&[u8]> = parts.iter().map(Part::bytes).collect();
        Self { id: BlobId(sha256(&bytes)), parts }
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> BlobId {
        self.id
    }

    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        match (self.parts.pop(), self.parts.is_empty()) {
            (Some(Part::Own(bytes) | Part::Shared(_, bytes)), true) => bytes,
            (last, _) => self.parts.iter().chain(&last).flat_map(Part::bytes).copied().collect(),
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.bytes().len()).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blob__should_have_the_name_of_its_bytes_however_they_are_parted() {
        let parted = Blob::of_parts(vec![Part::own("ab"), Part::shared("cd")]);
        assert_eq!(parted.id(), Blob::new("abcd").id());
        assert_eq!((parted.len(), parted.is_empty()), (4, false));
        assert_eq!(parted.into_bytes(), &b"abcd"[..]);
        assert_eq!(Blob::new("abcd").into_bytes(), &b"abcd"[..]);
    }
}
