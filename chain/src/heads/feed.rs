//! The heads as they are now, kept current in the background.
//!
//! ```text
//! HeadSource ──every few seconds──▶ HeadWatch ──accepted──▶ current()
//!                                      └──equivocation, stalled──▶ no heads at all
//! ```
//!
//! A decision does not wait for providers to agree: it takes the heads that were last accepted, whose age the anchor
//! bounds. A source that fails once changes nothing until those heads are too old; one that equivocates or stands still
//! takes them away at once. Owns the timing, and is the only reader of a clock here, a monotonic one. Called by the node
//! and by whoever asks more than once. Threat: a host that freezes or replays what providers say.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Equivocation, HeadSource, HeadWatch, Heads, STALL_AFTER};
use crate::deny::{ChainDeny, ChainDenyCode};

/// How often heads are asked for: a few times per block of Ethereum, so that a revocation counts within seconds.
pub const POLL_EVERY: Duration = Duration::from_secs(3);

/// When heads are asked for, and when their absence is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedTiming {
    /// The time between two questions to the source.
    pub poll_every: Duration,
    /// How long the latest head may stand still.
    pub stall_after: Duration,
}

impl Default for FeedTiming {
    fn default() -> Self {
        Self { poll_every: POLL_EVERY, stall_after: STALL_AFTER }
    }
}

/// What the feed knows.
#[derive(Debug, Clone, Default)]
struct State {
    heads: Option<Heads>,
    /// Why the last question gave no new heads.
    fault: Option<ChainDeny>,
    equivocation: Option<Equivocation>,
    polls: u64,
}

/// A source's accepted heads. The questions end when it is dropped.
pub struct HeadFeed {
    state: watch::Receiver<State>,
    polling: JoinHandle<()>,
}

impl Drop for HeadFeed {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl HeadFeed {
    /// Starts to ask. Needs a tokio runtime.
    pub fn spawn(source: impl HeadSource + Send + Sync + 'static, timing: FeedTiming) -> Self {
        let (sender, state) = watch::channel(State::default());
        let polling = tokio::spawn(poll(source, timing, sender));
        Self { state, polling }
    }

    /// The heads that were last accepted. Refused with what takes heads away, or with the fault that there are none yet.
    pub fn current(&self) -> Result<Heads, ChainDeny> {
        self.state.borrow().current()
    }

    /// As [`Self::current`], once the source has been asked at least one more time.
    pub async fn refreshed(&self) -> Result<Heads, ChainDeny> {
        let mut state = self.state.clone();
        let polls = state.borrow_and_update().polls;
        match state.wait_for(|state| state.polls > polls).await {
            Ok(state) => state.current(),
            Err(_) => Err(no_heads(None)),
        }
    }

    /// Why the last question gave no new heads, if it gave none. For the health of a node.
    #[must_use]
    pub fn fault(&self) -> Option<ChainDeny> {
        self.state.borrow().fault.clone()
    }

    /// The two headers of an equivocation, once there was one: evidence to keep.
    #[must_use]
    pub fn equivocation(&self) -> Option<Equivocation> {
        self.state.borrow().equivocation.clone()
    }
}

impl State {
    fn current(&self) -> Result<Heads, ChainDeny> {
        self.heads.clone().ok_or_else(|| no_heads(self.fault.clone()))
    }

