//! The one question that a decision answers, and its call data.
//!
//! The call data stands in the witness, so that an auditor reads there exactly what the contract was asked. Read
//! strictly: encoding it again must give the same bytes.

use alloy::primitives::Bytes;
use alloy::sol_types::SolCall;

use crate::abi::{AppBootInfo, isAppAllowedCall, isKmsAllowedCall};
use crate::deny::{ChainDeny, ChainDenyCode};

/// The longest call data, in bytes. A boot info with fifty advisories has 6 KiB.
pub const MAX_CALL_BYTES: usize = 64 * 1024;

/// What `DstackKms` is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// May this app have its keys?
    App(AppBootInfo),
    /// May this machine be a KMS node?
    Kms(AppBootInfo),
}

impl Question {
    /// The boot that is asked about.
    #[must_use]
    pub const fn boot_info(&self) -> &AppBootInfo {
        match self {
            Self::App(info) | Self::Kms(info) => info,
        }
    }

    /// The call that asks it.
    #[must_use]
    pub fn call_data(&self) -> Bytes {
        let info = self.boot_info().clone();
        match self {
            Self::App(_) => isAppAllowedCall { bootInfo: info }.abi_encode().into(),
            Self::Kms(_) => isKmsAllowedCall { bootInfo: info }.abi_encode().into(),
        }
    }

    /// Reads call data. Refused with `question-malformed`.
    pub fn parse(call: &[u8]) -> Result<Self, ChainDeny> {
        let refused = || {
            let found = format!("{} bytes of other call data", call.len());
            ChainDeny::new(ChainDenyCode::QuestionMalformed, found, "isAppAllowed or isKmsAllowed")
        };
        let selector = call.first_chunk::<4>().filter(|_| call.len() <= MAX_CALL_BYTES);
        let question = match selector {
            Some(&isAppAllowedCall::SELECTOR) => {
                isAppAllowedCall::abi_decode(call).ok().map(|call| Self::App(call.bootInfo))
            }
            Some(&isKmsAllowedCall::SELECTOR) => {
                isKmsAllowedCall::abi_decode(call).ok().map(|call| Self::Kms(call.bootInfo))
            }
            _ => None,
        };
        question.filter(|question| *question.call_data() == *call).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question__should_be_read_from_its_own_call_data_only() {
        let info = AppBootInfo { tcbStatus: "UpToDate".to_owned(), ..AppBootInfo::default() };
        for question in [Question::App(info.clone()), Question::Kms(info)] {
            let call = question.call_data();
            assert_eq!(Question::parse(&call), Ok(question));
            let longer = [&call[..], &[0; 32]].concat();
            for bad in [&call[..call.len() - 1], &longer, &call[4..], &[]] {
                assert_eq!(Question::parse(bad).unwrap_err().code, ChainDenyCode::QuestionMalformed);
            }
        }
    }
}
