//! One thing that is wrong, in the form in which it is printed. The first one found is why a quote is refused.

use kms_attestation::deny::{DenyCode, DenyReason};
use kms_attestation::pccs::CollateralUnavailable;
use serde::Serialize;

/// One thing that is wrong: the `deny` of the JSON output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The stable code.
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) fix: &'static str,
    /// The same code as a value; none where it is not a refusal but keeps from deciding.
    #[serde(skip)]
    pub(crate) deny: Option<DenyCode>,
}

impl From<CollateralUnavailable> for Finding {
    fn from(error: CollateralUnavailable) -> Self {
        Self {
            code: CollateralUnavailable::CODE,
            message: CollateralUnavailable::MESSAGE,
            found: error.found(),
            expected: error.expected(),
            fix: error.fix(),
            deny: None,
        }
    }
}

impl From<DenyReason> for Finding {
    fn from(reason: DenyReason) -> Self {
        Self {
            code: reason.code.as_str(),
            message: reason.code.message(),
            found: reason.found,
            expected: reason.expected,
            fix: reason.code.fix(),
            deny: Some(reason.code),
        }
    }
}
