//! A certificate under an app's CA, decided again: by the release on the same connection, and by what the chain said then.

use kms_attestation::refusal::Refusal;

use super::code::{Gap, ReplayCode};
use super::outcome::Replayed;
use super::{Case, denied};
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
        let Some(witness) = decision.evidence.witness else {
            return self.without_witness(decision, who);
        };
        let judge = self.judge()?;
        let outcome = match self.witness(witness)? {
            Err(deny) => denied(&deny.lift()),
            Ok(witness) => match judge.conclude_later(&app.question(), &witness, self.record.time) {
                Ok(said) => Outcome::allow(decision.subject, &said),
                Err(deny) => denied(&Refusal::lift(deny)),
            },
        };
        if matches!(outcome, Outcome::Allow { .. }) {
            self.need("certificate", decision.evidence.certificate)?;
        }
        self.compare(decision, who, outcome)
    }
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
