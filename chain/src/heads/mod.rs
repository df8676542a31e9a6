//! Where heads come from, and what is refused of them before anything is read at them.
//!
//! ```text
//! HeadSource (quorum | dev | later: light client, L2) ─▶ Heads (evidence) ─▶ HeadWatch ─▶ HeadFeed ─▶ reader, witness
//! ```
//!
//! A source gathers evidence; [`Anchor::authenticate`](crate::Anchor::authenticate) alone turns evidence into a verified
//! head, and bounds its age. [`HeadWatch`] remembers what was seen, because a regression, an equivocation or a
//! frozen feed shows only over time. Threats: providers that fall back, lie to some, or are held back by the host.

use std::future::Future;

use crate::anchor::HeadEvidence;
use crate::deny::ChainDeny;

mod feed;
mod gather;
pub(crate) mod provider;
mod quorum;
mod voices;
mod watch;

pub use feed::{FeedTiming, HeadFeed, POLL_EVERY};
pub use gather::GRACE;
pub use quorum::{CONFIRMATIONS, DevSource, QuorumSource};
pub use watch::{Equivocation, HeadWatch, STALL_AFTER};

/// The two heads of a chain at one time, with the evidence for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// The latest block less the confirmations.
    pub latest: HeadEvidence,
    /// The finalized block.
    pub finalized: HeadEvidence,
}

/// Something that can say where the chain is.
pub trait HeadSource {
    /// The heads now, with evidence that the anchor can check.
    fn heads(&self) -> impl Future<Output = Result<Heads, ChainDeny>> + Send;
}
