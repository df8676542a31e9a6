//! A decision: what was presented, who that is, and what was answered.

use kms_attestation::SessionBinding;
use kms_attestation::ids::{Nonce, SpkiHash, TlsExporter};
use serde::Serialize;

use super::identity::Who;
use crate::blob::BlobId;
use crate::canonical::{Canonical, Reader, fields, malformed, tags, wrapped};
use crate::refusal::LedgerRefusal;

wrapped!(Nonce, SpkiHash, TlsExporter);

tags! {
    /// What was asked for.
    pub enum Subject {
        /// The keys of an app.
        AppKeys = 1, "app-keys";
        /// A certificate under an app's CA.
        AppCertificate = 2, "app-certificate";
        /// Whether this node itself is allowed. Recorded when the answer changes.
        Node = 3, "node";
    }
}

tags! {
    /// What was released: kinds, never values.
    pub enum KeyKind {
        /// The key of an instance's disk.
        AppDisk = 1, "app-disk";
        /// The key that opens an app's encrypted environment.
        AppEnv = 2, "app-env";
        /// The app's signing key.
        AppSigning = 3, "app-signing";
        /// A certificate under the app's CA.
        AppCertificate = 4, "app-certificate";
    }
}

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The height.
    pub number: u64,
    /// The hash.
    #[serde(serialize_with = "hex::serialize")]
    pub hash: [u8; 32],
    /// Unix seconds.
    pub timestamp: u64,
}

fields!(Block { number, hash, timestamp });

/// The session binding of an app, as the client saw it: an auditor computes the report data from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// The client's nonce.
    pub client_nonce: Nonce,
    /// The node's nonce.
    pub server_nonce: Nonce,
    /// SHA-256 of the client's leaf SPKI.
    pub client_spki: SpkiHash,
    /// SHA-256 of the node's leaf SPKI.
    pub server_spki: SpkiHash,
    /// The TLS exporter.
    pub exporter: TlsExporter,
}

fields!(Binding { client_nonce, server_nonce, client_spki, server_spki, exporter });

impl From<&SessionBinding> for Binding {
    fn from(binding: &SessionBinding) -> Self {
        Self {
            client_nonce: binding.own_nonce,
            server_nonce: binding.peer_nonce,
            client_spki: binding.own_spki,
            server_spki: binding.peer_spki,
            exporter: binding.exporter,
        }
    }
}

/// What was presented and looked up: blobs. None of what was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Evidence {
    /// The quote.
    pub quote: Option<BlobId>,
    /// The event log.
    pub event_log: Option<BlobId>,
    /// The OS-image manifest; its digest is the OS-image hash.
    pub os_image_manifest: Option<BlobId>,
    /// The collateral, in its JSON form.
    pub collateral: Option<BlobId>,
    /// The chain witness.
    pub witness: Option<BlobId>,
    /// A certificate, DER: the one that was issued, or the node's own, which its quote is bound to.
    pub certificate: Option<BlobId>,
}

fields!(Evidence { quote, event_log, os_image_manifest, collateral, witness, certificate });

impl Evidence {
    /// Every blob that is named.
    pub fn blobs(&self) -> impl Iterator<Item = BlobId> {
        let Self { quote, event_log, os_image_manifest, collateral, witness, certificate } = *self;
        [quote, event_log, os_image_manifest, collateral, witness, certificate].into_iter().flatten()
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What was asked for.
    pub subject: Subject,
    /// What ties the evidence to the session.
    pub binding: Option<Binding>,
    /// The record of the release on the same connection, which an app's certificate follows from.
    pub release: Option<u64>,
    /// What was presented and looked up.
    pub evidence: Evidence,
    /// Since when the node knew the platform to be out of date, in Unix seconds.
    pub out_of_date_since: Option<u64>,
    /// Who asked.
    pub who: Who,
    /// The answer.
    pub outcome: Outcome,
}

fields!(Decision { subject, binding, release, evidence, out_of_date_since, who, outcome });

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Outcome {
    /// Allowed, by what the contracts said at these blocks.
    Allow {
        /// The latest head.
        latest: Block,
        /// The finalized head, where policy demands it.
        finalized: Option<Block>,
        /// What was released.
        released: Vec<KeyKind>,
    },
    /// Denied. Texts are at most [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES) long; empty where the identity is sealed.
    Deny {
        /// The stable code.
        code: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
}

impl Canonical for Outcome {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Deny { code, found, expected } => {
                out.push(0);
                code.write_to(out);
                found.write_to(out);
                expected.write_to(out);
            }
            Self::Allow { latest, finalized, released } => {
                out.push(1);
                latest.write_to(out);
                finalized.write_to(out);
                released.write_to(out);
            }
        }
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        match reader.array()? {
            [0] => {
                let (code, found) = (String::read_from(reader)?, String::read_from(reader)?);
                Ok(Self::Deny { code, found, expected: String::read_from(reader)? })
            }
            [1] => {
                let (latest, finalized) = (Block::read_from(reader)?, Option::read_from(reader)?);
                Ok(Self::Allow { latest, finalized, released: Vec::read_from(reader)? })
            }
            [tag] => Err(malformed(&format!("{tag} for a verdict"))),
        }
    }
}
