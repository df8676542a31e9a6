//! Rules and versions: newer software gives the answers that older rules gave, or says which rule has changed since.
//!
//! A record names the rules that it was decided by (`kms_verdict::RULES_VERSION`). A change that could turn any answer into
//! another, or its code, or a text of it, raises that number, and stands in [`RULE_CHANGES`] with the codes that it
//! touches. A difference that a later change explains is reported as that change, not as a fault of the node; any other
//! is a fault. The corpus in `ledger/tests/corpus` holds what each version decided. Threat: an answer that nobody can
//! reproduce, excused with "the software was older".

use kms_verdict::RULES_VERSION;
use serde::Serialize;

use super::code::{Gap, ReplayCode};
use super::outcome::Difference;

/// A change of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// The first version of the rules with it.
    pub version: u32,
    /// What changed, in a sentence for an auditor.
    pub what: &'static str,
    /// The codes that records of older rules may have instead of today's, or today's instead of theirs; `allow` for an
    /// answer that was or is none of a denial, `certificate` for what was issued with it.
    pub codes: &'static [&'static str],
}

/// The name of what an issued certificate says, among codes.
pub(super) const CERTIFICATE: &str = "certificate";

/// Every change since version 1, in order.
pub const RULE_CHANGES: &[RuleChange] = &[RuleChange {
    version: 2,
    what: "An app's certificate says only what the app, the time and the policy give; before, it was enough that there is one.",
    codes: &[CERTIFICATE],
}];

/// Refused with `replay-rules-unknown` where the record was decided by rules of the future, or of no version.
pub(super) fn check(recorded: u32) -> Result<(), Gap> {
    if (1..=RULES_VERSION).contains(&recorded) {
        return Ok(());
    }
    let expected = format!("rules from 1 to {RULES_VERSION}");
    Err(Gap::new(ReplayCode::RulesUnknown, format!("rules {recorded}"), expected))
}

/// The change since the recorded rules that explains a difference, if one does.
pub(super) fn explain(
    changes: &'static [RuleChange],
    recorded_rules: u32,
    difference: &Difference,
) -> Option<&'static RuleChange> {
    let (was, is) = difference.codes.as_ref()?;
    let touches = |change: &&RuleChange| {
        change.version > recorded_rules && [was, is].iter().all(|code| change.codes.contains(&code.as_str()))
    };
    changes.iter().find(touches)
}

#[cfg(test)]
mod tests {
    use super::*;

    static CHANGES: &[RuleChange] =
        &[RuleChange { version: 2, what: "a test", codes: &["allow", "tcb-not-accepted"] }];

    fn difference(was: &str, is: &str) -> Difference {
        let codes = Some((was.to_owned(), is.to_owned()));
        Difference { what: "outcome", recorded: String::new(), recomputed: String::new(), codes }
    }

    #[test]
    fn explain__should_name_a_later_change_of_these_very_codes_alone() {
        let found =
            |rules, was, is| explain(CHANGES, rules, &difference(was, is)).map(|change| change.version);
        assert_eq!(found(1, "allow", "tcb-not-accepted"), Some(2));
        assert_eq!(found(2, "allow", "tcb-not-accepted"), None);
        assert_eq!(found(1, "allow", "contract-denied"), None);
        let elsewhere = Difference { codes: None, ..difference("", "") };
        assert_eq!(explain(CHANGES, 1, &elsewhere), None);
    }

    #[test]
    fn rule_changes__should_be_in_order_and_none_newer_than_the_rules() {
        assert!(RULE_CHANGES.is_sorted_by_key(|change| change.version));
        let newest = RULE_CHANGES.last().map_or(1, |change| change.version);
        assert!(newest <= RULES_VERSION);
        assert!(check(0).is_err() && check(1).is_ok() && check(RULES_VERSION + 1).is_err());
    }
}
