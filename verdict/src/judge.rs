//! The steps from evidence to a verdict. Each arrow is a type that only the step before it makes.
//!
//! What refutes evidence cheaply comes first: a quote that was made for another session is refused by its own words,
//! before any signature is verified. What a quote claims counts for nothing until then.

use std::sync::Arc;

use kms_attestation::ids::OsImageHash;
use kms_attestation::{
    AuthenticQuote, BootIdentity, CheckedCollateral, DenyReason, EventLog, OsImageManifest, VerifiedQuote,
    Verifier, bound_quote,
};
use kms_chain::{
    Anchor, AppBootInfo, ChainDeny, ChainDenyCode, Decision, Question, Reading, Witness, app_boot_info,
    kms_boot_info, replay,
};

use crate::evidence::{BootEvidence, Circumstances, NodeEvidence, SessionQuote};
use crate::policy::{DecisionPolicy, PhaseRule};
use crate::verdict::{Allowed, Verdict};

/// What decides: a root of trust, a policy, and what is believed of the chain. Constant over a node's life.
pub struct Judge {
    verifier: Arc<Verifier>,
    policy: DecisionPolicy,
    anchor: Anchor,
}

impl Judge {
    /// A judge. Judges that share a verifier share what it remembers of platforms.
    #[must_use]
    pub fn new(verifier: impl Into<Arc<Verifier>>, policy: DecisionPolicy, anchor: Anchor) -> Self {
        Self { verifier: verifier.into(), policy, anchor }
    }

    /// What verifies quotes.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The operator's policy.
    #[must_use]
    pub const fn policy(&self) -> &DecisionPolicy {
        &self.policy
    }

    /// What is believed of the chain.
    #[must_use]
    pub const fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Establishes that the quote is genuine. Refused with a code of `kms-attestation`.
    pub fn authenticate(
        &self,
        quote: &SessionQuote,
        collateral: &CheckedCollateral,
        now: u64,
    ) -> Result<GenuineQuote, DenyReason> {
        let quote = self.verifier.authenticate(quote.quote(), collateral, now)?;
        Ok(GenuineQuote { quote, now })
    }

    /// Establishes what a KMS node is: this one, before it releases anything, or a peer. Refused with a code of
    /// `kms-attestation`.
    pub fn authenticate_node(
        &self,
        evidence: &NodeEvidence<'_>,
        collateral: &CheckedCollateral,
        circumstances: Circumstances,
    ) -> Result<AttestedNode, DenyReason> {
        let quote = bound_quote(self.verifier.parse(evidence.quote)?, evidence.report_data)?;
        let manifest = OsImageManifest::parse(evidence.os_image_manifest)?;
        let Circumstances { now, out_of_date_since } = circumstances;
        let quote = self.verifier.authenticate(&quote, collateral, now)?;
        manifest.check_runs(quote.td())?;
        let quote = quote.appraise(&self.policy.platform, now, out_of_date_since)?;
        Ok(AttestedNode { boot_info: kms_boot_info(&quote, manifest.hash()), now })
    }

    /// Everything before the chain: who asks, on which hardware, and whether that is accepted; with how far that came where
    /// it is not.
    pub fn attest(
        &self,
        evidence: &BootEvidence<'_>,
        collateral: &CheckedCollateral,
        circumstances: Circumstances,
    ) -> Result<AttestedApp, Unattested> {
        let Circumstances { now, out_of_date_since } = circumstances;
        let app = evidence
            .session_quote(&self.verifier)
            .and_then(|quote| self.authenticate(&quote, collateral, now))
            .and_then(|genuine| genuine.identify(&self.policy, evidence))
            .map_err(|reason| Unattested { identity: None, reason })?;
        let identity = app.identity.clone();
        let refused = |reason| Unattested { identity: Some(Box::new(identity)), reason };
        app.appraise(&self.policy, out_of_date_since).map_err(refused)
    }

    /// The whole decision about an app, from what a record holds.
    #[must_use]
    pub fn decide(
        &self,
        evidence: &BootEvidence<'_>,
        collateral: &CheckedCollateral,
        witness: &Witness,
        circumstances: Circumstances,
    ) -> Verdict {
        match self.attest(evidence, collateral, circumstances) {
            Ok(attested) => attested.conclude_from(&self.anchor, witness),
            Err(Unattested { reason, .. }) => Verdict::Deny(reason.lift()),
        }
    }

    /// What the contract says to a question that evidence led to before, at a later time (Unix seconds): an app's certificate
    /// follows from the release on its connection, and the chain is asked anew.
    pub fn conclude_later(
        &self,
        question: &Question,
        witness: &Witness,
        now: u64,
    ) -> Result<Decision, ChainDeny> {
        judge_decision(replay(&self.anchor, witness)?, question, now)
    }
}

/// Why there is no [`AttestedApp`], and who asked as far as that was proven.
#[derive(Debug, Clone)]
pub struct Unattested {
    /// Who asked: none unless quote, event log and OS image were all in order.
    pub identity: Option<Box<BootIdentity>>,
    /// The first reason.
    pub reason: DenyReason,
}

/// A quote that real hardware made for this session. What runs there is open.
#[derive(Debug, Clone)]
pub struct GenuineQuote {
    quote: AuthenticQuote,
    now: u64,
}

