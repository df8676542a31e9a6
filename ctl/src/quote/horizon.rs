//! How long the verdict can last: every date after which this quote, with this collateral, is no longer accepted.

use super::certificates;
use super::examination::Examination;

/// Seconds in a day.
const DAY: u64 = 24 * 60 * 60;

/// A date and what ends then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The last second at which it still holds, in Unix seconds.
    pub(crate) until: u64,
    pub(crate) what: String,
    /// What moves the date.
    pub(crate) renewal: Renewal,
}

/// How a limit is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// By fetching collateral again.
    Collateral,
    /// By the host's owner, with new certificates.
    Certificate,
}

impl Limit {
    fn collateral(what: &str, until: u64) -> Self {
        Self { until, what: what.to_owned(), renewal: Renewal::Collateral }
    }

    fn certificate(certificate: &certificates::CertificateFacts) -> Self {
        let what = format!("the certificate \"{}\" expires", certificate.name);
        Self { until: certificate.until, what, renewal: Renewal::Certificate }
    }

    /// How far it is from `at` (Unix seconds).
    pub(crate) fn distance(&self, at: u64) -> String {
        match self.until.checked_sub(at) {
            Some(left) => format!("in {}", days(left)),
            None => format!("{} ago", days(at - self.until)),
        }
    }
}

fn days(seconds: u64) -> String {
    match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// Every known limit, the earliest first. Without usable collateral there is none to be known.
pub(crate) fn limits(examination: &Examination) -> Vec<Limit> {
    let (Some(quote), Some(collateral)) = (&examination.quote, &examination.collateral) else {
        return Vec::new();
    };
    let (dates, policy) = (collateral.dates(), &examination.policy);
    let collateral_age = dates.issued.saturating_add(policy.max_collateral_age_secs);
    let crl_age = dates.root_crl_issued.saturating_add(policy.max_root_crl_age_secs);
    let mut limits = vec![
        Limit::collateral("the collateral expires", dates.expires),
        Limit::collateral("the collateral is older than policy allows", collateral_age),
        Limit::collateral("the root's revocation list is older than policy allows", crl_age),
    ];
    let signers = certificates::collateral_signers(collateral).into_iter();
    let chain =
        certificates::pck_chain(quote).into_iter().chain(certificates::root(examination.verifier.root()));
    limits
        .extend(signers.map(|signer| Limit { renewal: Renewal::Collateral, ..Limit::certificate(&signer) }));
    limits.extend(chain.map(|certificate| Limit::certificate(&certificate)));
    limits.sort_by(|one, other| (one.until, &one.what).cmp(&(other.until, &other.what)));
    limits.dedup_by(|one, other| one.what == other.what && one.until == other.until);
    limits
}
