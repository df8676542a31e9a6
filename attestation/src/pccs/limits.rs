//! How long and how much a fetch may take. Every default is here, with its reason.
//!
//! A PCCS may stall, drip or flood. Each request, each source and the whole fetch have a deadline; each answer
//! has a size that it may not exceed; only faults that may pass are tried again, and only a few times.

use std::time::Duration;

use tokio::time::Instant;

/// How long a TCP connection may take. A healthy one takes less than a round trip across the globe, 0.3 s.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one request may take, from connecting to the last byte. A PCCS that has to ask Intel first takes 1-3 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a whole fetch may take, over all sources. A guest that boots waits for it once, and gives up after
/// a minute.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(20);
/// How often one request is tried again after a fault that may pass. More would only delay the next source.
pub const RETRIES: u32 = 2;
/// How long to wait before the first further try; doubled for each one after it.
pub const RETRY_BASE: Duration = Duration::from_millis(250);
/// The longest wait before a further try. A source that asks for more in `Retry-After` is left for the next one.
pub const RETRY_CAP: Duration = Duration::from_secs(2);
/// The largest head of an answer, in bytes. Genuine ones have 4 KiB, of which the issuer chain is 2.7 KiB.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The largest number of header fields in an answer. Genuine ones have about 15.
pub const MAX_HEADERS: usize = 64;
/// The largest number of sources. Each one costs time when those before it fail.
pub const MAX_SOURCES: usize = 8;

/// The limits of a fetch. The sizes of answers are fixed, see `Endpoint::max_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// How long a TCP connection may take.
    pub connect: Duration,
    /// How long one request may take, from connecting to the last byte.
    pub request: Duration,
    /// How long a whole fetch may take, over all sources.
    pub total: Duration,
    /// How often one request is tried again.
    pub retries: u32,
    /// How long to wait before the first further try.
    pub retry_base: Duration,
    /// The longest wait before a further try.
    pub retry_cap: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            request: REQUEST_TIMEOUT,
            total: TOTAL_TIMEOUT,
            retries: RETRIES,
            retry_base: RETRY_BASE,
            retry_cap: RETRY_CAP,
        }
    }
}

impl FetchLimits {
    /// The deadline of the next of `left` sources: an equal share of what remains, so that a source that stalls
    /// cannot use up the time of those after it.
    pub(super) fn source_deadline(end: Instant, left: usize) -> Option<Instant> {
        let remaining = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())?;
        let share = remaining / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        Some(Instant::now() + share)
    }
}

/// The wait before try number `count` (from 0): `base` doubled each time up to `cap`, of which a random half is
/// taken off so that the nodes that saw a PCCS fail together do not return together.
pub(super) fn backoff(base: Duration, cap: Duration, count: u32) -> Duration {
    let full = base.saturating_mul(1_u32.checked_shl(count).unwrap_or(u32::MAX)).min(cap);
    // Without randomness the nodes return together; that is no reason to fail.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    full / 2 + full.mul_f64(f64::from(random) / f64::from(u32::MAX)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff__should_double_up_to_the_cap_and_keep_at_least_half() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(1));
        for (count, full) in [(0, 100), (1, 200), (3, 800), (4, 1000), (31, 1000), (32, 1000), (99, 1000)] {
            let full = Duration::from_millis(full);
            let wait = backoff(base, cap, count);
            assert!(wait >= full / 2 && wait <= full, "{count}: {wait:?}");
        }
    }

    #[tokio::test]
    async fn source_deadline__should_leave_time_for_the_sources_that_follow() {
        let end = Instant::now() + Duration::from_secs(9);
        let first = FetchLimits::source_deadline(end, 3).unwrap() - Instant::now();
        assert!(first > Duration::from_millis(2900) && first <= Duration::from_secs(3), "{first:?}");
        assert_eq!(FetchLimits::source_deadline(Instant::now(), 1), None);
    }
}
