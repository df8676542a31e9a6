//! The keys of the KMS: one root secret per epoch, and everything that is derived from it.
//!
//! ```text
//! RootSecret ─▶ RootKeys ─┬▶ AppKeys: disk key, env key, signing key with its endorsement, CA with its certificate
//!  (32 bytes,   (PRK)     ├▶ RootSigner (secp256k1) ─ endorses app keys and env keys
//!   one epoch)            ├▶ RootCa (P-256) ─ issues app CAs and the nodes' certificates
//!                         ├▶ NodeLogKey (Ed25519)
//!                         └▶ RootPublicKeys: what stands on chain
//! ```
//!
//! Called by the node after a decision is recorded, and at start for the node's own keys. It never decides, logs, reads
//! a clock or touches a disk: time is an argument. The bytes of every derivation are in `docs/KEYS.md`.
//!
//! Threats: one app getting another's key (names are length-prefixed, and app ids come from verified evidence); keys
//! that change with an update (they depend on the app id, never on the code); a secret that leaks through a log, an
//! error or freed memory (no type here that holds one has `Debug` or `Clone`, all are wiped).

mod app;
mod ca;
mod derive;
mod error;
mod node;
mod p256_key;
mod root;
mod scalar;
mod signer;
mod statements;

pub use self::app::{AppKeys, AppSigningKey};
pub use self::ca::{
    AppCa, CertificateCode, CertificateDeny, CertificatePolicy, Certified, DnsName, LeafPublicKey,
    LeafRequest, LeafUsage, Lifetime, MAX_CSR_BYTES, NodeRequest, RootCa, Validity,
};
pub use self::derive::{KeyName, Purpose};
pub use self::error::{KeyCode, KeyError};
pub use self::node::{NodeId, NodeLogKey};
pub use self::root::{RootKeys, RootPublicKeys, RootSecret, SignedEnvKey};
pub use self::signer::RootSigner;
pub use self::statements::AppStatements;
