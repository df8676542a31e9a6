//! What a TDX quote proves.
#![cfg_attr(test, allow(non_snake_case))]

pub mod binding;
pub mod collateral;
pub mod compose;
pub mod deny;
pub mod event_log;
pub mod hash;
pub mod history;
pub mod identity;
pub mod ids;
pub mod image;
mod memo;
pub mod mr_config;
mod pki;
#[cfg(feature = "platform")]
pub mod platform;
pub mod policy;
pub mod quote;
pub mod ratls;
pub mod root;
pub mod tcb;
pub mod td;
pub mod time;
pub mod verify;
