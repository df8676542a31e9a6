//! What witnesses have said so far, and whether keys may be released by it.
//!
//! Kept in memory alone: after a start it counts only what was said since. Speaks up once when something changes, not at
//! every attempt. Threat: a release from a log that was rolled back, or that nobody has vouched for in a long time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kms_ledger::note::WitnessKey;
use kms_ledger::{LedgerCode, LedgerRefusal};

use crate::config;
use crate::refusal::{NodeCode, Refused};

/// A checkpoint that a quorum has cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cosigned {
    /// How many entries it has.
    pub(crate) size: u64,
    /// Since when, in Unix seconds: when the last of the quorum's newest cosignatures was made.
    pub(crate) time: u64,
}

/// What the witnesses of a node say. Without witnesses: nothing, and nothing follows.
pub(crate) struct Witnesses {
    keys: Vec<WitnessKey>,
    quorum: usize,
    stop_after: Option<Duration>,
    /// What the log had when the node started: less than that vouches for nothing that was released before.
    opened: u64,
    view: Mutex<View>,
}

#[derive(Default)]
struct View {
    /// In this run.
    newest: Option<Cosigned>,
    /// In an earlier one, as the disk has it.
    earlier: Option<Cosigned>,
    contradiction: Option<LedgerRefusal>,
    each: Vec<One>,
}

/// What is known of one witness.
#[derive(Clone, Default)]
struct One {
    cosigned: u64,
    failures: u64,
    trouble: Option<LedgerRefusal>,
}

/// A witness's part of [`Said`].
pub(crate) struct OneSaid<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// How many entries the last checkpoint had that it cosigned in this run.
    pub(crate) cosigned: u64,
    /// How often it gave no cosignature.
    pub(crate) failures: u64,
}

/// What is said, for whoever watches the node.
pub(crate) struct Said<'a> {
    /// The newest checkpoint that a quorum has cosigned, as far as is known.
    pub(crate) newest: Option<Cosigned>,
    /// Whether one has seen more of the log, or another log.
    pub(crate) contradicted: bool,
    /// Each witness.
    pub(crate) each: Vec<OneSaid<'a>>,
}

