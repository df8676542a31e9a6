//! The contracts, as a node asks them: heads that are current, providers that stand in for one another, one question.
//!
//! ```text
//! HeadFeed ─▶ current heads ─┐
//! Question, now ─────────────┴─▶ read from a provider ──its fault, or no answer for a while──▶ from the next as well ─▶ Reading
//!                                                        └──the last one, and a proof was wrong──▶ once more
//! ```
//!
//! A provider that fails or lies about one question costs time, not the answer: any provider's answer is believed for
//! its proofs alone. One that is silent costs [`ALONE_FOR`], and may still answer: whoever is first counts. A proof that does not hold is mostly bad luck, of a provider that answers from the next block: where
//! no provider has answered, the first such one is asked once more. What the chain itself says, and what is wrong with
//! the heads, no other answer would change. Called by the node and by guests that pin the chain. Threats: a provider that
//! is down, silent, slow, behind or lying.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kms_attestation::refusal::DenyClass;
use tokio::time::timeout;

use crate::anchor::{Anchor, GrantAt, HeadEvidence, HeadTrust};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::heads::{DevSource, FeedTiming, HeadFeed, Heads, QuorumSource};
use crate::question::Question;
use crate::reader::{InfoReading, ReadMemory, Reading, read_kms_info, read_with};
use crate::rpc::Rpc;
use crate::witness::Witness;

/// How long a provider is asked alone before the next one is asked as well. A read takes an honest provider two rounds of
/// 50-500 ms; a request of the node's callers has 20 s, so that several silent providers leave time for the others.
pub const ALONE_FOR: Duration = Duration::from_secs(2);

/// Reads what the contracts say, over several providers.
pub struct ContractReader {
    anchor: Anchor,
    feed: HeadFeed,
    providers: Vec<Arc<Rpc>>,
    /// The provider that answered last, and is asked first.
    preferred: AtomicUsize,
    memory: ReadMemory,
}

impl ContractReader {
    /// A reader of the anchor's contract. Refused with `rpc-config` where there is no provider.
    pub fn new(anchor: Anchor, feed: HeadFeed, providers: Vec<Arc<Rpc>>) -> Result<Self, ChainDeny> {
        if providers.is_empty() {
            return Err(no_provider());
        }
        Ok(Self { anchor, feed, providers, preferred: AtomicUsize::new(0), memory: ReadMemory::default() })
    }

    /// The same, with heads from the source that the anchor's trust needs: the agreement of the providers, or a development
    /// chain's only one. Needs a tokio runtime. Refused with `rpc-config`, `head-unauthenticated` or `dev-chain-only`.
    pub fn spawn(
        anchor: Anchor,
        providers: Vec<Arc<Rpc>>,
        confirmations: u64,
        timing: FeedTiming,
    ) -> Result<Self, ChainDeny> {
        let feed = match anchor.trust() {
            HeadTrust::Dev => {
                let provider = providers.first().ok_or_else(no_provider)?;
                HeadFeed::spawn(DevSource::new(Arc::clone(provider))?, timing)
            }
            HeadTrust::Quorum { threshold, .. } => {
                let (all, chain_id) = (providers.clone(), anchor.chain_id());
                HeadFeed::spawn(QuorumSource::new(all, chain_id, *threshold, confirmations)?, timing)
            }
        };
        Self::new(anchor, feed, providers)
    }

    /// What is believed.
    #[must_use]
    pub const fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Where the chain is.
    #[must_use]
    pub const fn feed(&self) -> &HeadFeed {
        &self.feed
    }

    /// Asks at the heads as they are now; `now` in Unix seconds.
    ///
    /// Makes at most one read more than there are providers; a deadline is the caller's to set, by dropping the future.
    /// Refused with a code of class `Head`, or with the fault of the provider that failed last where every provider failed;
    /// never with one of class `Contract`, which is a decision with a witness.
    pub async fn ask(&self, question: &Question, now: u64) -> Result<Reading, ChainDeny> {
        let attempt = async |rpc: &Rpc| self.read(rpc, question, now).await;
        let Failed { fault, unproven } = match self.first_answer(&attempt).await {
            Ok(outcome) => return outcome,
            Err(failed) => failed,
        };
        let Some((index, rpc)) = unproven else { return Err(fault.unwrap_or_else(no_provider)) };
        let outcome = attempt(rpc).await;
        self.settle(index, rpc, outcome).into_result()
    }

    async fn read(&self, rpc: &Rpc, question: &Question, now: u64) -> Result<Reading, ChainDeny> {
        let (latest, finalized) = self.heads()?;
        let witness = Witness::new(&self.anchor, question, latest, finalized, now);
        read_with(rpc, &self.anchor, question, witness, &self.memory).await
    }

