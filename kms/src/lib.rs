//! The KMS node: root secrets, derivation, certificates; and around them the daemon.
//!
//! Owns every secret key of the KMS ([`keys`]) and the process that they live in ([`hardening`]). Decides nothing:
//! whether an app may have its keys is the verdict's to say, and recorded, before anything here is asked for them.
#![cfg_attr(test, allow(non_snake_case))]

pub mod assemble;
mod audit;
mod boot;
pub mod config;
pub mod daemon;
pub mod hardening;
pub mod keys;
mod metrics;
pub mod node;
mod public;
pub mod record;
pub mod refusal;
pub mod serve;
pub mod server;
mod witnesses;
