//! The contracts, as a node asks them: heads that are current, providers that stand in for one another, one question.
//!
//! ```text
//! HeadFeed ─▶ current heads ─┐
//! Question, now ─────────────┴─▶ read from a provider ──fault of that provider──▶ read from the next ─▶ Reading
//! ```
//!
//! A provider that fails or lies about one question costs time, not the answer: any provider's answer is believed for
//! its proofs alone. What the chain itself says, and what is wrong with the heads, no other provider would change.
//! Called by the node and by `kmsctl`. Threats: a provider that is down, slow, behind or lying.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kms_attestation::refusal::DenyClass;

use crate::anchor::{Anchor, GrantAt};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::heads::{HeadFeed, Heads};
use crate::question::Question;
use crate::reader::{ReadMemory, Reading, read_with};
use crate::rpc::Rpc;
use crate::witness::Witness;

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
    /// Refused with a code of class `Head`, or with the last provider's fault where every provider failed.
    pub async fn ask(&self, question: &Question, now: u64) -> Result<Reading, ChainDeny> {
        let Heads { latest, finalized } = self.feed.current()?;
        let finalized = match self.anchor.grant_at() {
            GrantAt::Latest => None,
            GrantAt::LatestAndFinalized => Some(finalized),
        };
        let first = self.preferred.load(Ordering::Relaxed);
        let mut fault = None;
        for (index, rpc) in self.in_turn(first) {
            let witness = Witness::new(&self.anchor, question, latest.clone(), finalized.clone(), now);
            match read_with(rpc, &self.anchor, question, witness, &self.memory).await {
                Err(deny) if is_the_providers(&deny) => {
                    tracing::warn!(
                        provider = rpc.host(),
                        code = deny.code.as_str(),
                        "another provider is asked"
                    );
                    fault = Some(deny);
                }
                outcome => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return outcome;
                }
            }
        }
        Err(fault.unwrap_or_else(no_provider))
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
