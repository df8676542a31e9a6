//! What the contracts say, believed only with proofs.
#![cfg_attr(test, allow(non_snake_case))]

pub mod deny;
mod evm;
pub mod header;
mod state;
#[cfg(test)]
mod testing;
pub mod trie;

pub use deny::{ChainDeny, ChainDenyClass, ChainDenyCode};
pub use header::BlockHeader;
