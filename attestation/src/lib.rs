//! What a TDX quote proves.
#![cfg_attr(test, allow(non_snake_case))]

pub mod collateral;
pub mod deny;
pub mod event_log;
pub mod hash;
pub mod history;
pub mod ids;
mod memo;
mod pki;
pub mod policy;
pub mod quote;
pub mod root;
pub mod tcb;
pub mod td;
pub mod time;
pub mod verify;
