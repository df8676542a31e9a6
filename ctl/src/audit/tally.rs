//! What came of deciding many records again: counted, and the first of what is wrong kept.

use std::collections::{BTreeMap, BTreeSet};

use kms_ledger::Record;
use kms_ledger::record::Event;
use kms_ledger::replay::{ReplayCode, Replayed};
use serde::{Serialize, Serializer};

use crate::outcome::Exit;

/// The most findings that are kept: a log that is wrong throughout needs no million lines.
const MAX_FINDINGS: usize = 1000;

/// What was there and is no longer what it was.
const DAMAGED: [ReplayCode; 2] = [ReplayCode::BlobDamaged, ReplayCode::RecordUnproven];

/// A record that is not as it should be, or cannot be decided again.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Which.
    pub(super) index: u64,
    /// What came of it.
    #[serde(flatten)]
    pub(super) replayed: Replayed,
}

/// Indices of records, told as ranges.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeSet<u64>);

impl Records {
    /// The first and the last of each range.
    pub(super) fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(*index) => *last = *index,
                _ => ranges.push((*index, *index)),
            }
        }
        ranges
    }
}

impl Serialize for Records {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ranges().serialize(serializer)
    }
}

/// Counts.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    /// How many records.
    pub(super) records: u64,
    /// How many decisions among them.
    pub(super) decisions: u64,
    /// What came of them, by its name.
    pub(super) results: BTreeMap<&'static str, u64>,
    /// Decisions, by subject and answer.
    pub(super) answers: BTreeMap<String, u64>,
    /// Why records could not be decided again.
    pub(super) gaps: BTreeMap<&'static str, u64>,
    /// Which, by the same codes: the first and the last index of each range.
    pub(super) untold: BTreeMap<&'static str, Records>,
    /// What is wrong, and what could not be decided again, by index; but for what was removed with a word.
    pub(super) findings: Vec<Finding>,
}

impl Tally {
    /// Takes in one.
    pub(super) fn add(&mut self, index: u64, record: Option<&Record>, replayed: Replayed) {
        self.records += 1;
        *self.results.entry(replayed.name()).or_default() += 1;
        if let Some(Event::Decision(decision)) = record.map(|record| &record.event) {
            self.decisions += 1;
            let code = super::describe::printable(decision.outcome.code().unwrap_or("allow"));
            *self.answers.entry(format!("{} {code}", decision.subject.as_str())).or_default() += 1;
        }
        let mut fine =
            matches!(replayed, Replayed::Identical | Replayed::Stated | Replayed::Consistent { .. });
        if let Replayed::NotReplayable { why } = &replayed {
            *self.gaps.entry(why.code.as_str()).or_default() += 1;
            self.untold.entry(why.code.as_str()).or_default().0.insert(index);
            fine = why.code == ReplayCode::BlobPruned;
        }
        if !fine && self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { index, replayed });
        }
    }

    /// 10 where a record should be another; else 3 where one could not be decided again; else 0.
    pub(super) fn exit(&self) -> Exit {
        let any = |name| self.results.contains_key(name);
        if any("different") || DAMAGED.iter().any(|code| self.gaps.contains_key(code.as_str())) {
            return Exit::Refused;
        }
        if any("not-replayable") { Exit::Undecided } else { Exit::Done }
    }

    /// Findings in the order of the log.
    pub(super) fn sorted(mut self) -> Self {
        self.findings.sort_by_key(|finding| finding.index);
        self
    }
}

#[cfg(test)]
mod tests {
    use kms_ledger::replay::{Difference, Gap};

    use super::*;

    #[test]
    fn exit__should_tell_what_is_wrong_from_what_could_not_be_told() {
        let mut tally = Tally::default();
        tally.add(0, None, Replayed::Identical);
        tally.add(1, None, Replayed::Consistent { code: "rate-limited".to_owned() });
        assert_eq!((tally.exit(), tally.findings.len()), (Exit::Done, 0));
        tally.add(3, None, Gap::new(ReplayCode::BlobPruned, "", "").into());
        assert_eq!((tally.exit(), tally.findings.len()), (Exit::Undecided, 0));
        tally.add(9, None, Gap::new(ReplayCode::BlobMissing, "", "").into());
        assert_eq!(tally.exit(), Exit::Undecided);
        let (recorded, recomputed) = (String::new(), String::new());
        let difference = Difference { what: "outcome", recorded, recomputed, codes: None };
        tally.add(4, None, Replayed::Different(difference));
        assert_eq!(tally.exit(), Exit::Refused);
        let indices: Vec<u64> = tally.sorted().findings.iter().map(|finding| finding.index).collect();
        assert_eq!(indices, [4, 9]);
    }

    #[test]
    fn records__should_be_told_as_ranges_in_whatever_order_they_came() {
        let records = Records([7, 2, 3, u64::MAX, 4, 9].into());
        assert_eq!(records.ranges(), [(2, 4), (7, 7), (9, 9), (u64::MAX, u64::MAX)]);
    }
}