    /// Reads the root public keys that the contract publishes; `now` in Unix seconds. Refused as [`Self::ask`] is, or with
    /// what is wrong with them. No provider is asked twice: whoever reads this tries again.
    pub async fn kms_info(&self, now: u64) -> Result<InfoReading, ChainDeny> {
        let attempt = async |rpc: &Rpc| {
            let (latest, finalized) = self.heads()?;
            read_kms_info(rpc, &self.anchor, latest, finalized, now).await
        };
        let answered = self.first_answer(attempt).await;
        answered.unwrap_or_else(|failed| Err(failed.fault.unwrap_or_else(no_provider)))
    }

    /// The first answer that counts. A provider that fails, or is silent for a while, has the next one asked as well.
    async fn first_answer<'a, T, F>(
        &'a self,
        attempt: impl Fn(&'a Rpc) -> F,
    ) -> Result<Result<T, ChainDeny>, Failed<'a>>
    where
        F: Future<Output = Result<T, ChainDeny>>,
    {
        let (mut turn, mut asked) = (self.in_turn(), FuturesUnordered::new());
        let (mut failed, mut last_asked) = (Failed { fault: None, unproven: None }, None);
        loop {
            match turn.next() {
                Some((index, rpc)) => {
                    let answer = attempt(rpc);
                    asked.push(async move { (index, rpc, answer.await) });
                    last_asked = Some(rpc.host());
                }
                None if asked.is_empty() => return Err(failed),
                None => {}
            }
            let Ok(Some((index, rpc, outcome))) = timeout(ALONE_FOR, asked.next()).await else {
                if let Some(provider) = last_asked.take() {
                    tracing::warn!(provider, "a provider has not answered for a while");
                }
                continue;
            };
            last_asked = None;
            match self.settle(index, rpc, outcome) {
                Settled::Answer(outcome) => return Ok(outcome),
                Settled::Fault(deny) => failed.note(index, rpc, deny),
            }
        }
    }

    /// The heads to ask at.
    fn heads(&self) -> Result<(HeadEvidence, Option<HeadEvidence>), ChainDeny> {
        let Heads { latest, finalized } = self.feed.current()?;
        let finalized = match self.anchor.grant_at() {
            GrantAt::Latest => None,
            GrantAt::LatestAndFinalized => Some(finalized),
        };
        Ok((latest, finalized))
    }

    /// Whether a provider's answer counts, or another one is to be asked.
    fn settle<T>(&self, index: usize, rpc: &Rpc, outcome: Result<T, ChainDeny>) -> Settled<T> {
        match outcome {
            Err(deny) if is_the_providers(&deny) => {
                let (provider, code) = (rpc.host(), deny.code.as_str());
                tracing::warn!(provider, code, "a provider's answer is not used");
                Settled::Fault(deny)
            }
            outcome => {
                self.preferred.store(index, Ordering::Relaxed);
                Settled::Answer(outcome)
            }
        }
    }

    /// Every provider once, from the preferred one on.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &Rpc)> {
        let (first, count) = (self.preferred.load(Ordering::Relaxed), self.providers.len());
        let indices = (first..first + count).map(move |index| index % count);
        indices.filter_map(|index| Some((index, self.providers.get(index)?.as_ref())))
    }
}

/// Every provider failed, or there is none.
struct Failed<'a> {
    /// The last fault.
    fault: Option<ChainDeny>,
    /// The first provider whose proof was wrong.
    unproven: Option<(usize, &'a Rpc)>,
}

impl<'a> Failed<'a> {
    fn note(&mut self, index: usize, rpc: &'a Rpc, deny: ChainDeny) {
        if deny.code.class() == DenyClass::Proof {
            self.unproven.get_or_insert((index, rpc));
        }
        self.fault = Some(deny);
    }
}

/// What became of asking one provider.
enum Settled<T> {
    /// What the chain says, or what no other provider would change.
    Answer(Result<T, ChainDeny>),
    /// A fault of this provider.
    Fault(ChainDeny),
}

impl<T> Settled<T> {
    fn into_result(self) -> Result<T, ChainDeny> {
        match self {
            Self::Answer(outcome) => outcome,
            Self::Fault(deny) => Err(deny),
        }
    }
}

fn no_provider() -> ChainDeny {
    ChainDeny::new(ChainDenyCode::RpcConfig, "no provider", "at least one")
}

const fn is_the_providers(deny: &ChainDeny) -> bool {
    matches!(deny.code.class(), DenyClass::Provider | DenyClass::Proof)
}