impl Witnesses {
    /// Nothing has been said yet of a log that has `opened` entries.
    pub(crate) fn new(terms: Option<&config::Witnesses>, opened: u64) -> Self {
        let each = terms.map(|terms| terms.each.as_slice()).unwrap_or_default();
        let keys: Vec<_> = each.iter().map(|witness| witness.key.clone()).collect();
        let view = View { each: vec![One::default(); keys.len()], ..View::default() };
        Self {
            keys,
            quorum: terms.map_or(0, |terms| terms.quorum),
            stop_after: terms.and_then(|terms| terms.stop_after),
            opened,
            view: Mutex::new(view),
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Each value is replaced as a whole: a thread that panicked left nothing half written.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The witnesses' keys.
    pub(crate) fn keys(&self) -> &[WitnessKey] {
        &self.keys
    }

    /// How many witnesses must have cosigned; 0 where there are none.
    pub(crate) const fn quorum(&self) -> usize {
        self.quorum
    }

    /// How old their cosignatures may be until releases stop.
    pub(crate) const fn stop_after(&self) -> Option<Duration> {
        self.stop_after
    }

    /// What an earlier run had cosigned.
    pub(super) fn remember(&self, earlier: Option<Cosigned>) {
        self.view().earlier = earlier;
    }

    /// Why the log is not to be used any more, if a witness has said so.
    pub(crate) fn contradiction(&self) -> Option<LedgerRefusal> {
        self.view().contradiction.clone()
    }

    /// Refused with `log-contradicted`, or with `log-unwitnessed` where the configuration stops releases for that.
    pub(crate) fn check(&self, now: u64) -> Result<(), Refused> {
        let view = self.view();
        if let Some(refusal) = &view.contradiction {
            let expected = "the log that the witnesses have seen, continued";
            return Err(Refused::new(NodeCode::LogContradicted.into(), refusal, expected));
        }
        let Some(stop_after) = self.stop_after else { return Ok(()) };
        let newest = view.newest.filter(|newest| newest.size >= self.opened);
        let age = newest.map(|newest| now.saturating_sub(newest.time));
        if age.is_some_and(|age| age <= stop_after.as_secs()) {
            return Ok(());
        }
        let found = match age {
            None => "not cosigned since this node started".to_owned(),
            Some(age) => format!("last cosigned {age} s ago"),
        };
        let expected =
            format!("by {} of {}, at most {} s ago", self.quorum, self.keys.len(), stop_after.as_secs());
        Err(Refused::new(NodeCode::LogUnwitnessed.into(), found + &self.troubles(&view), expected))
    }

    fn troubles(&self, view: &View) -> String {
        let of =
            |(key, one): (&WitnessKey, &One)| Some(format!("; {}: {}", key.name(), one.trouble.as_ref()?));
        self.keys.iter().zip(&view.each).filter_map(of).collect()
    }

    /// A witness has cosigned a checkpoint of that size.
    pub(super) fn cosigned(&self, which: usize, size: u64) {
        let mut view = self.view();
        let (Some(one), Some(key)) = (view.each.get_mut(which), self.keys.get(which)) else { return };
        one.cosigned = size;
        if one.trouble.take().is_some() {
            tracing::info!(witness = %key.name(), "a witness cosigns again");
        }
    }

    /// A witness has not cosigned.
    pub(super) fn failed(&self, which: usize, refusal: LedgerRefusal) {
        let mut view = self.view();
        let (Some(one), Some(key)) = (view.each.get_mut(which), self.keys.get(which)) else { return };
        one.failures += 1;
        let known = one.trouble.as_ref().map(|trouble| trouble.code);
        one.trouble = Some(refusal.clone());
        if matches!(refusal.code, LedgerCode::WitnessAhead | LedgerCode::LogForked) {
            if view.contradiction.is_none() {
                let fix = NodeCode::LogContradicted.fix();
                tracing::error!(witness = %key.name(), %refusal, fix, "the log is contradicted: nothing is released");
                view.contradiction = Some(refusal);
            }
        } else if known != Some(refusal.code) {
            tracing::warn!(witness = %key.name(), %refusal, "a witness does not cosign");
        }
    }

    /// A quorum has cosigned. What is older than what is known changes nothing.
    pub(super) fn reached(&self, cosigned: Cosigned) {
        let mut view = self.view();
        let newer = |known: Cosigned| (cosigned.size, cosigned.time) >= (known.size, known.time);
        if view.newest.is_none_or(newer) {
            view.newest = Some(cosigned);
        }
    }

    /// What is said.
    pub(crate) fn said<'a>(&'a self) -> Said<'a> {
        let view = self.view();
        let one = |(key, one): (&'a WitnessKey, &One)| OneSaid {
            name: key.name().as_str(),
            cosigned: one.cosigned,
            failures: one.failures,
        };
        Said {
            newest: view.newest.or(view.earlier),
            contradicted: view.contradiction.is_some(),
            each: self.keys.iter().zip(&view.each).map(one).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kms_attestation::refusal::StableCode as _;

    use super::*;
    use crate::config::witnesses::{WitnessAt, WitnessUrl};

    const STOP: u64 = 60;

    /// Three witnesses, of which two must have cosigned, of a log that had ten entries at the start.
    fn witnesses(stop_after: Option<u64>) -> Witnesses {
        let key = |n: u8| WitnessKey::new(format!("w{n}").parse().unwrap(), [n; 32]);
        let at = |n: u8| {
            let url = WitnessUrl::parse(&format!("https://w{n}.example")).unwrap();
            WitnessAt { url, key: key(n) }
        };
        let stop_after = stop_after.map(Duration::from_secs);
        let terms = config::Witnesses { each: [1, 2, 3].map(at).into(), quorum: 2, stop_after };
        Witnesses::new(Some(&terms), 10)
    }

    fn refusal(code: LedgerCode) -> LedgerRefusal {
        LedgerRefusal::new(code, "x", "y")
    }

    fn code(outcome: Result<(), Refused>) -> &'static str {
        outcome.map_or_else(|refused| refused.code.as_str(), |()| "ok")
    }

    #[test]
    fn check__should_ask_nothing_where_nobody_watches() {
        assert_eq!(code(Witnesses::new(None, 10).check(1000)), "ok");
        assert_eq!(code(witnesses(None).check(1000)), "ok", "watched, and no stop was configured");
    }

    #[test]
    fn check__should_stop_without_a_quorum_that_is_young_enough_and_go_on_with_one() {
        let witnesses = witnesses(Some(STOP));
        assert_eq!(code(witnesses.check(1000)), "log-unwitnessed");
        witnesses.remember(Some(Cosigned { size: 10, time: 1000 }));
        assert_eq!(code(witnesses.check(1000)), "log-unwitnessed", "the disk's word counts for nothing");
        witnesses.reached(Cosigned { size: 9, time: 1000 });
        assert_eq!(code(witnesses.check(1000)), "log-unwitnessed", "less than there was at the start");
        witnesses.reached(Cosigned { size: 10, time: 1000 });
        assert_eq!(code(witnesses.check(1000 + STOP)), "ok");
        witnesses.failed(1, refusal(LedgerCode::LogSource));
        let refused = witnesses.check(1001 + STOP).unwrap_err();
        assert_eq!(refused.code.as_str(), "log-unwitnessed");
        assert!(refused.found.contains("61 s ago; w2: log-source-unavailable"), "{}", refused.found);
        assert_eq!(refused.expected, "by 2 of 3, at most 60 s ago");
        witnesses.reached(Cosigned { size: 10, time: 1030 });
        assert_eq!(code(witnesses.check(1001 + STOP)), "ok");
    }

    #[test]
    fn check__should_refuse_for_good_what_one_witness_contradicts() {
        for code_of in [LedgerCode::WitnessAhead, LedgerCode::LogForked] {
            let witnesses = witnesses(None);
            witnesses.failed(2, refusal(LedgerCode::WitnessRefused));
            assert_eq!(code(witnesses.check(1000)), "ok");
            witnesses.failed(2, refusal(code_of));
            witnesses.reached(Cosigned { size: 11, time: 1000 });
            witnesses.cosigned(2, 11);
            let refused = witnesses.check(1000).unwrap_err();
            assert_eq!(refused.code.as_str(), "log-contradicted");
            assert!(refused.found.starts_with(code_of.as_str()), "{}", refused.found);
            assert_eq!(witnesses.contradiction().unwrap().code, code_of);
        }
    }

    #[test]
    fn said__should_have_counts_for_each_and_the_newest_that_is_known() {
        let witnesses = witnesses(None);
        assert_eq!(witnesses.said().newest, None);
        witnesses.remember(Some(Cosigned { size: 4, time: 900 }));
        assert_eq!(witnesses.said().newest, Some(Cosigned { size: 4, time: 900 }));
        witnesses.reached(Cosigned { size: 12, time: 1000 });
        witnesses.reached(Cosigned { size: 11, time: 1001 });
        witnesses.cosigned(0, 12);
        for _ in 0..3 {
            witnesses.failed(1, refusal(LedgerCode::LogSource));
        }
        let said = witnesses.said();
        assert_eq!((said.newest, said.contradicted), (Some(Cosigned { size: 12, time: 1000 }), false));
        let each: Vec<_> = said.each.iter().map(|one| (one.name, one.cosigned, one.failures)).collect();
        assert_eq!(each, [("w1", 12, 0), ("w2", 0, 3), ("w3", 0, 0)]);
    }
}
