//! A simulated TDX platform: own root of trust, hosts, quotes and collateral, for development and tests.
//!
//! Everything that Intel, a host and a guest kernel do on real hardware is done here by keys derived from a seed,
//! in the formats of the genuine article, so that the *unmodified* production path verifies it: only the root
//! certificate that a verifier is configured with differs. It is never linked into a shipped binary, and no name
//! in its certificates can be taken for Intel's.
//!
//! ```no_run
//! use kms_simulator::platform::Platform;
//! use kms_simulator::quote::QuoteSpec;
//!
//! # fn main() -> anyhow::Result<()> {
//! let mut platform = Platform::from_seed(7, 1_800_000_000)?;
//! platform.collateral.tcb_info.next_update = 1_799_999_999; // one fault
//! let quote = platform.host(0)?.quote(&QuoteSpec::default())?;
//! let collateral = platform.collateral_for(platform.host(0)?.fmspc())?;
//! # let _ = (quote, collateral, platform.root_der());
//! # Ok(())
//! # }
//! ```
//!
//! The same seed and time give byte-identical certificates, collateral and quotes: keys are derived and ECDSA
//! nonces are those of RFC 6979.
#![cfg_attr(test, allow(non_snake_case))]

pub mod agent;
pub mod collateral;
pub mod cvm;
pub mod host;
pub mod image;
mod key;
mod lock;
pub mod pccs;
pub mod pki;
pub mod platform;
pub mod quote;
pub mod seed;
