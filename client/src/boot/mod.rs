//! A CVM's boot: find a node that can be trusted, prove who asks, take the keys.
//!
//! ```text
//! connect (TLS 1.3, fresh key) ─▶ Challenge ─▶ verify the node against the pins ─▶ own quote, bound to this session
//!                      ─▶ GetAppKeys ─▶ verify the keys ─▶ SignAppCertificate, if asked for ─▶ verify the certificate
//!                      ─▶ GetInclusionProof, if asked for ─▶ verify that the node's log has the release
//! ```
//!
//! Which KMS it must be stands in pins ([`Pins`]), or on chain under a pinned contract (`ChainPins`), or in both ([`Trust`]).
//!
//! Nothing is sent to a node before it is verified but a nonce and a fresh public key; nothing that it answers is used
//! before it is checked against them. What a wrong node could do is refuse. Threats: a node of somebody else, who then
//! knows the keys; a genuine node behind somebody who relays; keys of another app or epoch.

mod certificate;
#[cfg(feature = "chain")]
mod chain;
mod error;
mod info;
mod keys;
mod node;
mod pins;
mod receipt;
mod retry;
mod session;
mod tls;
mod trust;

pub use certificate::{AppCertificate, LeafError, LeafRequest, LeafUsage};
#[cfg(feature = "chain")]
pub use chain::{ChainPins, ChainTrust, Providers};
pub use error::{BootError, Denial, FailureKind};
pub use info::{NodeInfo, NodeLog, node_info};
pub use keys::{AppKeys, RecordReference};
pub use kms_ledger::Receipt;
pub use node::VerifiedNode;
pub use pins::{PinError, Pins};
pub use receipt::ReceiptWanted;
pub use retry::{Retry, boot};
pub use session::{BootRequest, Booted, Evidence, request_keys};
pub use trust::Trust;
