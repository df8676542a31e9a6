//! What a node consists of, once it is assembled: what the services share.
//!
//! Owns no logic of its own beyond putting the parts within reach of one another. Everything in it is bounded.

pub mod certificate;
pub mod history;
mod quota;
mod standing;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use kms_attestation::CheckedCollateral;
use kms_attestation::pccs::CollateralCache;
use kms_attestation::platform::Platform;
use kms_attestation::quote::Platform as Hardware;
use kms_chain::ContractReader;
use kms_ledger::record::Identities;
use kms_proto::v1::{NodeEvidence, QuoteBinding};
use kms_verdict::Judge;
use tokio::sync::watch;

use self::certificate::{NodeCertificate, NodeQuote};
use self::history::History;
pub use self::quota::ReleaseLimits;
pub(crate) use self::quota::{Limited, Quotas, Shares};
pub(crate) use self::standing::Standing;
pub use self::standing::{CHECK_AGAIN_AFTER, CHECK_EVERY, COUNTS_FOR};
pub(crate) use self::workers::{Load, Workers};
pub use self::workers::{OVERLOAD_PAUSE, WorkLimits};
use crate::keys::{CertificatePolicy, RootKeys};
use crate::metrics::{Measured, Metrics};
use crate::record::{Books, LogIdentity, Stamp};
use crate::refusal::{NodeCode, Refused};
use crate::witnesses::Witnesses;

/// The version of this software.
pub const SOFTWARE: &str = concat!("onchain-kms/", env!("CARGO_PKG_VERSION"));

/// A node.
pub struct Node {
    pub(crate) judge: Arc<Judge>,
    pub(crate) certificate_policy: CertificatePolicy,
    pub(crate) collateral: CollateralCache,
    pub(crate) chain: ContractReader,
    pub(crate) history: History,
    pub(crate) recorder: Measured,
    pub(crate) stamp: Stamp,
    pub(crate) books: Arc<Books>,
    pub(crate) identities: Identities,
    pub(crate) log: LogIdentity,
    pub(crate) root: RootKeys,
    pub(crate) platform: Platform,
    pub(crate) os_image_manifest: Vec<u8>,
    pub(crate) certificates: watch::Sender<Arc<NodeCertificate>>,
    pub(crate) standing: Standing,
    pub(crate) workers: Workers,
    pub(crate) quotas: Quotas,
    pub(crate) fresh_quotes: governor::DefaultDirectRateLimiter,
    pub(crate) nonce_lifetime: Duration,
    pub(crate) insecure_settings: Vec<String>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) witnesses: Arc<Witnesses>,
}

impl Node {
    /// The time, in Unix seconds: the clock's, but never before what collateral and the chain have proven.
    ///
    /// The chain's part is bounded by `chain.max_future_s`. A head beyond that moves nothing, and is refused as
    /// `head-from-future` by the time that this gives: a node whose clock is behind stops, and its time is not for a quorum of
    /// providers to make.
    pub(crate) fn now(&self) -> u64 {
        let clock = self.collateral.now();
        let heads = self.chain.feed().current().ok();
        heads.map_or(clock, |heads| self.chain.anchor().time(clock, &heads.latest))
    }

    /// Whether keys may leave this node at all. Refused with `log-contradicted`, `log-unwitnessed` or `node-not-allowed`.
    pub(crate) fn may_release(&self) -> Result<(), Refused> {
        self.witnesses.check(self.now())?;
        self.standing.check()
    }

    /// The certificate that new connections are shown.
    pub(crate) fn certificate(&self) -> Arc<NodeCertificate> {
        Arc::clone(&self.certificates.borrow())
    }

    /// Collateral for the hardware that a quote claims. Refused with `collateral-unavailable`.
    pub(crate) async fn collateral(
        &self,
        hardware: &Hardware,
        now: u64,
    ) -> Result<Arc<CheckedCollateral>, Refused> {
        let collateral = self.collateral.get(hardware.fmspc, hardware.ca, now).await;
        collateral.map_err(|unavailable| {
            let (found, expected) = (unavailable.found(), unavailable.expected());
            Refused::new(NodeCode::CollateralUnavailable.into(), found, expected)
        })
    }

    /// This node's evidence, with the collateral that it needs, so that a client need not reach a PCCS.
    pub(crate) async fn evidence(
        &self,
        own: &NodeQuote,
        binding: QuoteBinding,
    ) -> Result<NodeEvidence, Refused> {
        let collateral = self.collateral(&own.hardware, self.now()).await?;
        Ok(NodeEvidence {
            quote: own.quote.clone(),
            event_log: own.event_log.clone(),
            os_image_manifest: self.os_image_manifest.clone(),
            collateral: collateral.json().as_bytes().to_vec(),
            binding: binding.into(),
        })
    }
}
