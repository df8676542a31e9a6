//! What came of deciding again.

use serde::Serialize;

use super::code::Gap;
use super::rules::RuleChange;

/// What came of deciding a record again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "replayed")]
pub enum Replayed {
    /// The same record, bit for bit.
    Identical,
    /// A record of the node's life that holds nothing to execute: it agrees with itself.
    Stated,
    /// Attested, by evidence that was verified again; then refused by the node's own state, or by what it could not get,
    /// which no evidence can show. A denial: nothing was released.
    Consistent {
        /// The code of the denial.
        code: String,
    },
    /// A later change of the rules gives another answer.
    RulesChanged {
        /// Which change.
        change: &'static RuleChange,
        /// Between what.
        difference: Difference,
    },
    /// Another record would have been right.
    Different(Difference),
    /// It cannot be decided again.
    NotReplayable {
        /// Why.
        why: Gap,
    },
}

/// What the record says, and what it should say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which field.
    pub what: &'static str,
    /// What stands there.
    pub recorded: String,
    /// What should.
    pub recomputed: String,
    /// The codes of both answers, where the answer is what differs; `allow` for none.
    #[serde(skip)]
    pub codes: Option<(String, String)>,
}

impl Replayed {
    /// Its name: part of the interface, never renamed.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Stated => "stated",
            Self::Consistent { .. } => "consistent",
            Self::RulesChanged { .. } => "rules-changed",
            Self::Different(_) => "different",
            Self::NotReplayable { .. } => "not-replayable",
        }
    }

    /// A record that should say something else.
    #[expect(clippy::needless_pass_by_value, reason = "numbers, hashes and texts that are made for it")]
    pub(super) fn different(what: &'static str, recorded: impl ToString, recomputed: impl ToString) -> Self {
        let (recorded, recomputed) = (recorded.to_string(), recomputed.to_string());
        Self::Different(Difference { what, recorded, recomputed, codes: None })
    }
}

impl From<Gap> for Replayed {
    fn from(why: Gap) -> Self {
        Self::NotReplayable { why }
    }
}
