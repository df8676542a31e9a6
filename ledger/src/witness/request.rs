//! The body of `add-checkpoint`: an old size, a consistency proof, an empty line, a checkpoint.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::hash::TreeHash;
use crate::note::MAX_NOTE_BYTES;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::MAX_PROOF_HASHES;

/// The largest body, in bytes.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 4096;

/// What a log asks a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is believed to know.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<TreeHash>,
    /// The signed checkpoint, as yet unread.
    pub note: String,
}

impl AddCheckpoint {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.proof {
            let _ = writeln!(body, "{}", BASE64.encode(hash.0));
        }
        body.push('\n');
        body + &self.note
    }

    /// Reads a body. Refused with `witness-request-malformed`.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerRefusal> {
        let text = Some(bytes).filter(|bytes| bytes.len() <= MAX_REQUEST_BYTES);
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
        // What reads as a request, but is written in another way, is none.
        text.and_then(|text| parse(text).filter(|request| request.encode() == text)).ok_or_else(|| {
            let expected = "an old size, a consistency proof, an empty line, a checkpoint";
            LedgerRefusal::new(LedgerCode::WitnessRequest, "other bytes", expected)
        })
    }
}

fn parse(text: &str) -> Option<AddCheckpoint> {
    let (head, note) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old = lines.next()?.strip_prefix("old ")?.parse().ok()?;
    let hash = |line| BASE64.decode(line).ok()?.try_into().ok().map(TreeHash);
    let proof = lines.take(MAX_PROOF_HASHES + 1).map(hash).collect::<Option<Vec<_>>>()?;
    (proof.len() <= MAX_PROOF_HASHES).then(|| AddCheckpoint { old, proof, note: note.to_owned() })
}
