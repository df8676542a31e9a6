//! The read surface of `DstackKms` and `DstackApp`: the calls that a decision makes, no more, and the strict reading of answers.
//!
//! The calls' types are those of the generated bindings, so that there is one encoding of a question. The bindings' own
//! decoders are lenient; answers are read here. Threat: a contract's answer is anyone's bytes; it is read within a
//! bound, and what is not exactly of the promised shape is refused rather than interpreted.

use alloy::primitives::U256;
use alloy::sol_types::SolValue;
use kms_attestation::refusal::sanitise;

pub use crate::bindings::app::DstackApp::{
    allowAnyDeviceCall, allowedComposeHashesCall, allowedDeviceIdsCall, requireTcbUpToDateCall,
};
pub use crate::bindings::kms::DstackKms::{
    allowedOsImagesCall, isAppAllowedCall, isKmsAllowedCall, kmsAllowedAggregatedMrsCall,
    kmsAllowedDeviceIdsCall, registeredAppsCall,
};
/// What a contract is asked about: who wants to boot, on which hardware and software.
pub use crate::bindings::kms::IAppAuth::AppBootInfo;
use crate::deny::{ChainDeny, ChainDenyCode};

/// The longest answer that is read, in bytes: a reason of some 4,000 characters.
pub const MAX_ANSWER_BYTES: usize = 4096;

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
