//! Keys for an app, decided again.
//!
//! What the evidence proves is always executed, as far as the decision went. A denial that rests on the node's own state
//! (a limit, a head that is too old, a provider that is down) cannot be shown by evidence: then everything before it must
//! hold, and who asked must be who is recorded.

use kms_attestation::{DenyReason, Role, SessionBinding};
use kms_chain::{ChainDeny, Witness};
use kms_verdict::{AttestedApp, BootEvidence, Circumstances, SessionQuote, Unattested, Verdict};

use super::code::{Gap, ReplayCode};
use super::consistency::{Rests, rests};
use super::outcome::Replayed;
use super::{Case, denied, refused};
use crate::blob::BlobId;
use crate::record::{Binding, Decision, Outcome, SealedIdentity, Who};

impl Case<'_> {
    pub(super) fn app_keys(self, decision: &Decision) -> Result<Replayed, Replayed> {
        if decision.evidence.collateral.is_none() {
            return match self.session_quote(decision)? {
                Err(reason) => self.compare(decision, Who::Unknown, refused(reason)),
                Ok(_) => self.for_want_of_collateral(decision),
            };
        }
        let app = match self.attest(decision)? {
            Ok(app) => app,
            Err(unattested) => return self.unattested(decision, &unattested),
        };
        let who = Who::of(Some(app.identity()));
        let Some(witness) = decision.evidence.witness else {
            return self.without_witness(decision, who);
        };
        let policy = self.policy()?;
        let judge = &policy.judge;
        let outcome = match self.witness(witness)? {
            Err(deny) => denied(&deny.lift()),
            Ok(witness) => match app.conclude_from(judge.anchor(), &witness) {
                Verdict::Allow(allowed) => Outcome::allow(decision.subject, &allowed.decision),
                Verdict::Deny(denial) => denied(&denial),
            },
        };
        self.compare(decision, who, outcome)
    }

    /// The quote by its own words, which need no collateral: what is refused here, the node got no collateral for.
    fn session_quote(&self, decision: &Decision) -> Result<Result<SessionQuote, DenyReason>, Gap> {
        let binding = session_binding(bound(decision)?);
        let quote = self.need("quote", decision.evidence.quote)?;
        let evidence = BootEvidence { quote: &quote, event_log: &[], os_image_manifest: &[], binding };
        Ok(evidence.session_quote(&self.replayer.verifier))
    }

    /// A decision without collateral: the node's own denial, since it could get none, of nobody who was proven.
    pub(super) fn for_want_of_collateral(&self, decision: &Decision) -> Result<Replayed, Replayed> {
        match decision.outcome.code() {
            Some(code) if rests(code) == Rests::Node => self.nodes_own(decision, Who::Unknown, code),
            _ => Err(Gap::new(ReplayCode::EvidenceUnnamed, "no collateral", "its digest").into()),
        }
    }

    /// Everything before the chain.
    pub(super) fn attest(&self, decision: &Decision) -> Result<Result<AttestedApp, Unattested>, Gap> {
        let policy = self.policy()?;
        let judge = &policy.judge;
        let evidence = &decision.evidence;
        let binding = bound(decision)?;
        let quote = self.need("quote", evidence.quote)?;
        let event_log = self.need("event log", evidence.event_log)?;
        let os_image_manifest = self.need("OS-image manifest", evidence.os_image_manifest)?;
        let collateral = match self.replayer.collateral(self.archive, evidence.collateral)? {
            Ok(collateral) => collateral,
            Err(reason) => return Ok(Err(Unattested { identity: None, reason })),
        };
        let evidence = BootEvidence {
            quote: &quote,
            event_log: &event_log,
            os_image_manifest: &os_image_manifest,
            binding: session_binding(binding),
        };
        let out_of_date_since = decision.out_of_date_since;
        let circumstances = Circumstances { now: self.record.time, out_of_date_since };
        Ok(judge.attest(&evidence, &collateral, circumstances))
    }

    fn unattested(&self, decision: &Decision, unattested: &Unattested) -> Result<Replayed, Replayed> {
        let who = Who::of(unattested.identity.as_deref());
        if let (Some(code), true) = (decision.outcome.code(), unattested.identity.is_some()) {
            // The node may have been unable to look into its memory of the platform, which comes before its appraisal.
            if rests(code) == Rests::Node {
                return self.nodes_own(decision, who, code);
            }
        }
        self.compare(decision, who, refused(unattested.reason.clone()))
    }

    /// An answer for which the chain was not asked, or did not answer.
    pub(super) fn without_witness(&self, decision: &Decision, who: Who) -> Result<Replayed, Replayed> {
        let unnamed = || Gap::new(ReplayCode::EvidenceUnnamed, "no chain witness", "its digest");
        let code = decision.outcome.code().ok_or_else(unnamed)?;
        match rests(code) {
            Rests::Node => self.nodes_own(decision, who, code),
            Rests::Chain => Err(unnamed().into()),
            Rests::Evidence => Err(Replayed::different("outcome", code, "evidence that is in order")),
        }
    }

    /// A denial of the node's own: who asked must be right.
    fn nodes_own(&self, decision: &Decision, who: Who, code: &str) -> Result<Replayed, Replayed> {
        let outcome = match self.sealed(decision)? {
            Some(sealed) => {
                let SealedIdentity { found, expected, .. } = sealed;
                Outcome::Deny { code: code.to_owned(), found, expected }
            }
            None => decision.outcome.clone(),
        };
        self.compare(decision, who, outcome)?;
        Ok(Replayed::Consistent { code: code.to_owned() })
    }

    /// The chain's witness, read strictly; what cannot be read proves nothing, and says with which code.
    pub(super) fn witness(&self, id: BlobId) -> Result<Result<Witness, ChainDeny>, Gap> {
        let bytes = self.need("chain witness", Some(id))?;
        Ok(Witness::decode_with(&bytes, &self.replayer.codes))
    }
}

fn bound(decision: &Decision) -> Result<&Binding, Gap> {
    let unnamed =
        || Gap::new(ReplayCode::EvidenceUnnamed, "no session binding", "the binding of the session");
    decision.binding.as_ref().ok_or_else(unnamed)
}

/// The binding as the client, who made the quote, saw it.
fn session_binding(binding: &Binding) -> SessionBinding {
    SessionBinding {
        role: Role::App,
        peer_nonce: binding.server_nonce,
        own_nonce: binding.client_nonce,
        own_spki: binding.client_spki,
        peer_spki: binding.server_spki,
        exporter: binding.exporter,
    }
}
