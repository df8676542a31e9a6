//! Why not: the reasons of the crates below, as one.

use std::fmt;

use kms_attestation::{DenyCode, DenyReason};
use kms_chain::{ChainDeny, ChainDenyCode};
use serde::{Serialize, Serializer};

/// The stable code of a denial. Codes of different crates are distinct as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// What was presented does not prove what it should.
    Attestation(DenyCode),
    /// What the chain says, or why it cannot be known.
    Chain(ChainDenyCode),
}

impl Code {
    /// Every code of a verdict.
    pub fn all() -> impl Iterator<Item = Self> {
        let attestation = DenyCode::ALL.iter().copied().map(Self::Attestation);
        attestation.chain(ChainDenyCode::ALL.iter().copied().map(Self::Chain))
    }

    /// The code as it stands in the protocol, in records and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attestation(code) => code.as_str(),
            Self::Chain(code) => code.as_str(),
        }
    }

    /// One sentence: what is wrong.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Attestation(code) => code.message(),
            Self::Chain(code) => code.message(),
        }
    }

    /// One sentence: what a person can do about it.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Attestation(code) => code.fix(),
            Self::Chain(code) => code.fix(),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A denial: the code, what was found and what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{code}: {} (found {found}; expected {expected})", code.message())]
pub struct Denial {
    /// Which reason.
    pub code: Code,
    /// What was found, with its unit.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
}

impl From<DenyReason> for Denial {
    fn from(reason: DenyReason) -> Self {
        Self { code: Code::Attestation(reason.code), found: reason.found, expected: reason.expected }
    }
}

impl From<ChainDeny> for Denial {
    fn from(deny: ChainDeny) -> Self {
        Self { code: Code::Chain(deny.code), found: deny.found, expected: deny.expected }
    }
}
