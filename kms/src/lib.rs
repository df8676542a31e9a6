//! The KMS node: reads its configuration, guards the root secret, answers guests, and records before it releases.
//!
//! The verdict is never made here: `kms-verdict` decides, from what `kms-attestation` and `kms-chain` prove.
#![cfg_attr(test, allow(non_snake_case))]

pub mod config;
