//! What the end-to-end tests stand on: real processes, a real chain, real TLS, and nothing of our own that is imitated.
//!
//! ```text
//! World ─┬─ Chain      anvil with both contracts        (process), where need be behind Providers, and beside Forks
//!        ├─ Simulated  hosts, the node's guest, a PCCS   (process `kms-simulator up`), and its twin for other guests
//!        └─ Node       a KMS node                        (process `kms-node run`)
//! Wire   a client that can do what an honest one never does: other nonces, other keys, other connections
//! ```
//!
//! Every process ends when its owner is dropped; what it wrote is shown when the test fails. Used by `tests/tests/e2e`
//! alone, and never linked into anything that ships.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness: a fault of it is a failed test"
)]

#[path = "../../chain/tests/anvil_support/mod.rs"]
mod anvil_support;
#[path = "../../chain/tests/contracts_support/mod.rs"]
mod contracts_support;

pub mod asking;
pub mod chain;
pub mod disk;
pub mod guest;
pub mod http;
pub mod log;
pub mod node;
pub mod process;
pub mod provider;
pub mod relay;
pub mod s3;
pub mod simulated;
pub mod wire;
pub mod witness;
pub mod world;