impl GenuineQuote {
    /// The hardware and its state.
    #[must_use]
    pub const fn quote(&self) -> &AuthenticQuote {
        &self.quote
    }

    /// Establishes who asks, by the event log and the OS image's manifest that belong to the quote. Refused with a code of
    /// `kms-attestation`.
    pub fn identify(
        self,
        policy: &DecisionPolicy,
        evidence: &BootEvidence<'_>,
    ) -> Result<AuthenticApp, DenyReason> {
        let Self { quote, now } = self;
        let log = EventLog::parse(evidence.event_log)?;
        let manifest = OsImageManifest::parse(evidence.os_image_manifest)?;
        let identity = BootIdentity::extract(&quote, &log)?;
        if policy.boot_phase == PhaseRule::Booting {
            identity.check_booting()?;
        }
        manifest.check_runs(quote.td())?;
        Ok(AuthenticApp { quote, identity, os_image: manifest.hash(), now })
    }
}

/// An app that is proven to be who it is, on hardware whose state is known. Whether that state is accepted is open.
#[derive(Debug, Clone)]
pub struct AuthenticApp {
    quote: AuthenticQuote,
    identity: BootIdentity,
    os_image: OsImageHash,
    now: u64,
}

impl AuthenticApp {
    /// The quote, to look up what is remembered of its platform.
    #[must_use]
    pub const fn quote(&self) -> &AuthenticQuote {
        &self.quote
    }

    /// Who asks.
    #[must_use]
    pub const fn identity(&self) -> &BootIdentity {
        &self.identity
    }

    /// Accepts the platform's state, or refuses it by policy.
    pub fn appraise(
        self,
        policy: &DecisionPolicy,
        out_of_date_since: Option<u64>,
    ) -> Result<AttestedApp, DenyReason> {
        let Self { quote, identity, os_image, now } = self;
        let quote: VerifiedQuote = quote.appraise(&policy.platform, now, out_of_date_since)?;
        let boot_info = app_boot_info(&identity, &quote, os_image);
        Ok(AttestedApp { identity, boot_info, now })
    }
}

/// An app on accepted hardware. Whether its owner allows it is for the chain to say.
#[derive(Debug, Clone)]
pub struct AttestedApp {
    identity: BootIdentity,
    boot_info: AppBootInfo,
    now: u64,
}

impl AttestedApp {
    /// Who asks.
    #[must_use]
    pub const fn identity(&self) -> &BootIdentity {
        &self.identity
    }

    /// What the contracts are to be asked.
    #[must_use]
    pub fn question(&self) -> Question {
        Question::App(self.boot_info.clone())
    }

    /// The verdict, by a reading under that anchor which must answer this question at this time. It is the verdict of
    /// [`Judge::decide`] for the reading's witness.
    #[must_use]
    pub fn conclude(self, anchor: &Anchor, reading: &Reading) -> Verdict {
        self.verdict(reading.decision_under(anchor).cloned())
    }

    /// The same from a witness alone, which is executed: the auditor's way.
    #[must_use]
    pub fn conclude_from(self, anchor: &Anchor, witness: &Witness) -> Verdict {
        self.verdict(replay(anchor, witness).map_err(ChainDeny::from))
    }

    fn verdict(self, decision: Result<Decision, ChainDeny>) -> Verdict {
        match decision.and_then(|decision| judge_decision(decision, &self.question(), self.now)) {
            Err(deny) => Verdict::Deny(deny.lift()),
            Ok(decision) => {
                let Self { identity, boot_info, .. } = self;
                Verdict::Allow(Box::new(Allowed { identity, boot_info, decision }))
            }
        }
    }
}

/// A KMS node on accepted hardware. Whether governance allows it is for the chain to say.
#[derive(Debug, Clone)]
pub struct AttestedNode {
    boot_info: AppBootInfo,
    now: u64,
}

impl AttestedNode {
    /// What the contract is to be asked.
    #[must_use]
    pub fn question(&self) -> Question {
        Question::Kms(self.boot_info.clone())
    }

    /// What the contract said, if it allows the node; by a reading under that anchor which must answer this question at
    /// this time.
    pub fn conclude(&self, anchor: &Anchor, reading: &Reading) -> Result<Decision, ChainDeny> {
        judge_decision(reading.decision_under(anchor)?.clone(), &self.question(), self.now)
    }

    /// The same from a witness alone, which is executed: the auditor's way.
    pub fn conclude_from(&self, anchor: &Anchor, witness: &Witness) -> Result<Decision, ChainDeny> {
        judge_decision(replay(anchor, witness)?, &self.question(), self.now)
    }
}

/// Refuses a decision about something else, and one that says no.
fn judge_decision(decision: Decision, question: &Question, now: u64) -> Result<Decision, ChainDeny> {
    if decision.question != *question {
        let found = "the answer to a question about another boot";
        return Err(ChainDeny::new(ChainDenyCode::WitnessOtherQuestion, found, "one about this boot"));
    }
    if decision.clock != now {
        let found = format!("a witness of {}", decision.clock);
        return Err(ChainDeny::new(ChainDenyCode::WitnessOtherTime, found, now));
    }
    match decision.denial {
        Some(denial) => Err(denial),
        None => Ok(decision),
    }
}
