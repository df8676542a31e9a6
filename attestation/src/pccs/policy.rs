//! When the cache fetches, keeps and refuses to fetch. Every default is here, with its reason.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::wire::EvaluationSet;
use crate::collateral::CollateralDates;
use crate::ids::Fmspc;

/// Collateral older than this (since it was fetched) is fetched anew. A revocation is known within a day.
pub const REFRESH_AFTER: Duration = Duration::from_hours(24);
/// Collateral with less validity left than this, or than a quarter of it, is fetched anew: an operator has days to
/// repair a PCCS before anything expires. Intel's collateral is valid for 30 days.
pub const REFRESH_MARGIN: Duration = Duration::from_hours(7 * 24);
/// The least time between two fetches of valid collateral, for a PCCS that keeps serving what will soon expire.
pub const REFRESH_PAUSE: Duration = Duration::from_hours(1);
/// How long a failure is remembered, during which nothing is fetched; doubled with each failure that follows.
pub const FAILURE_BASE: Duration = Duration::from_secs(2);
/// The longest time that a failure is remembered. An operator who has repaired a PCCS waits no longer than this.
pub const FAILURE_CAP: Duration = Duration::from_mins(5);
/// The largest number of platforms and CAs that is kept. An entry has about 60 KiB.
pub const MAX_ENTRIES: usize = 64;
/// How many FMSPCs never heard of may be asked for at once. An outsider can invent one per quote.
pub const UNKNOWN_BURST: u32 = 8;
/// How long it takes until one more FMSPC never heard of may be asked for.
pub const UNKNOWN_REFILL: Duration = Duration::from_secs(15);

/// What the cache may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePolicy {
    /// Which of Intel's published requirements decide. Going back from `Early` to `Standard` is refused as a
    /// rollback until Intel enforces what was early: start with an empty store to go back at once.
    pub set: EvaluationSet,
    /// The kinds of platform that are served at all; `None` serves any, and limits how fast unknown ones are fetched.
    pub allowed_fmspcs: Option<BTreeSet<Fmspc>>,
    /// The age at which collateral is fetched anew.
    pub refresh_after: Duration,
    /// The remaining validity at which collateral is fetched anew; a quarter of the validity if that is less.
    pub refresh_margin: Duration,
    /// The least time between two fetches of valid collateral.
    pub refresh_pause: Duration,
    /// How long a first failure is remembered.
    pub failure_base: Duration,
    /// How long a failure is remembered at most.
    pub failure_cap: Duration,
    /// The largest number of entries, early collateral included.
    pub max_entries: usize,
    /// How many unknown FMSPCs may be asked for at once.
    pub unknown_burst: u32,
    /// How long it takes until one more unknown FMSPC may be asked for.
    pub unknown_refill: Duration,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            set: EvaluationSet::Standard,
            allowed_fmspcs: None,
            refresh_after: REFRESH_AFTER,
            refresh_margin: REFRESH_MARGIN,
            refresh_pause: REFRESH_PAUSE,
            failure_base: FAILURE_BASE,
            failure_cap: FAILURE_CAP,
            max_entries: MAX_ENTRIES,
            unknown_burst: UNKNOWN_BURST,
            unknown_refill: UNKNOWN_REFILL,
        }
    }
}

impl CachePolicy {
    pub(super) fn allows(&self, fmspc: Fmspc) -> bool {
        self.allowed_fmspcs.as_ref().is_none_or(|allowed| allowed.contains(&fmspc))
    }

    /// Whether collateral that was fetched `age` ago should be fetched anew. `None` is collateral from disk or a
    /// pack, whose age is anybody's word.
    pub(super) fn is_due(&self, age: Option<Duration>, dates: CollateralDates, now: u64) -> bool {
        let Some(age) = age else { return true };
        let quarter = Duration::from_secs(dates.expires.saturating_sub(dates.issued) / 4);
        let left = Duration::from_secs(dates.expires.saturating_sub(now));
        age >= self.refresh_after || (age >= self.refresh_pause && left < self.refresh_margin.min(quarter))
    }
}

/// How fast unknown FMSPCs may be asked for: a bucket of tokens, filled again at a steady rate.
#[derive(Debug)]
pub(super) struct TokenBucket {
    tokens: u32,
    filled: Instant,
}

impl TokenBucket {
    pub(super) fn full(policy: &CachePolicy) -> Self {
        Self { tokens: policy.unknown_burst, filled: Instant::now() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, policy: &CachePolicy) -> bool {
        self.refill(policy);
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    fn refill(&mut self, policy: &CachePolicy) {
        let every = policy.unknown_refill.as_nanos().max(1);
        let gained = u32::try_from(self.filled.elapsed().as_nanos() / every).unwrap_or(u32::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(policy.unknown_burst);
            self.filled = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn is_due(age_hours: Option<u64>, days_left: u64) -> bool {
        let dates =
            CollateralDates { issued: 0, expires: 30 * DAY, root_crl_issued: 0, evaluation_number: 20 };
        let age = age_hours.map(Duration::from_hours);
        CachePolicy::default().is_due(age, dates, (30 - days_left) * DAY)
    }

    #[test]
    fn refresh__should_be_due_by_age_or_when_little_validity_is_left() {
        assert!(!is_due(Some(0), 29));
        assert!(!is_due(Some(23), 8));
        assert!(is_due(Some(24), 29));
        assert!(is_due(Some(2), 6));
        assert!(!is_due(Some(0), 6), "a PCCS that serves what expires soon is not asked without a pause");
        assert!(is_due(None, 29), "the age of a file is anybody's word");
    }

    #[tokio::test(start_paused = true)]
    async fn bucket__should_empty_and_refill() {
        let policy = CachePolicy { unknown_burst: 2, ..Default::default() };
        let mut bucket = TokenBucket::full(&policy);
        assert_eq!([bucket.take(&policy), bucket.take(&policy), bucket.take(&policy)], [true, true, false]);
        tokio::time::advance(policy.unknown_refill).await;
        assert_eq!([bucket.take(&policy), bucket.take(&policy)], [true, false]);
        tokio::time::advance(policy.unknown_refill * 100).await;
        assert_eq!([bucket.take(&policy), bucket.take(&policy), bucket.take(&policy)], [true, true, false]);
    }
}
