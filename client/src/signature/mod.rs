//! What the KMS root signer says, and how anyone checks it with the root public key that stands on chain.
//!
//! Two statements, each hashed with Keccak-256 and signed with secp256k1, recoverable (65 bytes `r || s || v`):
//! "this is the signing key of that app" ([`AppKeyStatement`]) and "this is the env key of that app, now"
//! ([`EnvKeyStatement`]). Both name the app and the root epoch.
//!
//! The node signs the digests that are computed here; clients, auditors and contracts verify. Public data only: no
//! secret enters this module, and nothing here reads a clock.
//!
//! Threats: a host or a proxy that hands out a key of its own, or the genuine key of another app or epoch, or an answer
//! from long ago.

mod root_key;
mod statement;
mod verify;

pub use self::root_key::KmsRootKey;
pub use self::statement::{AppKeyStatement, COMPRESSED_POINT_LEN, EnvKeyStatement};
pub use self::verify::{Freshness, RecoverableSignature, SIGNATURE_LEN, SignatureCode, SignatureDeny};