    fn note(&mut self, outcome: Result<Heads, ChainDeny>) {
        self.polls += 1;
        match outcome {
            Ok(heads) => (self.heads, self.fault) = (Some(heads), None),
            Err(fault) => {
                if takes_heads_away(fault.code) {
                    self.heads = None;
                }
                self.fault = Some(fault);
            }
        }
    }
}

fn no_heads(fault: Option<ChainDeny>) -> ChainDeny {
    let none_yet = || ChainDeny::new(ChainDenyCode::HeadMissing, "no heads yet", "a verified head");
    fault.unwrap_or_else(none_yet)
}

/// Faults that say that the heads so far are no better: someone shows two chains, another chain, or holds it back.
const fn takes_heads_away(code: ChainDenyCode) -> bool {
    matches!(
        code,
        ChainDenyCode::HeadEquivocation | ChainDenyCode::FeedStalled | ChainDenyCode::ChainIdMismatch
    )
}

async fn poll(source: impl HeadSource, timing: FeedTiming, sender: watch::Sender<State>) {
    let start = Instant::now();
    let mut watch = HeadWatch::new(timing.stall_after, Duration::ZERO);
    let mut ticks = interval(timing.poll_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = source.heads().await;
        let now = start.elapsed();
        // A source that fails stands still as well.
        let outcome = match answer {
            Ok(heads) => watch.accept(&heads, now).map(|()| heads),
            Err(fault) => Err(watch.check_progress(now).err().unwrap_or(fault)),
        };
        sender.send_modify(|state| {
            state.note(outcome);
            state.equivocation = watch.equivocation().cloned();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};
    use std::sync::Mutex;

    use alloy::primitives::B256;

    use super::*;
    use crate::anchor::HeadEvidence;
    use crate::header::BlockHeader;
    use crate::testing::header;

    fn heads(latest: u64, finalized: u64, fork: u8) -> Heads {
        let evidence = |number| HeadEvidence {
            header: BlockHeader::parse(header(B256::repeat_byte(fork), number, 1)).unwrap(),
            vouchers: BTreeSet::new(),
        };
        Heads { latest: evidence(latest), finalized: evidence(finalized) }
    }

    /// Answers in turn, the last one for ever.
    struct Script(Mutex<VecDeque<Result<Heads, ChainDeny>>>);

    impl HeadSource for Script {
        async fn heads(&self) -> Result<Heads, ChainDeny> {
            let mut answers = self.0.lock().unwrap();
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
        }
    }

    fn feed(answers: Vec<Result<Heads, ChainDeny>>) -> HeadFeed {
        HeadFeed::spawn(Script(Mutex::new(answers.into())), FeedTiming::default())
    }

    fn outage() -> ChainDeny {
        ChainDeny::new(ChainDenyCode::RpcTimeout, "nothing", "an answer")
    }

    #[tokio::test(start_paused = true)]
    async fn feed__should_have_no_heads_before_the_first_answer_and_say_why() {
        let feed = feed(vec![Err(outage()), Ok(heads(10, 8, 0))]);
        assert_eq!(feed.current().unwrap_err().code, ChainDenyCode::HeadMissing);
        assert_eq!(feed.refreshed().await.unwrap_err().code, ChainDenyCode::RpcTimeout);
        assert_eq!(feed.refreshed().await, Ok(heads(10, 8, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn feed__should_outlive_a_fault_that_says_nothing_about_its_heads() {
        let feed = feed(vec![Ok(heads(10, 8, 0)), Err(outage()), Ok(heads(9, 8, 0)), Ok(heads(11, 9, 0))]);
        feed.refreshed().await.unwrap();
        for fault in [ChainDenyCode::RpcTimeout, ChainDenyCode::HeadRegressed] {
            assert_eq!(feed.refreshed().await, Ok(heads(10, 8, 0)));
            assert_eq!(feed.fault().unwrap().code, fault);
        }
        assert_eq!(feed.refreshed().await, Ok(heads(11, 9, 0)));
        assert_eq!(feed.fault(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn feed__should_lose_its_heads_for_ever_at_an_equivocation() {
        let feed = feed(vec![Ok(heads(10, 8, 0)), Ok(heads(10, 8, 1)), Ok(heads(11, 9, 0))]);
        feed.refreshed().await.unwrap();
        for _ in 0..3 {
            assert_eq!(feed.refreshed().await.unwrap_err().code, ChainDenyCode::HeadEquivocation);
        }
        let Equivocation { first, second } = feed.equivocation().unwrap();
        assert!(first.number() == second.number() && first.hash() != second.hash());
    }

    #[tokio::test(start_paused = true)]
    async fn feed__should_lose_its_heads_while_nothing_new_arrives() {
        for standing in [Ok(heads(10, 8, 0)), Err(outage())] {
            let feed = feed(vec![Ok(heads(10, 8, 0)), standing]);
            feed.refreshed().await.unwrap();
            let stalled = async { while feed.refreshed().await.is_ok() {} };
            let waited = Instant::now();
            stalled.await;
            assert!(waited.elapsed() > STALL_AFTER && waited.elapsed() < STALL_AFTER * 2);
            assert_eq!(feed.current().unwrap_err().code, ChainDenyCode::FeedStalled);
        }
    }
}
