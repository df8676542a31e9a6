//! What a record is about: a decision, or the life of the node around it.

use serde::Serialize;

use super::decision::{Decision, Evidence};
use crate::canonical::{Canonical, Reader, fields, malformed, tags};
use crate::refusal::LedgerRefusal;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The node began: the log's first record, and one at each start.
    Started(Box<Started>),
    /// The node ended in good order. Missing before a start, it did not.
    Stopped,
    /// A decision.
    Decision(Box<Decision>),
    /// Refusals that are counted instead of recorded one by one.
    Unstored(Unstored),
}

impl Canonical for Event {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Started(started) => {
                out.push(1);
                started.write_to(out);
            }
            Self::Stopped => out.push(2),
            Self::Decision(decision) => {
                out.push(3);
                decision.write_to(out);
            }
            Self::Unstored(unstored) => {
                out.push(4);
                unstored.write_to(out);
            }
        }
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        match reader.array()? {
            [1] => Started::read_from(reader).map(|started| Self::Started(Box::new(started))),
            [2] => Ok(Self::Stopped),
            [3] => Decision::read_from(reader).map(|decision| Self::Decision(Box::new(decision))),
            [4] => Unstored::read_from(reader).map(Self::Unstored),
            [tag] => Err(malformed(&format!("{tag} for an event"))),
        }
    }
}

tags! {
    /// Where the root secret came from.
    pub enum RootOrigin {
        /// Made at this start: a bootstrap.
        Generated = 1, "generated";
        /// Read from a file, in the clear: development only.
        InsecureFile = 2, "insecure-file";
    }
}

/// The start of a node. Its evidence is a quote over the log's key: the log is this enclave's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Started {
    /// Where the root secret came from.
    pub root_origin: RootOrigin,
    /// The KMS root signer: secp256k1, SEC1 compressed.
    #[serde(serialize_with = "hex::serialize")]
    pub root_signer: [u8; 33],
    /// SHA-256 of the root CA's SPKI.
    #[serde(serialize_with = "hex::serialize")]
    pub root_ca: [u8; 32],
    /// The public key that signs this log's checkpoints: Ed25519.
    #[serde(serialize_with = "hex::serialize")]
    pub log_key: [u8; 32],
    /// Quote, manifest and collateral.
    pub evidence: Evidence,
    /// Settings in force that make the node weaker.
    pub insecure_settings: Vec<String>,
}

fields!(Started { root_origin, root_signer, root_ca, log_key, evidence, insecure_settings });

/// Refusals of evidence that proved nothing, and so might be anybody's: counted, so that nobody fills the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unstored {
    /// Since when, in Unix seconds.
    pub since: u64,
    /// How many, by code, in the order of the codes.
    pub refusals: Vec<CodeCount>,
}

fields!(Unstored { since, refusals });

/// How many refusals had a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeCount {
    /// The stable code.
    pub code: String,
    /// How many.
    pub count: u64,
}

fields!(CodeCount { code, count });
