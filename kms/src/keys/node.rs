//! A node's own keys: for now the one that signs its decision log.

use std::fmt;

use kms_client::secret::Secret;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::error::KeyError;

/// The longest name of a node.
const MAX_NODE_ID_BYTES: usize = 64;

/// A node's name among those of one root, which no two may share: their logs would be signed with one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeId(String);

impl NodeId {
    /// A name of 1 to 64 lower-case letters, digits, `-` and `.`; none for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let valid = (1..=MAX_NODE_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The Ed25519 key with which one node signs the checkpoints of its decision log.
pub struct NodeLogKey {
    seed: Secret<32>,
    pair: Ed25519KeyPair,
}

impl NodeLogKey {
    pub(super) fn from_seed(seed: Secret<32>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose());
        let pair = pair.map_err(|_| KeyError::derivation("node log key"))?;
        Ok(Self { seed, pair })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        bytes
    }

    /// An Ed25519 signature (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        bytes
    }

    /// The seed (RFC 8032, 5.1.5), for the log's own signer.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.seed.expose()
    }
}
