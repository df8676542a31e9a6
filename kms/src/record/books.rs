//! Which refusals are recorded with their evidence, and which are only counted: so that nobody fills the disk.
//!
//! ```text
//! the quote is genuine   a budget for each device: it takes hardware to make one
//! anything before that   one whole sample of each code in an hour, whoever sends it
//! all others             counted by code; the counts are a record of their own
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kms_attestation::ids::DeviceId;
use kms_ledger::record::{CodeCount, Unstored};

use crate::metrics::Metrics;
use crate::node::Shares;

/// The refusals of one device that are recorded in a minute. Each takes some 40 KiB.
pub const DENIALS_PER_DEVICE: NonZeroU32 = NonZeroU32::new(10).unwrap();

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

    /// Whether this refusal is recorded; if not, it is counted.
    pub(crate) fn take(&self, budget: Budget, code: &'static str) -> bool {
        let recorded = match budget {
            Budget::Own => true,
            Budget::Sample => self.open().sampled.insert(code),
            Budget::Device(device) => self.devices.take(&device).is_ok(),
        };
        if !recorded {
            self.count(code);
        }
        recorded
    }

    /// Counts a refusal that is not recorded.
    pub(crate) fn count(&self, code: &'static str) {
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

    #[test]
    fn take__should_sample_each_code_once_in_a_period_and_count_the_rest() {
        let books = Books::new(1, Arc::default());
        assert!(books.take(Budget::Sample, "a") && books.take(Budget::Sample, "b"));
        assert!(!books.take(Budget::Sample, "a") && !books.take(Budget::Sample, "a"));
        let refusals = vec![CodeCount { code: "a".to_owned(), count: 2 }];
        assert_eq!(books.close(2), Some(Unstored { since: 1, refusals }));
        assert!(books.take(Budget::Sample, "a"), "a new period");
        assert_eq!(books.close(3), None);
    }

    #[test]
    fn take__should_give_each_device_its_budget() {
        let books = Books::new(1, Arc::default());
        let device = |n| Budget::Device(DeviceId([n; 32]));
        let recorded = (0..100).filter(|_| books.take(device(1), "a")).count();
        assert_eq!(recorded, DENIALS_PER_DEVICE.get() as usize);
        assert!(books.take(device(2), "a"));
        assert_eq!(books.close(2).unwrap().refusals[0].count, 100 - recorded as u64);
    }
}
