//! What a record will say, as far as it is known.

use kms_attestation::refusal::StableCode as _;
use kms_attestation::{BootIdentity, SessionBinding};
use kms_chain::Decision as ChainDecision;
use kms_ledger::record::{Binding, Decision, Event, Evidence, Identities, Outcome, Subject, Who};
use kms_ledger::store::{Appended, Priority};

use super::Moment;
use super::books::{Budget, Entered};
use super::exhibits::Exhibits;
use crate::node::Node;
use crate::refusal::{NodeCode, Refused};

/// A decision on its way to the log, with its evidence. It ends in the log or in its counts: what is left of it then is an
/// [`Appended`] or an [`Entered`].
pub(crate) struct Draft {
    decision: Box<Decision>,
    /// What was presented and looked up.
    pub(crate) exhibits: Box<Exhibits>,
    moment: Moment,
}

impl Draft {
    /// A draft about something without evidence so far.
    pub(crate) fn new(subject: Subject, moment: Moment) -> Self {
        let unknown = Outcome::Deny { code: String::new(), found: String::new(), expected: String::new() };
        let decision = Box::new(Decision {
            subject,
            binding: None,
            release: None,
            evidence: Evidence::default(),
            out_of_date_since: None,
            who: Who::Unknown,
            outcome: unknown,
        });
        Self { decision, exhibits: Box::default(), moment }
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

    pub(crate) fn out_of_date_since(&mut self, since: Option<u64>) {
        self.decision.out_of_date_since = since;
    }

    pub(crate) fn identify(&mut self, identity: &BootIdentity) {
        self.decision.who = Who::of(Some(identity));
    }

    /// Records that it is allowed, by what the chain said. A release is refused here once more if the node may not make any:
    /// a decision takes a while, in which a witness may have spoken. Refused with `record-unavailable` too.
    pub(crate) async fn allow(self, node: &Node, chain: &ChainDecision) -> Result<Appended, Entered> {
        let subject = self.decision.subject;
        if subject != Subject::Node {
            node.may_release().map_err(|refused| node.books.count(refused))?;
        }
        let appended = self.append(node, Outcome::allow(subject, chain), Priority::Release).await;
        let appended = appended.map_err(|refused| node.books.count(refused))?;
        if subject != Subject::Node {
            node.metrics.release_recorded(subject);
        }
        Ok(appended)
    }

    /// Records a refusal and gives it back; or why it could not be recorded. Beyond its budget it is only counted.
    pub(crate) async fn deny(self, node: &Node, budget: Budget, refused: Refused) -> Entered {
        if !node.books.take(budget, refused.code.as_str()) {
            return node.books.count(refused);
        }
        match (self.append(node, Outcome::deny(&refused), budget.priority()).await, budget) {
            (Ok(_), _) => node.books.recorded(refused),
            (Err(unrecorded), Budget::Device(_) | Budget::Own) => node.books.count(unrecorded),
            // What proved nothing is refused in any case; that its sample is not kept changes nothing for the caller.
            (Err(_), Budget::Sample) => node.books.count(refused),
        }
    }

    async fn append(self, node: &Node, outcome: Outcome, priority: Priority) -> Result<Appended, Refused> {
        let Self { decision, exhibits, moment } = self;
        let (evidence, mut blobs) = exhibits.named();
        let mut decision = Decision { evidence, outcome, ..*decision };
        if node.identities == Identities::Sealed {
            let (sealed, opening) = decision.seal(salt()?);
            decision = sealed;
            blobs.extend(opening);
        }
        let event = Event::Decision(Box::new(decision));
        let appended = node.recorder.append(node.entry(moment, event, blobs, priority)).await;
        appended.map_err(unrecorded)
    }
}

/// What hides an identity behind its digest.
fn salt() -> Result<[u8; 32], Refused> {
    let mut salt = [0; 32];
    let failed = |_| Refused::new(NodeCode::Internal.into(), "no randomness", "a salt");
    getrandom::fill(&mut salt).map_err(failed)?;
    Ok(salt)
}

/// Refused: the decision is not on disk.
pub(crate) fn unrecorded(fault: impl std::fmt::Display) -> Refused {
    Refused::new(NodeCode::RecordUnavailable.into(), fault, "a record on disk")
}
