//! The contracts, as a node asks them: heads that are current, providers that stand in for one another, one question.
//!
//! ```text
//! HeadFeed ─▶ current heads ─┐
//! Question, now ─────────────┴─▶ read from a provider ──fault of that provider──▶ read from the next ─▶ Reading
//!                                                        └──the last one, and a proof was wrong──▶ once more
//! ```
//!
//! A provider that fails or lies about one question costs time, not the answer: any provider's answer is believed for
//! its proofs alone. A proof that does not hold is mostly bad luck, of a provider that answers from the next block: where
//! no provider has answered, the first such one is asked once more. What the chain itself says, and what is wrong with
//! the heads, no other answer would change. Called by the node and by `kmsctl`. Threats: a provider that is down, slow,
//! behind or lying.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kms_attestation::refusal::DenyClass;

use crate::anchor::{Anchor, GrantAt};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::heads::{HeadFeed, Heads};
use crate::question::Question;
use crate::reader::{Reading, read};
use crate::rpc::Rpc;

/// Reads what the contracts say, over several providers.
pub struct ContractReader {
    anchor: Anchor,
    feed: HeadFeed,
    providers: Vec<Arc<Rpc>>,
    /// The provider that answered last, and is asked first.
    preferred: AtomicUsize,
}

impl ContractReader {
    /// A reader of the anchor's contract. Refused with `rpc-config` where there is no provider.
    pub fn new(anchor: Anchor, feed: HeadFeed, providers: Vec<Arc<Rpc>>) -> Result<Self, ChainDeny> {
        if providers.is_empty() {
            return Err(no_provider());
        }
        Ok(Self { anchor, feed, providers, preferred: AtomicUsize::new(0) })
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
    /// Makes at most one read more than there are providers, and waits for nothing in between; a deadline is the caller's
    /// to set, by dropping the future. Refused with a code of class `Head`, or with the fault of the provider that was
    /// asked last where every provider failed.
    pub async fn ask(&self, question: &Question, now: u64) -> Result<Reading, ChainDeny> {
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut fault, mut unproven) = (None, None);
        for (index, rpc) in self.in_turn(first) {
            match self.read_from(index, rpc, question, now).await {
                Err(deny) if is_the_providers(&deny) => {
                    tracing::warn!(
                        provider = rpc.host(),
                        code = deny.code.as_str(),
                        "a provider's answer is not used"
                    );
                    if deny.code.class() == DenyClass::Proof {
                        unproven.get_or_insert((index, rpc));
                    }
                    fault = Some(deny);
                }
                outcome => return outcome,
            }
        }
        match unproven {
            Some((index, rpc)) => self.read_from(index, rpc, question, now).await,
            None => Err(fault.unwrap_or_else(no_provider)),
        }
    }

    /// One read at the heads of this moment. A provider whose answer counts is asked first from now on.
    async fn read_from(
        &self,
        index: usize,
        rpc: &Rpc,
        question: &Question,
        now: u64,
    ) -> Result<Reading, ChainDeny> {
        let Heads { latest, finalized } = self.feed.current()?;
        let finalized = match self.anchor.grant_at() {
            GrantAt::Latest => None,
            GrantAt::LatestAndFinalized => Some(finalized),
        };
        let outcome = read(rpc, &self.anchor, question, latest, finalized, now).await;
        if !matches!(&outcome, Err(deny) if is_the_providers(deny)) {
            self.preferred.store(index, Ordering::Relaxed);
        }
        outcome
    }

    /// Every provider once, from the given one on.
    fn in_turn(&self, first: usize) -> impl Iterator<Item = (usize, &Rpc)> {
        let count = self.providers.len();
        let indices = (first..first + count).map(move |index| index % count);
        indices.filter_map(|index| Some((index, self.providers.get(index)?.as_ref())))
    }
}

fn no_provider() -> ChainDeny {
    ChainDeny::new(ChainDenyCode::RpcConfig, "no provider", "at least one")
}

const fn is_the_providers(deny: &ChainDeny) -> bool {
    matches!(deny.code.class(), DenyClass::Provider | DenyClass::Proof)
}
