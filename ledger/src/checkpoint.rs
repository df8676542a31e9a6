//! Checkpoints: what a log signs about its tree (C2SP `tlog-checkpoint`).
//!
//! ```text
//! <origin: the name of the log>
//! <size in decimal>
//! <root in base64>
//! ```
//!
//! A [`SignedCheckpoint`] exists only with the verified signature of a log whose key the caller pinned. Extension lines are
//! refused: this software's logs have none. Threats: a tree that the log never signed; the checkpoint of another log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hash::TreeHash;
use crate::note::{KeyName, LogKey, LogSigner, SignedNote};
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::MAX_TREE_SIZE;

/// The head of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: KeyName,
    /// How many entries the tree has.
    pub size: u64,
    /// The root of the tree.
    pub root: TreeHash,
}

impl fmt::Display for Checkpoint {
    /// The text that is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, BASE64.encode(self.root.0))
    }
}

impl Checkpoint {
    /// Reads the text of a note. Refused with `checkpoint-malformed`.
    pub fn decode(text: &str) -> Result<Self, LedgerRefusal> {
        // What reads as a checkpoint, but is written in another way, is none.
        parse(text).filter(|checkpoint| checkpoint.to_string() == text).ok_or_else(|| {
            LedgerRefusal::quoting(LedgerCode::Checkpoint, text, "three lines: origin, size, root in base64")
        })
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.split('\n');
    let origin = lines.next()?.parse().ok()?;
    let size = lines.next()?.parse().ok().filter(|size| *size <= MAX_TREE_SIZE)?;
    let root = BASE64.decode(lines.next()?).ok()?.try_into().ok()?;
    Some(Checkpoint { origin, size, root: TreeHash(root) })
}

/// A checkpoint with the signature of its log, and with any others under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Signs a checkpoint: the key's name is the origin.
    pub fn sign(checkpoint: Checkpoint, signer: &impl LogSigner) -> Result<Self, LedgerRefusal> {
        let note = SignedNote::sign(checkpoint.to_string(), &checkpoint.origin, signer)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a checkpoint of the log with this key. Refused with `note-malformed`, `checkpoint-malformed`,
    /// `checkpoint-foreign`, `note-unsigned` or `note-signature-invalid`.
    pub fn open(bytes: &[u8], key: &LogKey) -> Result<Self, LedgerRefusal> {
        let note = SignedNote::decode(bytes)?;
        note.verify(key)?;
        let checkpoint = Checkpoint::decode(note.text())?;
        if checkpoint.origin == *key.name() {
            return Ok(Self { checkpoint, note });
        }
        Err(LedgerRefusal::quoting(LedgerCode::CheckpointForeign, checkpoint.origin.as_str(), key.name()))
    }

    /// What is signed.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note: text and signatures.
    #[must_use]
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    pub(crate) const fn note_mut(&mut self) -> &mut SignedNote {
        &mut self.note
    }

    /// The bytes of the file `checkpoint`.
    #[must_use]
    pub fn encode(&self) -> String {
        self.note.encode()
    }
}

#[cfg(test)]
mod tests;
