//! The record of every decision: what it holds, and where it goes before keys do.
//!
//! [`Recorder`] is the door to the log: nothing is released unless [`Recorder::append`] has come back, and it comes back
//! only when the record is on disk for good. A record holds digests and public values, never a secret; the TLS exporter
//! in it is a channel binding, and not secret (RFC 9266).
//!
//! Threats: a release that nobody can see afterwards; a record that claims more than was decided.

mod file;

use std::future::Future;
use std::pin::Pin;

use kms_attestation::BootIdentity;
use kms_attestation::hash::sha256;
use kms_chain::BlockRef;
use serde::Serialize;

pub use file::FileRecorder;

/// What is recorded of one decision. One line of JSON, keys in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The version of this form.
    pub version: u32,
    /// The time of the decision, in Unix seconds.
    pub time: u64,
    /// What was asked for.
    pub subject: Subject,
    /// This node.
    pub node: NodeStamp,
    /// What ties the evidence to the session.
    pub binding: Option<BindingStamp>,
    /// Digests of what was presented and looked up.
    pub evidence: EvidenceStamp,
    /// Since when the node knew the platform to be out of date, in Unix seconds.
    pub out_of_date_since: Option<u64>,
    /// Who asked, as far as that was proven.
    pub identity: Option<BootIdentity>,
    /// The verdict.
    pub outcome: Outcome,
}

/// The version of [`Record`].
pub const RECORD_VERSION: u32 = 1;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The keys of an app.
    AppKeys,
    /// A certificate under an app's CA.
    AppCertificate,
    /// This node's own standing with the KMS contract.
    NodeStanding,
}

/// Which node decided, by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStamp {
    /// The node's name.
    pub name: String,
    /// The version of its software.
    pub software: &'static str,
    /// The version of the verdict's rules.
    pub rules: u32,
    /// SHA-256 of the policy, hexadecimal.
    pub policy: String,
}

/// The session binding, hexadecimal, as the client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BindingStamp {
    /// The client's nonce.
    pub client_nonce: String,
    /// The node's nonce.
    pub server_nonce: String,
    /// SHA-256 of the client's leaf SPKI.
    pub client_spki: String,
    /// SHA-256 of the node's leaf SPKI.
    pub server_spki: String,
    /// The TLS exporter.
    pub exporter: String,
}

/// Digests, hexadecimal; none of what was not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EvidenceStamp {
    /// SHA-256 of the quote.
    pub quote: Option<String>,
    /// SHA-256 of the event log.
    pub event_log: Option<String>,
    /// SHA-256 of the OS-image manifest.
    pub os_image_manifest: Option<String>,
    /// SHA-256 of the collateral's JSON form.
    pub collateral: Option<String>,
    /// Keccak-256 of the chain witness.
    pub witness: Option<String>,
    /// SHA-256 of a certificate that was issued.
    pub certificate: Option<String>,
}

/// The verdict as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Outcome {
    /// Allowed, at that block.
    Allow {
        /// The latest head that the decision rests on.
        block: BlockRef,
        /// The root epoch of what was released.
        root_epoch: u32,
        /// What was released: names, never values.
        released: Vec<&'static str>,
    },
    /// Denied.
    Deny {
        /// The stable code.
        code: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
}

/// SHA-256 in hexadecimal, as a record names evidence.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(sha256(&[bytes]))
}

/// Where a decision is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordReference {
    /// The index in the log, from 0.
    pub index: u64,
    /// SHA-256 of the record's bytes.
    pub digest: [u8; 32],
}

/// Why a record is not on disk. Whatever was decided is not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// The disk refused.
    #[error("{what}: {kind}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The system's word for it.
        kind: std::io::ErrorKind,
    },
    /// The log has failed before, and has not been repaired since.
    #[error("the log has failed and is being repaired")]
    Broken,
    /// The log is closed: the node is shutting down.
    #[error("the log is closed")]
    Closed,
    /// The record has no form in JSON, which should not happen.
    #[error("the record cannot be written as JSON")]
    Unwritable,
}

/// The future of an append.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<RecordReference, RecordFault>> + Send + 'a>>;

/// A log of decisions.
pub trait Recorder: Send + Sync {
    /// Appends a record; comes back when it is durable, or with why it is not.
    fn append<'a>(&'a self, record: &Record) -> Appending<'a>;
}
