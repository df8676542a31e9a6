//! What only shows over time: a head that falls back, two finalized blocks at one height, a feed that stands still.
//!
//! Keeps the highest head seen, the recent finalized blocks, and both headers of an equivocation, after which it accepts
//! nothing more: someone who can finalize two chains can show either. Time is monotonic and an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Heads;
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::BlockHeader;

/// How long the latest head may stand still: five slots of Ethereum, of which a few may be empty.
pub const STALL_AFTER: Duration = Duration::from_mins(1);
/// The finalized blocks that are remembered: more than a day of epochs.
const MAX_REMEMBERED: usize = 256;

/// Two blocks that were both presented as finalized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// The block seen first.
    pub first: BlockHeader,
    /// The other block of the same height.
    pub second: BlockHeader,
}

/// The memory of a source's heads.
#[derive(Debug, Clone)]
pub struct HeadWatch {
    stall_after: Duration,
    highest: u64,
    last_progress: Duration,
    finalized: BTreeMap<u64, BlockHeader>,
    equivocation: Option<Box<Equivocation>>,
}

impl HeadWatch {
    /// A memory that starts now (monotonic time).
    #[must_use]
    pub const fn new(stall_after: Duration, now: Duration) -> Self {
        Self { stall_after, highest: 0, last_progress: now, finalized: BTreeMap::new(), equivocation: None }
    }

    /// The evidence of an equivocation, once there is one.
    #[must_use]
    pub fn equivocation(&self) -> Option<&Equivocation> {
        self.equivocation.as_deref()
    }

    /// Takes note of heads. Refused with `head-equivocation`, `heads-out-of-order`, `head-regressed` or `feed-stalled`.
    pub fn accept(&mut self, heads: &Heads, now: Duration) -> Result<(), ChainDeny> {
        let (latest, finalized) = (&heads.latest.header, &heads.finalized.header);
        self.check_equivocation(finalized)?;
        if finalized.number() > latest.number() {
            let found = format!("finalized {}", finalized.number());
            let expected = format!("at most {}", latest.number());
            return Err(ChainDeny::new(ChainDenyCode::HeadsOutOfOrder, found, expected));
        }
        let highest_final = self.finalized.keys().next_back().copied().unwrap_or_default();
        check_regression("latest", latest.number(), self.highest)?;
        check_regression("finalized", finalized.number(), highest_final)?;
        self.remember(finalized);
        if latest.number() > self.highest {
            (self.highest, self.last_progress) = (latest.number(), now);
        }
        self.check_progress(now)
    }

    /// Refuses with `feed-stalled` where no higher head came for too long. For the health of a node between heads, too.
    pub fn check_progress(&self, now: Duration) -> Result<(), ChainDeny> {
        let idle = now.saturating_sub(self.last_progress);
        if idle <= self.stall_after {
            return Ok(());
        }
        let found = format!("{} s without a new head", idle.as_secs());
        let expected = format!("at most {} s", self.stall_after.as_secs());
        Err(ChainDeny::new(ChainDenyCode::FeedStalled, found, expected))
    }

    fn check_equivocation(&mut self, finalized: &BlockHeader) -> Result<(), ChainDeny> {
        if self.equivocation.is_none() {
            let seen = self.finalized.get(&finalized.number());
            self.equivocation = seen
                .filter(|first| first.hash() != finalized.hash())
                .map(|first| Box::new(Equivocation { first: first.clone(), second: finalized.clone() }));
        }
        match self.equivocation() {
            None => Ok(()),
            Some(Equivocation { first, second }) => {
                let found = format!("{} at height {}", second.hash(), second.number());
                Err(ChainDeny::new(ChainDenyCode::HeadEquivocation, found, first.hash()))
            }
        }
    }

    fn remember(&mut self, finalized: &BlockHeader) {
        self.finalized.insert(finalized.number(), finalized.clone());
        if self.finalized.len() > MAX_REMEMBERED {
            self.finalized.pop_first();
        }
    }
}

fn check_regression(which: &str, number: u64, highest: u64) -> Result<(), ChainDeny> {
    if number >= highest {
        return Ok(());
    }
    let expected = format!("at least {highest}");
    Err(ChainDeny::new(ChainDenyCode::HeadRegressed, format!("{which} head {number}"), expected))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy::primitives::B256;

    use super::*;
    use crate::anchor::HeadEvidence;
    use crate::testing::header;

    fn heads(latest: u64, finalized: u64, fork: u8) -> Heads {
        let evidence = |number| HeadEvidence {
            header: BlockHeader::parse(header(B256::repeat_byte(fork), number, 1)).unwrap(),
            vouchers: BTreeSet::new(),
        };
        Heads { latest: evidence(latest), finalized: evidence(finalized) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn watch__should_refuse_heads_that_fall_back() {
        let mut watch = HeadWatch::new(STALL_AFTER, at(0));
        let mut accept =
            |latest, finalized| watch.accept(&heads(latest, finalized, 0), at(1)).map_err(|deny| deny.code);
        assert_eq!(accept(100, 90), Ok(()));
        assert_eq!(accept(100, 91), Ok(()));
        assert_eq!(accept(99, 91), Err(ChainDenyCode::HeadRegressed));
        assert_eq!(accept(101, 90), Err(ChainDenyCode::HeadRegressed));
        assert_eq!(accept(101, 102), Err(ChainDenyCode::HeadsOutOfOrder));
    }

    #[test]
    fn watch__should_halt_at_an_equivocation_and_keep_both_headers() {
        let mut watch = HeadWatch::new(STALL_AFTER, at(0));
        watch.accept(&heads(100, 90, 0), at(1)).unwrap();
        for (latest, finalized, fork) in [(101, 90, 1), (102, 91, 0)] {
            let refused = watch.accept(&heads(latest, finalized, fork), at(2)).unwrap_err();
            assert_eq!(refused.code, ChainDenyCode::HeadEquivocation);
        }
        let kept = watch.equivocation().unwrap();
        assert_eq!((kept.first.number(), kept.second.number()), (90, 90));
        assert_ne!(kept.first.hash(), kept.second.hash());
    }

    #[test]
    fn watch__should_notice_a_feed_that_stands_still() {
        let mut watch = HeadWatch::new(STALL_AFTER, at(0));
        watch.accept(&heads(100, 90, 0), at(10)).unwrap();
        assert!(watch.accept(&heads(100, 90, 0), at(70)).is_ok());
        let stalled = watch.accept(&heads(100, 90, 0), at(71)).unwrap_err();
        assert_eq!(stalled.code, ChainDenyCode::FeedStalled);
        assert!(watch.accept(&heads(101, 90, 0), at(72)).is_ok());
    }
}
