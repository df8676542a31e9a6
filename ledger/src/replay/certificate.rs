//! A certificate under an app's CA, decided again: by the release on the same connection, by what the chain said then, and
//! by what the policy grants, to which every field of the certificate is held.
//!
//! The signature of the app's CA and the app's request are not in a log, so they are not checked here: see
//! [`crate::issued`].

use kms_attestation::ids::AppId;
use kms_attestation::refusal::Refusal;
use kms_verdict::AttestedApp;

use super::code::{Gap, ReplayCode};
use super::outcome::{Difference, Replayed};
use super::rules::CERTIFICATE;
use super::{Case, denied};
use crate::blob::BlobId;
use crate::issued::{Deviation, IssuedLeaf, Terms};
use crate::record::{Decision, Event, Outcome, Record, Subject, Who};

impl Case<'_> {
    pub(super) fn app_certificate(self, decision: &Decision) -> Result<Replayed, Replayed> {
        let unnamed = |what| Gap::new(ReplayCode::EvidenceUnnamed, what, "what the certificate follows from");
        let index = decision.release.ok_or_else(|| unnamed("no release"))?;
        if index >= self.index {
            return Err(Replayed::different("release", index, format!("an index below {}", self.index)));
        }
        let record = self.archive.record(index)?;
        let release = released(&record)?;
        if decision.binding.is_some() && decision.binding != release.binding {
            return Err(Replayed::different("binding", "of another connection", "that of the release"));
        }
        let app = Case { index, record: &record, ..self }.attest(release)?;
        let app = app.map_err(|unattested| Replayed::different("release", "allowed", unattested.reason))?;
        let who = Who::of(Some(app.identity()));
        let app_id = app.identity().app_id;
        let replayed = match decision.evidence.witness {
            None => self.without_witness(decision, who)?,
            Some(witness) => self.compare(decision, who, self.said_later(decision, &app, witness)?)?,
        };
        self.issued(decision, app_id).map(|()| replayed)
    }

    /// What the chain said to the release's question, at the certificate's time.
    fn said_later(&self, decision: &Decision, app: &AttestedApp, witness: BlobId) -> Result<Outcome, Gap> {
        let policy = self.policy()?;
        Ok(match self.witness(witness)? {
            Err(deny) => denied(&deny.lift()),
            Ok(witness) => match policy.judge.conclude_later(&app.question(), &witness, self.record.time) {
                Ok(said) => Outcome::allow(decision.subject, &said),
                Err(deny) => denied(&Refusal::lift(deny)),
            },
        })
    }

    /// What was issued, by the policy that it was issued by; nothing with a denial.
    fn issued(&self, decision: &Decision, app_id: AppId) -> Result<(), Replayed> {
        let named = decision.evidence.certificate;
        if decision.outcome.code().is_some() {
            let denied =
                |id: BlobId| wrong("evidence.certificate", id.to_string(), "none: denied".to_owned());
            return named.map_or(Ok(()), |id| Err(denied(id)));
        }
        let certificate = self.need("certificate", named)?;
        let policy = self.policy()?;
        let terms = Terms { app_id, time: self.record.time, policy: &policy.certificates };
        match IssuedLeaf::check(&certificate, &terms) {
            Ok(_) => Ok(()),
            Err(Deviation { part, found, expected }) => Err(wrong(part, found, expected)),
        }
    }
}

/// A certificate that should be another, or none: the first rules did not look into it.
fn wrong(what: &'static str, recorded: String, recomputed: String) -> Replayed {
    let codes = Some((CERTIFICATE.to_owned(), CERTIFICATE.to_owned()));
    Replayed::Different(Difference { what, recorded, recomputed, codes })
}

/// The release of keys that a record holds.
fn released(record: &Record) -> Result<&Decision, Replayed> {
    match &record.event {
        Event::Decision(release)
            if release.subject == Subject::AppKeys && release.outcome.code().is_none() =>
        {
            Ok(release)
        }
        _ => Err(Replayed::different("release", "a record of something else", "a release of keys")),
    }
}
