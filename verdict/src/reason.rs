//! Why not: the codes of the crates below, as one list.

use std::fmt;

use kms_attestation::DenyCode;
use kms_attestation::refusal::{DenyClass, Refusal, StableCode};
use kms_chain::ChainDenyCode;

/// A denial: the code, what was found and what was expected instead.
pub type Denial = Refusal<Code>;

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
}

impl From<DenyCode> for Code {
    fn from(code: DenyCode) -> Self {
        Self::Attestation(code)
    }
}

impl From<ChainDenyCode> for Code {
    fn from(code: ChainDenyCode) -> Self {
        Self::Chain(code)
    }
}

impl StableCode for Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::Attestation(code) => code.as_str(),
            Self::Chain(code) => code.as_str(),
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Attestation(code) => code.message(),
            Self::Chain(code) => code.message(),
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::Attestation(code) => code.fix(),
            Self::Chain(code) => code.fix(),
        }
    }

    fn class(self) -> DenyClass {
        match self {
            Self::Attestation(code) => code.class(),
            Self::Chain(code) => code.class(),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
