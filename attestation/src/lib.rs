//! What a TDX quote proves.
#![cfg_attr(test, allow(non_snake_case))]

pub mod collateral;
pub mod deny;
pub mod event_log;
pub mod hash;
pub mod ids;
mod memo;
#[cfg(feature = "pccs")]
pub mod pccs;
mod pki;
pub mod root;
pub mod time;
