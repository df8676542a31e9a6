//! The read surface of `DstackKms` and `DstackApp`, as deployed contracts have it: what a decision calls, no more.
//!
//! Owns the calls' types and the strict reading of answers. Threat: a contract's answer is anyone's bytes; it is read
//! within a bound, and what is not exactly of the promised shape is refused rather than interpreted.

#![allow(missing_docs, reason = "the names are the contracts'")]

use alloy::primitives::U256;
use alloy::sol;
use alloy::sol_types::SolValue;

use crate::deny::{ChainDeny, ChainDenyCode, sanitise};

/// The longest answer that is read, in bytes: a reason of some 4,000 characters.
pub const MAX_ANSWER_BYTES: usize = 4096;

sol! {
    /// What a contract is asked about: who wants to boot, on which hardware and software.
    #[derive(Debug, Default, PartialEq, Eq, Hash)]
    struct AppBootInfo {
        address appId;
        bytes32 composeHash;
        address instanceId;
        bytes32 deviceId;
        bytes32 mrAggregated;
        bytes32 mrSystem;
        bytes32 osImageHash;
        string tcbStatus;
        string[] advisoryIds;
    }

    function isAppAllowed(AppBootInfo bootInfo) external view returns (bool isAllowed, string reason);
    function isKmsAllowed(AppBootInfo bootInfo) external view returns (bool isAllowed, string reason);
    function registeredApps(address appId) external view returns (bool);
    function allowedOsImages(bytes32 osImageHash) external view returns (bool);
    function kmsAllowedAggregatedMrs(bytes32 mrAggregated) external view returns (bool);
    function kmsAllowedDeviceIds(bytes32 deviceId) external view returns (bool);
    function allowedComposeHashes(bytes32 composeHash) external view returns (bool);
    function allowedDeviceIds(bytes32 deviceId) external view returns (bool);
    function allowAnyDevice() external view returns (bool);
    function requireTcbUpToDate() external view returns (bool);
}

/// What `isAppAllowed` or `isKmsAllowed` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The contract's reason, sanitised: at most 256 characters, for people.
    pub reason: String,
}

/// Reads what `isAppAllowed` returned. Refused with `contract-answer-too-large` or `contract-answer-malformed`.
pub fn read_answer(returned: &[u8]) -> Result<Answer, ChainDeny> {
    if returned.len() > MAX_ANSWER_BYTES {
        let found = format!("{} bytes", returned.len());
        return Err(ChainDeny::new(ChainDenyCode::ContractAnswerTooLarge, found, "a reason of a sentence"));
    }
    // `abi_decode_params` alone takes any non-zero word for true and ignores bytes that nothing points at.
    let (allowed, reason) = <(bool, String)>::abi_decode_params_validate(returned).map_err(|_| {
        let found = format!("{} bytes that are no (bool, string)", returned.len());
        ChainDeny::new(ChainDenyCode::ContractAnswerMalformed, found, "(bool, string)")
    })?;
    Ok(Answer { allowed, reason: sanitise(&reason) })
}

/// Reads what a getter returned; none unless it is exactly a boolean.
#[must_use]
pub fn read_flag(returned: &[u8]) -> Option<bool> {
    let word = U256::from_be_bytes(<[u8; 32]>::try_from(returned).ok()?);
    (word <= U256::from(1)).then(|| !word.is_zero())
}

/// The text of a revert with `Error(string)`, sanitised; for anything else its size.
#[must_use]
pub fn revert_text(returned: &[u8]) -> String {
    const ERROR_STRING: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    let text = returned.strip_prefix(&ERROR_STRING).filter(|rest| rest.len() <= MAX_ANSWER_BYTES);
    match text.and_then(|rest| String::abi_decode_validate(rest).ok()) {
        Some(text) => sanitise(&text),
        None => format!("a revert with {} bytes", returned.len()),
    }
}
