//! The one door of every refusal: it is recorded with its evidence or counted, and only then it becomes an answer.
//!
//! ```text
//! the quote is genuine   recorded, within a budget for each device: it takes hardware to make one
//! anything before that   recorded, one whole sample of each code in an hour, whoever sends it
//! all others             counted by code; the counts are a record of their own
//! ```
//!
//! An answer is made of an [`Entered`], and nothing but this module makes one: the compiler finds whoever forgets it.
//! Threats: a refusal that the log does not tell of; a caller who fills the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kms_attestation::ids::DeviceId;
use kms_attestation::refusal::StableCode as _;
use kms_ledger::record::{CodeCount, Unstored};
use kms_ledger::store::Priority;

use crate::metrics::Metrics;
use crate::node::{Limited, Shares};
use crate::refusal::Refused;

/// The refusals of one device that are recorded in a minute. Each takes some 40 KiB.
pub const DENIALS_PER_DEVICE: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Stands in the counts for what the gRPC library refuses by itself: a method that does not exist, bytes that are no message.
pub(crate) const UNCODED: &str = "uncoded";

/// What a refusal's record is paid from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    /// It proved nothing: one of each code in a period.
    Sample,
    /// A genuine quote of this device.
    Device(DeviceId),
    /// The node's own.
    Own,
}

impl Budget {
    /// What strangers cause leaves the disk's reserve alone. What the node says of itself is seldom, and uses it as releases do.
    pub(super) const fn priority(self) -> Priority {
        match self {
            Self::Sample | Self::Device(_) => Priority::Other,
            Self::Own => Priority::Release,
        }
    }
}

/// A refusal that the log tells of: recorded, or among the counts that will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entered {
    refused: Refused,
    retry_after: Option<Duration>,
}

impl Entered {
    /// The refusal.
    pub(crate) const fn refused(&self) -> &Refused {
        &self.refused
    }

    /// When to try again, where that depends on who asks.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// The counts since the last record of them, and the budgets.
pub(crate) struct Books {
    open: Mutex<Open>,
    devices: Shares<DeviceId>,
    metrics: Arc<Metrics>,
}

struct Open {
    since: u64,
    counts: BTreeMap<&'static str, u64>,
    sampled: BTreeSet<&'static str>,
}

impl Books {
    /// Empty books; `now` in Unix seconds.
    pub(crate) fn new(now: u64, metrics: Arc<Metrics>) -> Self {
        let open = Open { since: now, counts: BTreeMap::new(), sampled: BTreeSet::new() };
        let devices = Shares::per_minute(DENIALS_PER_DEVICE);
        Self { open: Mutex::new(open), devices, metrics }
    }

    /// Whether there is room for a record of this refusal. What is not recorded is to be counted.
    pub(super) fn take(&self, budget: Budget, code: &'static str) -> bool {
        match budget {
            Budget::Own => true,
            Budget::Sample => self.open().sampled.insert(code),
            Budget::Device(device) => self.devices.take(&device).is_ok(),
        }
    }

    /// A refusal whose record is on disk.
    pub(super) fn recorded(&self, refused: Refused) -> Entered {
        self.metrics.denial_recorded(refused.code.as_str());
        Entered { refused, retry_after: None }
    }

    /// Counts a refusal that is not recorded.
    pub(crate) fn count(&self, refused: Refused) -> Entered {
        self.count_code(refused.code.as_str());
        Entered { refused, retry_after: None }
    }

    /// The same for one that passes by itself.
    pub(crate) fn count_limited(&self, Limited { refused, retry_after }: Limited) -> Entered {
        Entered { retry_after: Some(retry_after), ..self.count(refused) }
    }

    /// Counts what the gRPC library refused by itself.
    pub(crate) fn count_uncoded(&self) {
        self.count_code(UNCODED);
    }

    fn count_code(&self, code: &'static str) {
        self.metrics.refusal_unstored();
        *self.open().counts.entry(code).or_default() += 1;
    }

    /// Ends the period: its counts, if there are any.
    pub(crate) fn close(&self, now: u64) -> Option<Unstored> {
        let mut open = self.open();
        open.sampled.clear();
        let counts = mem::take(&mut open.counts);
        let since = mem::replace(&mut open.since, now);
        let count = |(code, count): (&str, u64)| CodeCount { code: code.to_owned(), count };
        (!counts.is_empty()).then(|| Unstored { since, refusals: counts.into_iter().map(count).collect() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::NodeCode;

    fn refused(code: NodeCode) -> Refused {
        Refused::new(code.into(), "x", "y")
    }

    fn unstored(since: u64, counts: &[(&str, u64)]) -> Unstored {
        let count = |(code, count): &(&str, u64)| CodeCount { code: (*code).to_owned(), count: *count };
        Unstored { since, refusals: counts.iter().map(count).collect() }
    }

    #[test]
    fn take__should_sample_each_code_once_in_a_period() {
        let books = Books::new(1, Arc::default());
        assert!(books.take(Budget::Sample, "a") && books.take(Budget::Sample, "b"));
        assert!(!books.take(Budget::Sample, "a") && !books.take(Budget::Sample, "a"));
        assert_eq!(books.close(2), None);
        assert!(books.take(Budget::Sample, "a"), "a new period");
    }

    #[test]
    fn take__should_give_each_device_its_budget_and_the_node_none() {
        let books = Books::new(1, Arc::default());
        let device = |n| Budget::Device(DeviceId([n; 32]));
        let recorded = (0..100).filter(|_| books.take(device(1), "a")).count();
        assert_eq!(recorded, DENIALS_PER_DEVICE.get() as usize);
        assert!(books.take(device(2), "a"));
        assert!((0..100).all(|_| books.take(Budget::Own, "a")));
    }

    #[test]
    fn count__should_tell_of_every_refusal_that_has_no_record() {
        let books = Books::new(1, Arc::default());
        let limited =
            Limited { refused: refused(NodeCode::RateLimited), retry_after: Duration::from_secs(3) };
        let entered = books.count_limited(limited);
        assert_eq!(
            (entered.refused().code, entered.retry_after()),
            (NodeCode::RateLimited.into(), Some(Duration::from_secs(3)))
        );
        for _ in 0..2 {
            assert_eq!(books.count(refused(NodeCode::Internal)).retry_after(), None);
        }
        books.count_uncoded();
        drop(books.recorded(refused(NodeCode::Overloaded)));
        assert_eq!(
            books.close(2),
            Some(unstored(1, &[("internal", 2), ("rate-limited", 1), ("uncoded", 1)]))
        );
        assert_eq!(books.close(3), None);
        drop(books.count(refused(NodeCode::Internal)));
        assert_eq!(books.close(4), Some(unstored(3, &[("internal", 1)])));
    }

    #[test]
    fn priority__should_keep_the_reserve_from_what_strangers_cause() {
        let priorities =
            [Budget::Sample, Budget::Device(DeviceId([1; 32])), Budget::Own].map(Budget::priority);
        assert_eq!(priorities, [Priority::Other, Priority::Other, Priority::Release]);
    }
}
