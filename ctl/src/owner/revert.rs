//! What a contract reverted with, in words.
//!
//! The text is the contract's own, that is anybody's: it is made printable and bounded.

use alloy::primitives::Bytes;
use alloy::sol_types::{Panic, Revert as RevertText, SolError};
use kms_attestation::refusal::sanitise;
use kms_chain::RpcFault;
use kms_chain::bindings::{DstackApp, DstackKms, TimelockController};

/// How geth and those that follow it number a revert.
const REVERT_CODE: i64 = 3;

/// A revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revert {
    /// What it reverted with; empty where there is no such function.
    pub(crate) data: Bytes,
    /// The provider's own words, where it keeps the data to itself.
    message: String,
}

impl Revert {
    /// The revert in a fault, if it is one and not the provider's own trouble.
    pub(crate) fn of(fault: &RpcFault) -> Option<Self> {
        let RpcFault::Error { code, message, data } = fault else { return None };
        let reverted = *code == REVERT_CODE || data.is_some() || message.contains("revert");
        reverted.then(|| Self { data: data.clone().unwrap_or_default(), message: message.clone() })
    }

    /// The custom error, if it is of this type.
    pub(crate) fn custom<E: SolError>(&self) -> Option<E> {
        E::abi_decode(&self.data).ok()
    }

    /// The reason, for people.
    pub(crate) fn reason(&self) -> String {
        self.text().or_else(|| self.known()).unwrap_or_else(|| self.unknown())
    }

    fn text(&self) -> Option<String> {
        let reason = self.custom::<RevertText>().map(|revert| format!("\"{}\"", sanitise(&revert.reason)));
        reason.or_else(|| self.custom::<Panic>().map(|panic| format!("panic {:#x}", panic.code)))
    }

    /// An error that the contracts declare, with its arguments as words.
    fn known(&self) -> Option<String> {
        if let Some(error) = self.custom::<DstackApp::OwnableUnauthorizedAccount>() {
            return Some(format!("{} is not the owner", error.account));
        }
        let (selector, arguments) = self.data.split_first_chunk::<4>()?;
        let signature = DstackKms::DstackKmsErrors::signature_by_selector(*selector)
            .or_else(|| TimelockController::TimelockControllerErrors::signature_by_selector(*selector))?;
        let words: Vec<String> = arguments.chunks(32).take(8).map(hex::encode).collect();
        Some(format!("{signature} {}", words.join(" ")).trim_end().to_owned())
    }

    fn unknown(&self) -> String {
        match self.data.as_ref() {
            [] => format!("no reason (the provider says \"{}\")", self.message),
            data => format!("0x{}", hex::encode(data.get(..132).unwrap_or(data))),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;

    fn revert(data: Vec<u8>) -> Revert {
        let fault = RpcFault::Error { code: -32000, message: "x".to_owned(), data: Some(data.into()) };
        Revert::of(&fault).unwrap()
    }

    #[test]
    fn reason__should_name_what_the_contracts_revert_with() {
        let text = RevertText { reason: "Invalid \u{1b}[2J".to_owned() };
        assert_eq!(revert(text.abi_encode()).reason(), "\"Invalid \\u{1b}[2J\"");
        let owner = DstackApp::OwnableUnauthorizedAccount { account: Address::repeat_byte(0x11) };
        assert_eq!(revert(owner.abi_encode()).reason(), format!("{} is not the owner", owner.account));
        let delay =
            TimelockController::TimelockInsufficientDelay { delay: U256::from(1), minDelay: U256::from(2) };
        assert!(
            revert(delay.abi_encode()).reason().starts_with("TimelockInsufficientDelay(uint256,uint256) 00")
        );
        assert_eq!(revert(vec![1, 2, 3, 4]).reason(), "0x01020304");
        assert_eq!(revert(vec![]).reason(), "no reason (the provider says \"x\")");
    }

    #[test]
    fn of__should_not_take_a_providers_trouble_for_a_revert() {
        let trouble = RpcFault::Error { code: -32005, message: "limit exceeded".to_owned(), data: None };
        assert_eq!(Revert::of(&trouble), None);
        assert_eq!(Revert::of(&RpcFault::Timeout), None);
        let geth = RpcFault::Error { code: 3, message: "execution reverted".to_owned(), data: None };
        assert!(Revert::of(&geth).is_some());
    }
}
