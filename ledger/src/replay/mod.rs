//! Deciding again: a record and its evidence give the same record, bit for bit, or say what differs.
//!
//! ```text
//! Record ─▶ policy document ─▶ Judge ─┐
//!        ─▶ quote, log, manifest, ... ─┴▶ verdict ─▶ record::made ─▶ Record ─▶ the same bytes?
//! ```
//!
//! The judge is the node's own (`kms-verdict`), and the record is made of its verdict by the functions that the node
//! makes it with. Nothing is believed but the root of trust that the auditor brings: blobs are checked against their
//! names, and the policy is the document that the record names. No clock and no network. Called by `kmsctl audit`.
//!
//! Threats: a node that records another answer than its rules give; evidence that was changed, mixed or taken away
//! afterwards; a refusal that was none of the evidence's.

mod app;
mod archive;
mod cache;
mod certificate;
mod code;
mod consistency;
mod node;
mod outcome;
mod parallel;
mod rules;
mod started;

use std::sync::Arc;

use kms_attestation::{CheckedCollateral, Collateral, DenyReason, RootOfTrust, Verifier};
use kms_chain::KnownCodes;
use kms_verdict::policy_document::{CertificateTerms, PolicyDocument};
use kms_verdict::{Denial, Judge};

pub use self::archive::{Archive, no_blob, no_record};
use self::cache::Cache;
pub use self::code::{Gap, ReplayCode};
pub use self::outcome::{Difference, Replayed};
pub use self::parallel::{Indices, replay_all};
pub use self::rules::{RULE_CHANGES, RuleChange};
pub use self::started::follow_up;
use crate::blob::BlobId;
use crate::record::{Decision, Event, Outcome, Record, SealedIdentity, Subject, Who};

/// Which log a record stands in: what its key was bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// The origin of its checkpoints.
    pub origin: String,
    /// The key that signed them, where that is known already: the recorded one must be the same.
    pub key: Option<[u8; 32]>,
}

/// Decides records again, under one root of trust.
pub struct Replayer {
    /// One for all policies, so that each platform is remembered once.
    verifier: Arc<Verifier>,
    log: Option<LogIdentity>,
    policies: Cache<Policy>,
    collaterals: Cache<Result<Arc<CheckedCollateral>, DenyReason>>,
    /// Contracts' codes: most witnesses have the same.
    codes: KnownCodes,
}

/// What a policy document says of decisions, and of what is issued.
struct Policy {
    judge: Judge,
    certificates: CertificateTerms,
}

/// A record that is decided again, and where its evidence is.
#[derive(Clone, Copy)]
struct Case<'a> {
    replayer: &'a Replayer,
    archive: &'a dyn Archive,
    index: u64,
    record: &'a Record,
}

impl Replayer {
    /// A replayer that believes this root of trust. Without the log's identity, no start of a node can be replayed.
    #[must_use]
    pub fn new(root: RootOfTrust, log: Option<LogIdentity>) -> Self {
        let verifier = Arc::new(Verifier::new(root));
        let (policies, collaterals, codes) = (Cache::new(), Cache::new(), KnownCodes::default());
        Self { verifier, log, policies, collaterals, codes }
    }

    /// Decides the record at this index again.
    #[must_use]
    pub fn replay(&self, archive: &dyn Archive, index: u64, record: &Record) -> Replayed {
        let case = Case { replayer: self, archive, index, record };
        let replayed = case.replay().unwrap_or_else(|end| end);
        match replayed {
            Replayed::Different(difference) => {
                match rules::explain(RULE_CHANGES, record.node.rules, &difference) {
                    Some(change) => Replayed::RulesChanged { change, difference },
                    None => Replayed::Different(difference),
                }
            }
            other => other,
        }
    }

