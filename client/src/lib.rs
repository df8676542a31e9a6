//! The guest side of the KMS: what a client checks, and how it opens what was encrypted to its app.
//!
//! Owns the signed statements of the KMS root signer ([`signature`]), the encrypted environment ([`mod@env`]) and the type
//! in which key bytes are held ([`secret`]). The node uses the same code to make what clients check, so that the bytes
//! are defined once. It never trusts a node because of the connection that an answer came over: only what is signed by
//! the root key that the chain names counts.
//!
//! The byte formats are in `docs/KEYS.md`, precise enough for a second implementation.
#![cfg_attr(test, allow(non_snake_case))]

#[cfg(feature = "boot")]
pub mod boot;
pub mod env;
mod field;
pub mod secret;
pub mod signature;
