//! What a checkpoint is signed with: the log's name and the key that the node holds.
//!
//! Signs only what it is given; that all of it is durable is the publisher's promise. Threat: none of its own.

use super::fault::StoreFault;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::note::{KeyName, LogKey, LogSigner};
use crate::tree::Edge;

/// The log's name and its key.
pub(super) struct Signing {
    origin: KeyName,
    signer: Key,
}

struct Key(Box<dyn LogSigner>);

impl LogSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

impl Signing {
    pub(super) fn new(origin: &str, signer: Box<dyn LogSigner>) -> Result<Self, StoreFault> {
        Ok(Self { origin: origin.parse()?, signer: Key(signer) })
    }

    /// The public half, under the log's name.
    pub(super) fn key(&self) -> LogKey {
        LogKey::new(self.origin.clone(), self.signer.public_key())
    }

    /// Signs a tree.
    pub(super) fn sign(&self, edge: &Edge) -> Result<SignedCheckpoint, StoreFault> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: edge.size(), root: edge.root() };
        SignedCheckpoint::sign(checkpoint, &self.signer)
    }
}
