//! What a TDX quote proves.
#![cfg_attr(test, allow(non_snake_case))]

pub mod deny;
pub mod event_log;
pub mod hash;
pub mod ids;
