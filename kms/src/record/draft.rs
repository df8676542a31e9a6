//! What a record will say, as far as it is known.

use std::sync::Arc;

use bytes::Bytes;
use kms_attestation::refusal::StableCode as _;
use kms_attestation::{BootIdentity, CheckedCollateral, SessionBinding};
use kms_chain::{Decision as ChainDecision, Witness};
use kms_ledger::record::{Binding, Decision, Event, Evidence, Outcome, Subject, Who};
use kms_ledger::store::{Appended, Priority, StoreFault};
use kms_ledger::{Blob, BlobId, witness_blob};

use super::Moment;
use super::books::Budget;
use crate::node::Node;
use crate::refusal::{NodeCode, Refused};

/// A decision on its way to the log, with its evidence.
#[derive(Clone)]
pub(crate) struct Draft {
    decision: Decision,
    blobs: Vec<Blob>,
    moment: Moment,
}

impl Draft {
    /// A draft about something without evidence so far.
    pub(crate) fn new(subject: Subject, moment: Moment) -> Self {
        let unknown = Outcome::Deny { code: String::new(), found: String::new(), expected: String::new() };
        let decision = Decision {
            subject,
            binding: None,
            release: None,
            evidence: Evidence::default(),
            out_of_date_since: None,
            who: Who::Unknown,
            outcome: unknown,
        };
        Self { decision, blobs: Vec::new(), moment }
    }

    /// The time of the decision, in Unix seconds.
    pub(crate) const fn now(&self) -> u64 {
        self.moment.time
    }

    pub(crate) fn bind(&mut self, binding: &SessionBinding) {
        self.decision.binding = Some(Binding::from(binding));
    }

    /// The release on the same connection.
    pub(crate) const fn follow(&mut self, release: u64) {
        self.decision.release = Some(release);
    }

    pub(crate) fn quote(&mut self, bytes: Bytes) {
        self.decision.evidence.quote = Some(self.keep(Blob::new(bytes)));
    }

    pub(crate) fn event_log(&mut self, bytes: Bytes) {
        self.decision.evidence.event_log = Some(self.keep(Blob::new(bytes)));
    }

    pub(crate) fn os_image_manifest(&mut self, bytes: Bytes) {
        self.decision.evidence.os_image_manifest = Some(self.keep(Blob::new(bytes)));
    }

    pub(crate) fn certificate(&mut self, der: Bytes) {
        self.decision.evidence.certificate = Some(self.keep(Blob::new(der)));
    }

    pub(crate) fn collateral(&mut self, node: &Node, collateral: &Arc<CheckedCollateral>) {
        self.decision.evidence.collateral = Some(self.keep(node.collateral_blobs.blob(collateral)));
    }

    pub(crate) fn witness(&mut self, witness: &Witness) {
        self.decision.evidence.witness = Some(self.keep(witness_blob(witness)));
    }

    pub(crate) fn out_of_date_since(&mut self, since: Option<u64>) {
        self.decision.out_of_date_since = since;
    }

    pub(crate) fn identify(&mut self, identity: &BootIdentity) {
        self.decision.who = Who::of(Some(identity));
    }

    fn keep(&mut self, blob: Blob) -> BlobId {
        let id = blob.id();
        self.blobs.push(blob);
        id
    }

    /// Records that it is allowed, by what the chain said. A release is refused here once more if the node may not make any:
    /// a decision takes a while, in which a witness may have spoken.
    pub(crate) async fn allow(&self, node: &Node, chain: &ChainDecision) -> Result<Appended, Refused> {
        if self.decision.subject != Subject::Node {
            node.may_release().inspect_err(|refused| node.books.count(refused.code.as_str()))?;
        }
        let outcome = Outcome::allow(self.decision.subject, chain);
        let appended =
            self.append(node, outcome, Priority::Release).await.map_err(|fault| unrecorded(&fault))?;
        if self.decision.subject != Subject::Node {
            node.metrics.release_recorded(self.decision.subject);
        }
        Ok(appended)
    }

    /// Records a refusal and gives it back; or why it could not be recorded. Beyond its budget it is only counted.
    pub(crate) async fn deny(&self, node: &Node, budget: Budget, refused: Refused) -> Refused {
        if !node.books.take(budget, refused.code.as_str()) {
            return refused;
        }
        let outcome = Outcome::deny(&refused);
        match (self.append(node, outcome, Priority::Other).await, budget) {
            (Err(fault), Budget::Device(_) | Budget::Own) => unrecorded(&fault),
            // What proved nothing is refused in any case; that its sample is not kept changes nothing for the caller.
            (Err(_), Budget::Sample) => refused,
            (Ok(_), _) => {
                node.metrics.denial_recorded(refused.code.as_str());
                refused
            }
        }
    }

    async fn append(
        &self,
        node: &Node,
        outcome: Outcome,
        priority: Priority,
    ) -> Result<Appended, StoreFault> {
        let decision = Decision { outcome, ..self.decision.clone() };
        let event = Event::Decision(Box::new(decision));
        node.recorder.append(node.entry(self.moment, event, self.blobs.clone(), priority)).await
    }
}

/// Refused: the decision is not on disk.
pub(crate) fn unrecorded(fault: impl std::fmt::Display) -> Refused {
    Refused::new(NodeCode::RecordUnavailable.into(), fault, "a record on disk")
}
