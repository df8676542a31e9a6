//! The outcome.

use kms_attestation::BootIdentity;
use kms_chain::{AppBootInfo, Decision};

use crate::reason::Denial;

/// Whether keys are released, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are.
    Allow(Box<Allowed>),
    /// They are not.
    Deny(Denial),
}

/// Who is allowed, by what the chain said. Only an [`AttestedApp`](crate::AttestedApp) makes one, for
/// [`Judge::decide`](crate::Judge::decide) and for the live path alike.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowed {
    /// Who asks.
    pub identity: BootIdentity,
    /// What the contracts were asked.
    pub boot_info: AppBootInfo,
    /// What they said, and at which block.
    pub decision: Decision,
}

impl Verdict {
    /// Why not, if not.
    #[must_use]
    pub const fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(denial) => Some(denial),
        }
    }
}
