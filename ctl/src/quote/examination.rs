//! All that can be said of a quote: the verdict, and whatever became known on the way to it.
//!
//! Decides nothing itself. It takes `kms-attestation` through its steps, goes on as far as the evidence allows
//! and keeps what each step established, so that a refusal can still say what is known. Reads no file, no clock.

use kms_attestation::collateral::CheckedCollateral;
use kms_attestation::event_log::EventLog;
use kms_attestation::identity::BootIdentity;
use kms_attestation::pccs::{CollateralUnavailable, Forecast};
use kms_attestation::policy::Policy;
use kms_attestation::quote::Quote;
use kms_attestation::verify::{AuthenticQuote, Verifier};
use serde::Serialize;

use super::collateral::CollateralSource;
use super::finding::Finding;
use super::inputs::Inputs;

/// The outcome of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Accepted,
    Refused,
    /// There was no collateral to judge by.
    Undecided,
}

/// What is known of a quote.
pub(crate) struct Examination {
    /// When it was judged, in Unix seconds.
    pub(crate) at: u64,
    pub(crate) policy: Policy,
    pub(crate) verifier: Verifier,
    /// Whether an event log was given.
    pub(crate) has_event_log: bool,
    /// The quote, if it is well-formed: what it *claims*.
    pub(crate) quote: Option<Quote>,
    /// The collateral, if it is Intel's and valid at the time.
    pub(crate) collateral: Option<CheckedCollateral>,
    /// The quote, if it is genuine: what it *proves*.
    pub(crate) authentic: Option<AuthenticQuote>,
    /// Whether policy accepted the genuine quote.
    passed: bool,
    /// Who asks, if the quote is genuine and the event log belongs to it.
    pub(crate) identity: Option<BootIdentity>,
    /// All that is wrong; the first is the reason of a refusal.
    pub(crate) findings: Vec<Finding>,
    /// What Intel will demand next, where it was asked for. It decides nothing.
    pub(crate) forecast: Option<Result<Forecast, CollateralUnavailable>>,
    /// What is worth knowing beside the verdict, a line for each.
    pub(crate) remarks: Vec<String>,
}

impl Examination {
    /// Examines a quote.
    pub(crate) fn of(inputs: Inputs, source: &CollateralSource) -> Self {
        let mut examination = Self {
            at: inputs.at,
            policy: inputs.policy,
            verifier: Verifier::new(inputs.root),
            has_event_log: inputs.event_log.is_some(),
            quote: None,
            collateral: None,
            authentic: None,
            passed: false,
            identity: None,
            findings: Vec::new(),
            forecast: None,
            remarks: Vec::new(),
        };
        let judged = examination.judge_quote(&inputs.quote, source);
        examination.note(judged);
        let read = inputs.event_log.map_or(Ok(()), |log| examination.read_event_log(&log));
        examination.note(read);
        examination
    }

    /// Accepted only if the quote passed, and nothing is wrong with the event log where there is one.
    pub(crate) fn verdict(&self) -> Verdict {
        let complete = self.identity.is_some() || !self.has_event_log;
        match self.findings.first() {
            None if self.passed && complete => Verdict::Accepted,
            Some(Finding { deny: None, .. }) => Verdict::Undecided,
            _ => Verdict::Refused,
        }
    }

    /// Asks for what Intel will demand next.
    pub(crate) fn look_ahead(&mut self, source: CollateralSource) {
        if let (Some(quote), Some(collateral)) = (&self.quote, &self.collateral) {
            self.forecast = source.forecast(quote, collateral, self.at);
        }
    }

    fn note(&mut self, step: Result<(), Finding>) {
        self.findings.extend(step.err());
    }

    fn judge_quote(&mut self, quote: &[u8], source: &CollateralSource) -> Result<(), Finding> {
        let quote = self.quote.insert(Quote::parse(quote)?);
        let obtained = source.obtain(&self.verifier, quote.platform(), self.at)?;
        self.remarks = obtained.remarks;
        let collateral = self.collateral.insert(obtained.collateral);
        let authentic = self.authentic.insert(self.verifier.authenticate(quote, collateral, self.at)?);
        // Grace needs to know when a node first saw the platform out of date; nobody here has seen it before.
        let since = None;
        let findings = authentic.findings(&self.policy, self.at, since);
        self.findings.extend(findings.into_iter().map(Finding::from));
        self.passed = authentic.clone().appraise(&self.policy, self.at, since).is_ok();
        Ok(())
    }

    /// Reads who asks; from a quote that is not genuine nothing can be read, and its refusal stands already.
    fn read_event_log(&mut self, log: &[u8]) -> Result<(), Finding> {
        let log = EventLog::parse(log)?;
        let Some(authentic) = &self.authentic else { return Ok(()) };
        self.identity = Some(BootIdentity::extract(authentic, &log)?);
        Ok(())
    }
}
