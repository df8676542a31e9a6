//! What is recorded, and its canonical bytes: an entry of the log.
//!
//! ```text
//! record = version u8 = 1 | time u64 | node | head? | tag u8 and event
//! ```
//!
//! A record holds digests, public values and the channel binding (RFC 9266: not secret). What it names by digest is a
//! blob beside the log. Two records that are equal have the same bytes, and the other way round. Threats: a release that
//! nobody can see afterwards; a record that claims more than was decided.

mod decision;
mod event;
mod identity;
mod made;
mod node;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::decision::{Binding, Block, Decision, Evidence, KeyKind, Outcome, Subject};
pub use self::event::{CodeCount, Event, RootOrigin, Started, Unstored};
pub use self::identity::{Identities, Identity, SealedIdentity, Who};
pub use self::node::NodeStamp;
use crate::blob::BlobId;
use crate::canonical::{Canonical, Reader, fields};
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The version of the bytes.
pub const RECORD_VERSION: u8 = 1;
/// The largest record, in bytes. A genuine one has less than 1 KiB.
pub const MAX_RECORD_BYTES: usize = 16 * 1024;
/// The longest `found` and `expected` of a recorded refusal, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// When, in Unix seconds: the node's clock, never before what the chain and collateral have proven.
    pub time: u64,
    /// Who writes, and by which rules.
    pub node: NodeStamp,
    /// The latest head of the chain that the node had verified: no record is older than its head.
    pub head: Option<Block>,
    /// What happened.
    pub event: Event,
}

fields!(Record { time, node, head, event });

impl Record {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_TEXT_BYTES);
        out.push(RECORD_VERSION);
        self.write_to(&mut out);
        out
    }

    /// Every blob that is named.
    #[must_use]
    pub fn blobs(&self) -> BTreeSet<BlobId> {
        let (evidence, who) = match &self.event {
            Event::Started(started) => (Some(started.evidence), None),
            Event::Decision(decision) => (Some(decision.evidence), Some(&decision.who)),
            Event::Stopped | Event::Unstored(_) => (None, None),
        };
        let sealed = who.and_then(|who| if let Who::Sealed(id) = who { Some(*id) } else { None });
        let evidence = evidence.iter().flat_map(Evidence::blobs);
        evidence.chain(sealed).chain([self.node.policy]).collect()
    }

    /// Whether it is about the node that writes, and not about an app: a start, or the node's standing.
    #[must_use]
    pub fn is_of_the_node(&self) -> bool {
        match &self.event {
            Event::Started(_) => true,
            Event::Decision(decision) => decision.subject == Subject::Node,
            Event::Stopped | Event::Unstored(_) => false,
        }
    }

    /// Reads a record. Refused with `record-too-large`, `record-version-unsupported`, `record-malformed` or
    /// `record-not-canonical`.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerRefusal> {
        if bytes.len() > MAX_RECORD_BYTES {
            let expected = format!("at most {MAX_RECORD_BYTES} bytes");
            return Err(LedgerRefusal::new(LedgerCode::RecordTooLarge, bytes.len(), expected));
        }
        let mut reader = Reader::new(bytes);
        let [version] = reader.array()?;
        if version != RECORD_VERSION {
            return Err(LedgerRefusal::new(LedgerCode::RecordVersion, version, RECORD_VERSION));
        }
        let record = Self::read_from(&mut reader)?;
        reader.end()?;
        if record.encode() == bytes {
            return Ok(record);
        }
        let expected = "the bytes that the same record encodes to";
        Err(LedgerRefusal::new(LedgerCode::RecordNotCanonical, "other bytes", expected))
    }
}

/// As much of a text as a record holds.
#[must_use]
pub fn bounded_text(text: &str) -> String {
    text.chars()
        .scan(0, |len, char| {
            *len += char.len_utf8();
            (*len <= MAX_TEXT_BYTES).then_some(char)
        })
        .collect()
}

#[cfg(test)]
mod tests;
