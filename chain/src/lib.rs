//! What the contracts say, believed only with proofs.
//!
//! ```text
//!  header RLP, vouchers ─▶ Anchor::authenticate ─▶ VerifiedHead ─┐ stateRoot
//!  trie nodes, codes ────▶ found by hash only ─▶ proven state ───┴─▶ view call in revm ─▶ Decision
//! ```
//!
//! Who calls this: the node before it releases keys, the auditor who replays decisions, `kmsctl`. An RPC provider is
//! believed in nothing: what it sends becomes a [`Witness`], and [`replay()`] decides from that alone, with no clock
//! and no network, so that the same bytes give the same answer years later.
#![cfg_attr(test, allow(non_snake_case))]

// The tests' chain state is shared with the fuzz targets, which know this crate by its name.
#[cfg(test)]
extern crate self as kms_chain;

pub mod abi;
pub mod address;
pub mod anchor;
pub mod answers;
pub mod bindings;
pub mod boot_info;
pub mod codes;
pub mod contract_reader;
pub mod deny;
pub mod doctor;
mod evm;
pub mod header;
pub mod heads;
pub mod kms_info;
pub mod question;
pub mod reader;
pub mod replay;
pub mod rpc;
mod state;
#[cfg(test)]
mod testing;
pub mod trie;
pub mod witness;

pub use abi::AppBootInfo;
pub use address::{AddressError, parse_address};
pub use anchor::{Anchor, Freshness, GrantAt, HeadEvidence, HeadTrust, Level, VerifiedHead};
pub use boot_info::{app_boot_info, kms_boot_info};
pub use codes::KnownCodes;
pub use contract_reader::ContractReader;
pub use deny::{ChainDeny, ChainDenyCode};
pub use evm::{CALL_GAS, GETTER_GAS};
pub use header::BlockHeader;
pub use heads::{DevSource, FeedTiming, HeadFeed, HeadSource, HeadWatch, Heads, QuorumSource};
pub use kms_info::{KmsInfo, MAX_INFO_SLOTS, prune_kms_info, replay_kms_info};
pub use question::Question;
pub use reader::{InfoReading, Reading, read, read_kms_info};
pub use replay::{BlockRef, Decision, Explanation, ReplayError, prune, replay};
pub use rpc::{Rpc, RpcFault, RpcLimits, Transport};
pub use state::{MAX_ACCOUNTS, MAX_SLOTS, Missing};
pub use witness::Witness;
