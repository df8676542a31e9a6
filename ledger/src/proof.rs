//! A proof that an entry is in a log, as one text file that is checked offline (C2SP `tlog-proof`).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <the entry in base64>
//! index <decimal>
//! <hash in base64>            from the leaf's neighbour up to the root's child, none or more
//!                             an empty line
//! <checkpoint with its signatures>
//! ```
//!
//! The extra line is the entry itself, so that the file stands alone; a proof without it is checked with an entry from
//! elsewhere. Threat: a proof for another entry, tree or log.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::note::{LogKey, MAX_NOTE_BYTES, SignedNote};
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::{MAX_ENTRY_BYTES, MAX_PROOF_HASHES, verify_inclusion};

/// The largest proof that is read, in bytes.
pub const MAX_PROOF_BYTES: usize = MAX_NOTE_BYTES + 2 * MAX_ENTRY_BYTES;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof of inclusion. It proves nothing before [`LogProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    index: u64,
    path: Vec<TreeHash>,
    entry: Option<Vec<u8>>,
    checkpoint: SignedNote,
}

impl LogProof {
    pub(crate) fn new(
        index: u64,
        path: Vec<TreeHash>,
        entry: Vec<u8>,
        checkpoint: &SignedCheckpoint,
    ) -> Self {
        Self { index, path, entry: Some(entry), checkpoint: checkpoint.note().clone() }
    }

    /// A proof as a node answers it: the hashes and the checkpoint, without the entry. Refused with `log-proof-malformed` where
    /// there are more hashes than a tree has levels, or with `note-malformed`.
    pub fn of_answer(index: u64, path: Vec<TreeHash>, checkpoint: &[u8]) -> Result<Self, LedgerRefusal> {
        let checkpoint = SignedNote::decode(checkpoint)?;
        let proof = Self { index, path, entry: None, checkpoint };
        Some(proof).filter(|proof| proof.path.len() <= MAX_PROOF_HASHES).ok_or_else(malformed)
    }

    /// Which entry, if the proof holds.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The entry that came with the proof.
    #[must_use]
    pub fn entry(&self) -> Option<&[u8]> {
        self.entry.as_deref()
    }

    /// Checks that the log with this key has this entry, and returns the checkpoint that says so. Refused with
    /// `log-proof-invalid`, and with what [`SignedCheckpoint::open`] refuses.
    pub fn verify(&self, entry: &[u8], key: &LogKey) -> Result<SignedCheckpoint, LedgerRefusal> {
        self.verify_leaf(TreeHash::leaf(entry), key)
    }

    /// The same where only the entry's hash as a leaf is known.
    pub fn verify_leaf(&self, leaf: TreeHash, key: &LogKey) -> Result<SignedCheckpoint, LedgerRefusal> {
        let signed = SignedCheckpoint::open(self.checkpoint.encode().as_bytes(), key)?;
        let head = signed.checkpoint();
        verify_inclusion(self.index, head.size, leaf, &self.path, head.root)?;
        Ok(signed)
    }

    /// The text of the file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(entry) = &self.entry {
            let _ = writeln!(text, "extra {}", BASE64.encode(entry));
        }
        let _ = writeln!(text, "index {}", self.index);
        for hash in &self.path {
            let _ = writeln!(text, "{}", BASE64.encode(hash.0));
        }
        text.push('\n');
        text + &self.checkpoint.encode()
    }

    /// Reads a file. Refused with `log-proof-malformed` or `note-malformed`.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerRefusal> {
        let text = Some(bytes).filter(|bytes| bytes.len() <= MAX_PROOF_BYTES);
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or_else(malformed)?;
        let checkpoint = SignedNote::decode(note.as_bytes())?;
        // What reads as a proof, but is written in another way, is none.
        parse(head, checkpoint).filter(|proof| proof.encode() == text).ok_or_else(malformed)
    }
}

fn parse(head: &str, checkpoint: SignedNote) -> Option<LogProof> {
    let mut lines = head.split('\n').peekable();
    lines.next().filter(|line| *line == HEADER)?;
    let extra = lines.next_if(|line| line.starts_with("extra "));
    let entry = match extra.and_then(|line| line.strip_prefix("extra ")) {
        Some(encoded) => Some(BASE64.decode(encoded).ok()?),
        None => None,
    };
    let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
    let path = lines.take(MAX_PROOF_HASHES + 1).map(hash).collect::<Option<Vec<_>>>()?;
    (path.len() <= MAX_PROOF_HASHES).then_some(LogProof { index, path, entry, checkpoint })
}

fn hash(line: &str) -> Option<TreeHash> {
    BASE64.decode(line).ok()?.try_into().ok().map(TreeHash)
}

fn malformed() -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::LogProofFile, "other bytes", "a proof file (c2sp.org/tlog-proof)")
}