    /// What a policy document says. A document that cannot be read, or another root of trust, is a gap.
    fn policy(&self, archive: &dyn Archive, policy: BlobId) -> Result<Arc<Policy>, Gap> {
        self.policies.get(policy, || {
            let bytes = archive::fetch(archive, "policy document", policy)?;
            let unreadable = |error: &dyn std::fmt::Display| {
                Gap::new(ReplayCode::PolicyUnreadable, error, "the document that the node wrote")
            };
            let document = PolicyDocument::parse(&bytes).map_err(|refusal| unreadable(&refusal))?;
            let (theirs, ours) = (document.attestation.root_key_id, self.verifier.root().key_id());
            if theirs != ours {
                let expected = format!("root key {ours}");
                return Err(Gap::new(ReplayCode::OtherRoot, format_args!("root key {theirs}"), expected));
            }
            let anchor = document.anchor().map_err(|deny| unreadable(&deny))?;
            let judge = Judge::new(Arc::clone(&self.verifier), document.decision, anchor);
            Ok(Policy { judge, certificates: document.certificates })
        })
    }

    /// Collateral with its signatures checked once; whoever uses it checks its dates.
    fn collateral(
        &self,
        archive: &dyn Archive,
        id: Option<BlobId>,
    ) -> Result<Result<Arc<CheckedCollateral>, DenyReason>, Gap> {
        let unnamed = || Gap::new(ReplayCode::EvidenceUnnamed, "no collateral", "its digest");
        let id = id.ok_or_else(unnamed)?;
        let checked = self.collaterals.get(id, || {
            let bytes = archive::fetch(archive, "collateral", id)?;
            let checked = Collateral::parse(&bytes)
                .and_then(|parsed| CheckedCollateral::check_signatures(self.verifier.root(), parsed));
            Ok::<_, Gap>(checked.map(Arc::new))
        })?;
        Ok((*checked).clone())
    }
}

impl Case<'_> {
    /// What came of it; either way, so that the first finding ends it.
    fn replay(self) -> Result<Replayed, Replayed> {
        rules::check(self.record.node.rules)?;
        consistency::check(self.record)?;
        match &self.record.event {
            Event::Stopped | Event::Unstored(_) => Ok(Replayed::Stated),
            Event::Started(started) => self.started(started),
            Event::Decision(decision) => match decision.subject {
                Subject::AppKeys => self.app_keys(decision),
                Subject::AppCertificate => self.app_certificate(decision),
                Subject::Node => self.node(decision),
            },
        }
    }

    fn policy(&self) -> Result<Arc<Policy>, Gap> {
        self.replayer.policy(self.archive, self.record.node.policy)
    }

    fn need(&self, what: &str, id: Option<BlobId>) -> Result<Arc<[u8]>, Gap> {
        archive::need(self.archive, what, id)
    }

    /// Who asked, where that is sealed. A blob that is no sealed identity could not have been made of any.
    fn sealed(&self, decision: &Decision) -> Result<Option<SealedIdentity>, Replayed> {
        let Who::Sealed(id) = decision.who else { return Ok(None) };
        let unavailable = |gap: Gap| match gap.code {
            ReplayCode::BlobMissing => Gap::new(ReplayCode::IdentityUnavailable, id, "the sealed blob"),
            _ => gap,
        };
        let sealed = archive::fetch(self.archive, "sealed identity", id).map_err(unavailable)?;
        let malformed = |refusal| Replayed::different("who", refusal, "a sealed identity");
        SealedIdentity::decode(&sealed).map(Some).map_err(malformed)
    }

    /// Puts the record together again and compares its bytes.
    fn compare(&self, decision: &Decision, who: Who, outcome: Outcome) -> Result<Replayed, Replayed> {
        let rebuilt = Decision { who, outcome, ..decision.clone() };
        let rebuilt = match self.sealed(decision)? {
            Some(sealed) => rebuilt.seal(sealed.salt).0,
            None => rebuilt,
        };
        if let Some(difference) = consistency::difference(decision, &rebuilt) {
            return Err(Replayed::Different(difference));
        }
        let again = Record { event: Event::Decision(Box::new(rebuilt)), ..self.record.clone() };
        if again.encode() == self.record.encode() {
            return Ok(Replayed::Identical);
        }
        Err(Replayed::different("record", "other bytes", "the bytes of the same record"))
    }
}

/// Evidence that cannot even be read is refused as the node would have refused it.
fn refused(reason: DenyReason) -> Outcome {
    Outcome::deny(&reason.lift::<kms_verdict::Code>())
}

/// The outcome of a verdict that says no.
fn denied(denial: &Denial) -> Outcome {
    Outcome::deny(denial)
}
