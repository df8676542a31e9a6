//! The hashes of an RFC 6962 tree: one byte in front tells a leaf from a node.

use std::fmt;

use kms_attestation::hash::sha256;
use serde::{Serialize, Serializer};

const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// A hash in the tree: of a leaf, of a node, or of the whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash(pub [u8; 32]);

impl TreeHash {
    /// The number of bytes.
    pub const LEN: usize = 32;

    /// The hash of an entry.
    #[must_use]
    pub fn leaf(entry: &[u8]) -> Self {
        Self(sha256(&[LEAF, entry]))
    }

    /// The hash above two.
    #[must_use]
    pub fn node(left: Self, right: Self) -> Self {
        Self(sha256(&[NODE, &left.0, &right.0]))
    }

    /// The root of the tree without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self(sha256(&[]))
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
