//! Examines providers before they are relied on: what each can serve, and what to change where that is not enough.
//!
//! ```text
//! each provider   chain id, clock, finality, access lists, proof window, and one whole proven read
//! all together    enough distinct hosts, one block at the heights that they share
//! ```
//!
//! Owns what is asked and the advice. Decides nothing: a provider with a clean bill may lie in the next answer, and is then
//! found out by its proofs. Called by an operator through `kmsctl doctor`, and by a node at start.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::anchor::{Anchor, HeadTrust, Level};
use crate::deny::ChainDeny;
use crate::heads::{CONFIRMATIONS, HeadSource, QuorumSource};
use crate::rpc::Rpc;

mod probes;

pub use probes::MAX_PROBED_DEPTH;

/// What is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// It answers, and is on the configured chain.
    Chain,
    /// The latest block is neither old nor from the future by this machine's clock.
    Clock,
    /// Finality: how far behind the finalized block is.
    Finality,
    /// It can say what a call will touch.
    AccessList,
    /// How many blocks back it serves proofs for.
    ProofWindow,
    /// A whole question, answered with proofs.
    ProvenRead,
    /// The providers together make the quorum.
    Quorum,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "chain",
            Self::Clock => "clock",
            Self::Finality => "finality",
            Self::AccessList => "access list",
            Self::ProofWindow => "proof window",
            Self::ProvenRead => "proven read",
            Self::Quorum => "quorum",
        })
    }
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, at a price.
    Costly,
    /// A node would refuse every question.
    Unfit,
}

/// One thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub check: Check,
    /// How serious.
    pub health: Health,
    /// What was found, with its unit.
    pub found: String,
    /// What to change; none where all is well.
    pub advice: Option<String>,
}

impl Finding {
    fn good(check: Check, found: impl fmt::Display) -> Self {
        Self { check, health: Health::Good, found: found.to_string(), advice: None }
    }

    fn costly(check: Check, found: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self { check, health: Health::Costly, found: found.to_string(), advice: Some(advice.into()) }
    }

    fn unfit(check: Check, found: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self { check, health: Health::Unfit, found: found.to_string(), advice: Some(advice.into()) }
    }

    fn refused(check: Check, deny: &ChainDeny) -> Self {
        Self::unfit(check, deny, deny.code.fix())
    }
}

/// What was found at one provider, in the order of the checks. A provider that does not answer has one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkup {
    /// The provider's host name; its URL may hold a key.
    pub provider: String,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// What was found at all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each by itself.
    pub providers: Vec<Checkup>,
    /// All together.
    pub together: Vec<Finding>,
}

impl Report {
    /// The most serious finding: a node would work unless this is [`Health::Unfit`].
    #[must_use]
    pub fn health(&self) -> Health {
        let alone = self.providers.iter().flat_map(|checkup| &checkup.findings);
        alone.chain(&self.together).map(|finding| finding.health).max().unwrap_or(Health::Unfit)
    }
}

/// Examines providers one after the other, then together; `now` in Unix seconds.
pub async fn examine(providers: &[Arc<Rpc>], anchor: &Anchor, now: u64) -> Report {
    let mut checkups = Vec::new();
    for rpc in providers {
        let findings = probes::probe(rpc, anchor, now).await;
        checkups.push(Checkup { provider: rpc.host().to_owned(), findings });
    }
    let together = match anchor.trust() {
        HeadTrust::Dev => Vec::new(),
        HeadTrust::Quorum { threshold, .. } => vec![quorum(providers, anchor, *threshold, now).await],
    };
    Report { providers: checkups, together }
}

async fn quorum(providers: &[Arc<Rpc>], anchor: &Anchor, threshold: usize, now: u64) -> Finding {
    let heads = async {
        let source = QuorumSource::new(providers.to_vec(), anchor.chain_id(), threshold, CONFIRMATIONS)?;
        let heads = source.heads().await?;
        anchor.authenticate(Level::Latest, &heads.latest, now)?;
        anchor.authenticate(Level::Finalized, &heads.finalized, now)?;
        Ok(heads)
    };
    match heads.await {
        Ok(heads) => {
            let (latest, finalized) = (&heads.latest, &heads.finalized);
            Finding::good(
                Check::Quorum,
                format_args!(
                    "{} of {} vouch for block {}, {} for finalized block {}",
                    latest.vouchers.len(),
                    providers.len(),
                    latest.header.number(),
                    finalized.vouchers.len(),
                    finalized.header.number(),
                ),
            )
        }
        Err(deny) => Finding::refused(Check::Quorum, &deny),
    }
}
