//! How a verdict stands in a record: one way, for the node that decides and for the auditor who decides again.
//!
//! Pure. Threat: a record that says it in other words than its verdict, so that no auditor could compare the two.

use kms_attestation::BootIdentity;
use kms_attestation::refusal::{Refusal, StableCode};
use kms_chain::BlockRef;

use super::bounded_text;
use super::decision::{Block, Decision, KeyKind, Outcome, Subject};
use super::identity::{SealedIdentity, Who};
use crate::blob::Blob;

impl From<&BlockRef> for Block {
    fn from(block: &BlockRef) -> Self {
        Self { number: block.number, hash: block.hash.0, timestamp: block.timestamp }
    }
}

impl Subject {
    /// What an allowed request of this kind is given.
    #[must_use]
    pub fn releases(self) -> Vec<KeyKind> {
        match self {
            Self::AppKeys => vec![KeyKind::AppDisk, KeyKind::AppEnv, KeyKind::AppSigning],
            Self::AppCertificate => vec![KeyKind::AppCertificate],
            Self::Node => Vec::new(),
        }
    }
}

impl Outcome {
    /// Allowed, by what the contracts said.
    #[must_use]
    pub fn allow(subject: Subject, decision: &kms_chain::Decision) -> Self {
        Self::Allow {
            latest: Block::from(&decision.latest),
            finalized: decision.finalized.as_ref().map(Block::from),
            released: subject.releases(),
        }
    }

    /// Denied, for this reason.
    #[must_use]
    pub fn deny<C: StableCode>(reason: &Refusal<C>) -> Self {
        Self::Deny {
            code: reason.code.as_str().to_owned(),
            found: bounded_text(&reason.found),
            expected: bounded_text(&reason.expected),
        }
    }

    /// The code of a denial.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Allow { .. } => None,
            Self::Deny { code, .. } => Some(code),
        }
    }
}

impl Who {
    /// In the open, as far as it was proven.
    #[must_use]
    pub fn of(identity: Option<&BootIdentity>) -> Self {
        identity.map_or(Self::Unknown, |identity| Self::Open(identity.into()))
    }
}

impl Decision {
    /// The decision for a private log: who asked, and what a refusal says of it, go into a blob behind a random salt.
    /// Unchanged, and without a blob, where nobody was proven.
    #[must_use]
    pub fn seal(mut self, salt: [u8; 32]) -> (Self, Option<Blob>) {
        let Who::Open(identity) = self.who else { return (self, None) };
        let (found, expected) = match &mut self.outcome {
            Outcome::Allow { .. } => Default::default(),
            Outcome::Deny { found, expected, .. } => (std::mem::take(found), std::mem::take(expected)),
        };
        let blob = SealedIdentity { salt, identity, found, expected }.blob();
        self.who = Who::Sealed(blob.id());
        (self, Some(blob))
    }
}
