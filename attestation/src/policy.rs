//! Which genuine platforms are accepted. The defaults accept only what is fully up to date.
//!
//! A policy widens or narrows what the *state* of a platform may be. It cannot make evidence count that does not
//! verify, nor a TD that its host can look into: those checks have no switch.

use dcap_qvl::TcbStatus;
use serde::{Deserialize, Serialize};

use crate::ids::Fmspc;

const DAY: u64 = 24 * 60 * 60;

/// Collateral is refused when older than this, in seconds: 30 days. Intel issues it anew every day, valid for 30
/// days, so this alone adds nothing to Intel's own limit; lower it where a fresher view is worth an outage of the
/// PCCS.
pub const DEFAULT_MAX_COLLATERAL_AGE_SECS: u64 = 30 * DAY;
/// The root's revocation list is refused when older than this, in seconds: 400 days. Intel renews it about once a
/// year, valid for about 380 days.
pub const DEFAULT_MAX_ROOT_CRL_AGE_SECS: u64 = 400 * DAY;

/// What is accepted of a platform. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The accepted statuses of platform and quoting enclave. `Revoked` is never accepted. Default: `UpToDate` only.
    pub accepted_tcb_statuses: Vec<TcbStatus>,
    /// Advisories that refuse a platform whatever its status, such as `INTEL-SA-01245`. Default: none.
    pub denied_advisories: Vec<String>,
    /// The lowest accepted TCB evaluation data number. Default: 0.
    pub min_evaluation_number: u32,
    /// The greatest accepted age of TCB info, QE identity and PCK revocation list, in seconds.
    pub max_collateral_age_secs: u64,
    /// The greatest accepted age of the root's revocation list, in seconds.
    pub max_root_crl_age_secs: u64,
    /// How long a platform that fell out of date is still accepted, in seconds, counted from when this verifier
    /// first saw it out of date. A platform that it never saw up to date gets no grace. Default: 0.
    pub grace_secs: u64,
    /// The accepted kinds of platform. Default: any.
    pub allowed_fmspcs: Option<Vec<Fmspc>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            accepted_tcb_statuses: vec![TcbStatus::UpToDate],
            denied_advisories: Vec::new(),
            min_evaluation_number: 0,
            max_collateral_age_secs: DEFAULT_MAX_COLLATERAL_AGE_SECS,
            max_root_crl_age_secs: DEFAULT_MAX_ROOT_CRL_AGE_SECS,
            grace_secs: 0,
            allowed_fmspcs: None,
        }
    }
}

impl Policy {
    /// Whether this kind of platform is accepted: worth asking before collateral is fetched for it.
    #[must_use]
    pub fn allows_fmspc(&self, fmspc: &Fmspc) -> bool {
        self.allowed_fmspcs.as_ref().is_none_or(|allowed| allowed.contains(fmspc))
    }

    pub(crate) fn accepts(&self, status: TcbStatus) -> bool {
        status != TcbStatus::Revoked && self.accepted_tcb_statuses.contains(&status)
    }

    pub(crate) fn denied_advisory<'a>(&self, advisories: &'a [String]) -> Option<&'a String> {
        let denied =
            |id: &&String| self.denied_advisories.iter().any(|denied| denied.eq_ignore_ascii_case(id));
        advisories.iter().find(denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy__should_default_to_up_to_date_only() {
        let policy: Policy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy, Policy::default());
        assert!(policy.accepts(TcbStatus::UpToDate) && !policy.accepts(TcbStatus::SWHardeningNeeded));
    }

    #[test]
    fn policy__should_have_the_defaults_that_the_readme_shows() {
        let readme = include_str!("../../README.md");
        let json = readme.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(json).unwrap(), Policy::default());
        // Every key is shown.
        let shown: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(shown, serde_json::to_value(Policy::default()).unwrap());
    }

    #[test]
    fn policy__should_refuse_unknown_keys() {
        assert!(serde_json::from_str::<Policy>(r#"{"grace":1}"#).is_err());
    }

    #[test]
    fn policy__should_never_accept_revoked() {
        let policy = Policy { accepted_tcb_statuses: vec![TcbStatus::Revoked], ..Policy::default() };
        assert!(!policy.accepts(TcbStatus::Revoked));
    }
}
