//! Whether this node may release anything: its own evidence, judged as it judges others', and asked of the chain.
//!
//! A node that governance does not allow, or no longer allows, has no keys to give. It finds out by itself at start and
//! then every minute; an answer that is too old counts as none. One that is not allowed asks sooner: at its start there may
//! be no head yet, and whoever has just allowed it is waiting. Threat: a node that goes on after it was revoked.

use std::sync::Arc;
use std::time::Duration;

use kms_attestation::refusal::Refusal;
use kms_chain::Decision;
use kms_ledger::record::Subject;
use kms_verdict::{Circumstances, NodeEvidence};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Node;
use super::certificate::NodeCertificate;
use crate::record::{Budget, Draft};
use crate::refusal::{Code, NodeCode, Refused};

/// The time between two checks.
pub const CHECK_EVERY: Duration = Duration::from_mins(1);
/// The same while the node is not allowed: a few blocks' proofs a minute, which no provider minds.
pub const CHECK_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How long a check's outcome counts: long enough for a provider's bad minute, far shorter than an operator's attention.
pub const COUNTS_FOR: Duration = Duration::from_mins(5);

/// The last outcome.
pub(crate) struct Standing(watch::Sender<Checked>);

#[derive(Clone)]
struct Checked {
    at: Instant,
    outcome: Result<(), Refused>,
    /// Why not, as a code that does not change from check to check.
    because: Option<Code>,
}

impl Standing {
    /// Not allowed, until it is found to be.
    pub(crate) fn unknown() -> Self {
        let outcome =
            Err(Refused::new(NodeCode::NodeNotAllowed.into(), "not yet checked", "allowed by the contract"));
        Self(watch::Sender::new(Checked { at: Instant::now(), outcome, because: None }))
    }

    /// Refused with `node-not-allowed`, and why, unless the node was found to be allowed a short while ago.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        let checked = self.0.borrow();
        checked.outcome.clone()?;
        let age = checked.at.elapsed();
        if age <= COUNTS_FOR {
            return Ok(());
        }
        let found = format!("last found to be allowed {} s ago", age.as_secs());
        let expected = format!("at most {} s", COUNTS_FOR.as_secs());
        Err(Refused::new(NodeCode::NodeNotAllowed.into(), found, expected))
    }

    /// What changes when a check's outcome does.
    fn gist(&self) -> (bool, Option<Code>) {
        let checked = self.0.borrow();
        (checked.outcome.is_ok(), checked.because)
    }

    /// Takes note of an outcome. A check that could not be made does not take away an earlier outcome: age will.
    pub(crate) fn note(&self, outcome: Result<(), Refused>) {
        let was_allowed = self.0.borrow().outcome.is_ok();
        match outcome {
            Ok(()) => self.set(Ok(()), None),
            Err(refused) if was_allowed && !is_final(&refused) => {}
            Err(refused) => self.set(Err(not_allowed(&refused)), Some(refused.code)),
        }
    }

    fn set(&self, outcome: Result<(), Refused>, because: Option<Code>) {
        self.0.send_replace(Checked { at: Instant::now(), outcome, because });
    }
}

/// Whether the node itself is refused, and not the attempt to find out.
fn is_final(refused: &Refused) -> bool {
    use kms_attestation::refusal::{DenyClass, StableCode as _};
    matches!(
        refused.code.class(),
        DenyClass::Contract | DenyClass::Evidence | DenyClass::Platform | DenyClass::Guest
    )
}

fn not_allowed(why: &Refused) -> Refused {
    Refused::new(NodeCode::NodeNotAllowed.into(), why, "allowed by the contract")
}

impl Node {
    /// Judges this node's own evidence, and asks the chain; what is found counts from now on. Recorded when it changes.
    pub(crate) async fn examine_itself(self: &Arc<Self>) -> Result<(), Refused> {
        let mut draft = Draft::new(Subject::Node, self.moment());
        let outcome = self.examine(&mut draft).await;
        let found = outcome.as_ref().map(drop).map_err(Clone::clone);
        let before = self.standing.gist();
        self.standing.note(found.clone());
        if self.standing.gist() != before {
            self.record_standing(draft, outcome).await;
        }
        found
    }

    async fn examine(self: &Arc<Self>, draft: &mut Draft) -> Result<Decision, Refused> {
        let certificate: Arc<NodeCertificate> = self.certificate();
        let now = draft.now();
        draft.exhibits.quote = Some(certificate.quote().quote.clone().into());
        draft.exhibits.os_image_manifest = Some(self.os_image_manifest.clone().into());
        draft.exhibits.certificate = Some(certificate.der().clone());
        let collateral = self.collateral(&certificate.quote().hardware, now).await?;
        draft.exhibits.collateral = Some(Arc::clone(&collateral));
        let node = Arc::clone(self);
        let attest = move || {
            let own = certificate.quote();
            let evidence = NodeEvidence {
                quote: &own.quote,
                os_image_manifest: &node.os_image_manifest,
                report_data: own.report_data,
            };
            let circumstances = Circumstances { now, out_of_date_since: None };
            node.judge.authenticate_node(&evidence, &collateral, circumstances)
        };
        let attested = self.workers.run(attest).await?.map_err(Refusal::lift)?;
        let reading = self.chain.ask(&attested.question(), now).await.map_err(Refusal::lift)?;
        let decision = attested.conclude(self.judge.anchor(), &reading).map_err(Refusal::lift);
        let (_, witness) = reading.into_parts();
        draft.exhibits.witness = Some(witness);
        decision
    }

    async fn record_standing(&self, draft: Draft, outcome: Result<Decision, Refused>) {
        let recorded = match outcome {
            Ok(decision) => draft.allow(self, &decision).await.map(drop),
            Err(refused) => Err(draft.deny(self, Budget::Own, refused).await),
        };
        if let Err(entered) = recorded {
            tracing::warn!(refused = %entered.refused(), "this node's standing");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn refused(code: NodeCode) -> Refused {
        Refused::new(code.into(), "x", "y")
    }

    fn contract_denied() -> Refused {
        use kms_chain::{ChainDeny, ChainDenyCode};
        ChainDeny::new(ChainDenyCode::ContractDenied, "x", "y").lift()
    }

    #[tokio::test(start_paused = true)]
    async fn standing__should_outlive_checks_that_could_not_be_made_for_a_while_alone() {
        let standing = Standing::unknown();
        assert!(standing.check().is_err());
        standing.set(Ok(()), None);
        // What is asked cannot be found out: providers are down, say.
        for _ in 0..5 {
            advance(CHECK_EVERY).await;
            standing.note(Err(refused(NodeCode::CollateralUnavailable)));
            assert!(standing.check().is_ok());
        }
        advance(Duration::from_secs(1)).await;
        assert!(standing.check().is_err());
        standing.set(Ok(()), None);
        assert!(standing.check().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn standing__should_end_at_once_with_the_contracts_no() {
        let standing = Standing::unknown();
        standing.set(Ok(()), None);
        standing.note(Err(contract_denied()));
        assert!(standing.check().is_err());
        // From then on nothing but a yes counts.
        standing.note(Err(refused(NodeCode::CollateralUnavailable)));
        assert!(standing.check().is_err());
    }
}
