//! Changes that others are asked to make: the call itself, a Safe's batch, a timelock's two steps.
//!
//! Nothing here signs or sends.

pub(crate) mod safe;
pub(crate) mod timelock;

use alloy::primitives::{Address, Bytes};
use serde::Serialize;
use serde_json::Value;

use super::change::Change;

/// A call that somebody else is asked to make.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    /// `direct`; through a timelock `schedule` or `execute`.
    pub(crate) step: &'static str,
    #[serde(serialize_with = "checksummed")]
    pub(crate) to: Address,
    /// Wei, in decimal.
    pub(crate) value: &'static str,
    pub(crate) data: Bytes,
    #[serde(skip)]
    method: Value,
    #[serde(skip)]
    values: Value,
}

impl Call {
    /// The call that makes this change.
    pub(crate) fn of(step: &'static str, change: &Change) -> Self {
        Self {
            step,
            to: change.contract,
            value: "0",
            data: change.data.clone(),
            method: change.method.json(),
            values: change.method.values(),
        }
    }
}

/// The form with a checksum (EIP-55), which is what people compare.
pub(crate) fn checksummed<S: serde::Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// The same; null where there is none.
#[allow(clippy::ref_option, reason = "the form that serde asks for")]
pub(crate) fn checksummed_if_any<S: serde::Serializer>(
    address: &Option<Address>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}
