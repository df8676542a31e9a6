//! Fetches collateral from the first source that has any which can be used and is fresh.
//!
//! Sources are asked in order. The four requests of a source run at once; what it answers is checked in full,
//! must be for what was asked, and must not be older than what was seen before. Whatever fails, the next source
//! is asked, and the error names them all. A source that is stuck serves what is valid still but not for long; its
//! answer is kept for the case that no other source has anything fresher. Holds no state: what was seen is for the caller to know
//! ([`CollateralCache`](super::CollateralCache) does).

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use super::fault::{CollateralUnavailable, Fault, SourceFault, SourceName};
use super::http::Http;
use super::key::CollateralKey;
use super::limits::{FetchLimits, MAX_SOURCES};
use super::source::{ConfigError, HttpOrigin, Origin, Source};
use super::wire::{Answer, Answers, Endpoint, EvaluationSet, assemble};
use crate::collateral::{CheckedCollateral, Collateral, CollateralMarks};
use crate::root::RootOfTrust;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The kind of platform and its CA.
    pub key: CollateralKey,
    /// Which of Intel's published requirements.
    pub set: EvaluationSet,
    /// What was seen before: older collateral is refused.
    pub seen: CollateralMarks,
    /// Until when it should be valid, in Unix seconds: what ends before is taken only where nothing better is had.
    pub fresh_until: u64,
}

/// Collateral that has been checked, and how it was come by.
#[derive(Debug)]
pub struct Fetched {
    /// The collateral.
    pub collateral: CheckedCollateral,
    /// The source that had it.
    pub source: SourceName,
    /// What happened at the sources before that one, or at all of them if none had fresh collateral.
    pub attempts: Vec<SourceFault>,
}

/// What a source had, and its name.
type Found = (CheckedCollateral, SourceName);

/// A client for PCCSs, Intel's own service and offline packs.
pub struct CollateralClient {
    root: Arc<RootOfTrust>,
    sources: Vec<Source>,
    http: Http,
    limits: FetchLimits,
}

impl CollateralClient {
    /// A client that asks the sources in the order given. Without any, every fetch fails.
    ///
    /// `tls_roots` are certificates in DER that may vouch for sources beside the web's own roots.
    pub fn new(
        root: Arc<RootOfTrust>,
        sources: Vec<Source>,
        tls_roots: &[CertificateDer<'static>],
        limits: FetchLimits,
    ) -> Result<Self, ConfigError> {
        if sources.len() > MAX_SOURCES {
            return Err(ConfigError::TooManySources { found: sources.len(), max: MAX_SOURCES });
        }
        let sources = sources.into_iter().map(|source| source.with_root(&root));
        Ok(Self {
            sources: sources.collect::<Result<_, _>>()?,
            http: Http::new(tls_roots, limits)?,
            root,
            limits,
        })
    }

    /// The root to which all collateral must lead.
    #[must_use]
    pub fn root(&self) -> &Arc<RootOfTrust> {
        &self.root
    }

    /// The sources, in the order in which they are asked.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Fetches collateral. `now` (Unix seconds) is called when an answer is there to be checked.
    pub async fn fetch(
        &self,
        ask: &Ask,
        now: &(dyn Fn() -> u64 + Sync),
    ) -> Result<Fetched, CollateralUnavailable> {
        let end = Instant::now() + self.limits.total;
        let mut left = self.sources.iter().filter(|source| source.takes_time()).count();
        let (mut attempts, mut lagging) = (Vec::new(), None);
        for source in &self.sources {
            let deadline = FetchLimits::source_deadline(end, left);
            left -= usize::from(source.takes_time());
            let (endpoint, fault) = match self.try_source(source, ask, deadline, now).await {
                Ok(collateral) if collateral.dates().expires >= ask.fresh_until => {
                    return Ok(Fetched { collateral, source: source.name().clone(), attempts });
                }
                Ok(collateral) => (None, keep(&mut lagging, (collateral, source.name().clone()))),
                Err(failed) => failed,
            };
            let attempt = SourceFault { source: source.name().clone(), endpoint, fault };
            tracing::warn!(key = %ask.key, code = attempt.fault.code(), "collateral source failed: {attempt}");
            attempts.push(attempt);
        }
        match lagging {
            Some((collateral, source)) => Ok(Fetched { collateral, source, attempts }),
            None => Err(CollateralUnavailable { key: ask.key, attempts }),
        }
    }

    async fn try_source(
        &self,
        source: &Source,
        ask: &Ask,
        deadline: Option<Instant>,
        now: &(dyn Fn() -> u64 + Sync),
    ) -> Result<CheckedCollateral, (Option<Endpoint>, Fault)> {
        let collateral = match source.origin() {
            Origin::Pack(pack) => pack.get(ask.key).ok_or((None, Fault::NotInPack))?,
            Origin::Http(http) => {
                let deadline = deadline.ok_or((None, Fault::NotTried))?;
                let answers = timeout_at(deadline, self.request_all(http, ask)).await;
                let answers = answers.unwrap_or(Err((None, Fault::Timeout)))?;
                assemble(&answers).map_err(|(endpoint, fault)| (Some(endpoint), fault))?
            }
        };
        vet(&self.root, ask, collateral, now()).map_err(|fault| (None, fault))
    }

    async fn request_all(&self, http: &HttpOrigin, ask: &Ask) -> Result<Answers, (Option<Endpoint>, Fault)> {
        let (pck_crl, tcb_info, qe_identity, root_crl) = tokio::try_join!(
            self.request(http, ask, Endpoint::PckCrl),
            self.request(http, ask, Endpoint::TcbInfo),
            self.request(http, ask, Endpoint::QeIdentity),
            self.request(http, ask, Endpoint::RootCrl),
        )?;
        Ok(Answers { pck_crl, tcb_info, qe_identity, root_crl })
    }

    async fn request(
        &self,
        http: &HttpOrigin,
        ask: &Ask,
        endpoint: Endpoint,
    ) -> Result<Answer, (Option<Endpoint>, Fault)> {
        let failed = |fault| (Some(endpoint), fault);
        let url = http.url(endpoint, ask.key, ask.set).map_err(failed)?;
        self.http.get(&url, endpoint).await.map_err(failed)
    }
}

/// Keeps what lags the least, and says by what the given collateral falls short.
fn keep(kept: &mut Option<Found>, found: Found) -> Fault {
    let until = found.0.dates().expires;
    if kept.as_ref().is_none_or(|(kept, _)| kept.dates().expires < until) {
        *kept = Some(found);
    }
    Fault::Lags { until }
}

/// Checks collateral of any origin: signatures and dates, what it is for, and that it is no older than what was seen.
pub(super) fn vet(
    root: &RootOfTrust,
    ask: &Ask,
    collateral: Collateral,
    now: u64,
) -> Result<CheckedCollateral, Fault> {
    let checked = CheckedCollateral::check(root, collateral, now)?;
    ask.key.check(&checked)?;
    ask.set.check(&checked)?;
    checked.marks().check_not_before(&ask.seen)?;
    Ok(checked)
}
