//! The time, and what is known of it for certain.
//!
//! The host of a node sets its clock. Set back, the clock would make expired collateral look current. Intel's
//! signatures say otherwise: whoever holds a list that was issued on Tuesday knows that Monday is over. So the
//! latest authenticated issue date, and the time that has passed since it was learned by the monotonic clock,
//! which does not follow the wall clock, are a lower bound of the time. The cache evaluates nothing at an earlier
//! time than that.
//!
//! Only dates whose signature this process has checked count: the marks file could be anybody's, and may cause
//! refusals but never move the time.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::collateral::CollateralMarks;

/// Where the time comes from. Tests and replays have their own.
pub trait Clock: Send + Sync + 'static {
    /// The time in Unix seconds.
    fn unix_seconds(&self) -> u64;
}

/// The system's clock. The host can set it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> u64 {
        // A clock before 1970 is wrong; 0 makes all collateral "not yet valid", which fails closed.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// The latest time that a checked signature has proven to be over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AuthenticatedTime(Option<(u64, Instant)>);

impl AuthenticatedTime {
    /// It is at least this late, in Unix seconds.
    pub(super) fn lower_bound(self) -> u64 {
        self.0.map_or(0, |(at, learned)| at.saturating_add(learned.elapsed().as_secs()))
    }

    /// Learns from the issue dates of collateral whose signatures have been checked.
    pub(super) fn learn(&mut self, marks: &CollateralMarks) {
        let issued =
            [marks.tcb_info_issued, marks.qe_identity_issued, marks.pck_crl_issued, marks.root_crl_issued];
        let latest = issued.into_iter().fold(0, u64::max);
        if latest > self.lower_bound() {
            self.0 = Some((latest, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_bound__should_be_the_latest_date_learned_and_never_fall() {
        let mut time = AuthenticatedTime::default();
        assert_eq!(time.lower_bound(), 0);
        time.learn(&CollateralMarks { tcb_info_issued: 100, root_crl_issued: 7, ..Default::default() });
        assert!((100..102).contains(&time.lower_bound()));
        time.learn(&CollateralMarks { pck_crl_issued: 50, ..Default::default() });
        assert!((100..102).contains(&time.lower_bound()));
        time.learn(&CollateralMarks { qe_identity_issued: 500, ..Default::default() });
        assert!((500..502).contains(&time.lower_bound()));
    }
}
