//! The JSON output of `quote verify`: what an examination established, under the names that programs rely on.
//!
//! A value that is not known is null, never left out and never a guess. What the quote itself says is printed as
//! soon as it can be read; `authentic` tells whether that is proven or only claimed.

use kms_attestation::collateral::CollateralDates;
use kms_attestation::identity::{BootIdentity, BootPhase, KeyProvider};
use kms_attestation::ids::{
    AppId, ComposeHash, DeviceId, Fmspc, InstanceId, Measurement, MrAggregated, MrSystem, Ppid, ReportData,
    RootKeyId,
};
use kms_attestation::quote::Quote;
use kms_attestation::tcb::Shortfall;
use kms_attestation::td::hex_le;
use kms_attestation::time::rfc3339;
use kms_attestation::verify::AuthenticQuote;
use serde::Serialize;

use super::examination::{Examination, Verdict};
use super::finding::Finding;

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct VerdictReport {
    pub(crate) accepted: bool,
    /// `accepted`, `refused`, or `undecided` for want of collateral.
    pub(crate) verdict: Verdict,
    /// Why not; null when accepted.
    pub(crate) deny: Option<Finding>,
    /// Whether the quote is genuine: signed by hardware that the root of trust vouches for.
    pub(crate) authentic: bool,
    /// When it was judged, RFC 3339.
    pub(crate) at: String,
    pub(crate) tcb_status: Option<String>,
    pub(crate) qe_status: Option<String>,
    pub(crate) advisory_ids: Option<Vec<String>>,
    /// What the platform lacks to be up to date.
    pub(crate) shortfalls: Option<Vec<Shortfall>>,
    pub(crate) fmspc: Option<Fmspc>,
    pub(crate) ppid: Option<Ppid>,
    pub(crate) device_id: Option<DeviceId>,
    pub(crate) quote_version: Option<u16>,
    pub(crate) tee_type: Option<&'static str>,
    pub(crate) mrtd: Option<Measurement>,
    pub(crate) rtmr0: Option<Measurement>,
    pub(crate) rtmr1: Option<Measurement>,
    pub(crate) rtmr2: Option<Measurement>,
    pub(crate) rtmr3: Option<Measurement>,
    pub(crate) mr_config_id: Option<Measurement>,
    pub(crate) mr_owner: Option<Measurement>,
    pub(crate) mr_owner_config: Option<Measurement>,
    pub(crate) report_data: Option<ReportData>,
    /// The bytes as they stand in the quote.
    pub(crate) td_attributes: Option<String>,
    /// The bytes as they stand in the quote.
    pub(crate) xfam: Option<String>,
    /// The root that vouches for the quote; null for a quote that is not genuine.
    pub(crate) root_key_id: Option<RootKeyId>,
    pub(crate) collateral: Option<CollateralReport>,
    /// Who asks; null without an event log, or with one that does not belong to the quote.
    pub(crate) identity: Option<IdentityReport>,
}

/// When the collateral was issued and ends, RFC 3339.
#[derive(Debug, Serialize)]
pub(crate) struct CollateralReport {
    pub(crate) issued: String,
    pub(crate) expires: String,
    pub(crate) evaluation_number: u32,
}

/// Who asks.
#[derive(Debug, Serialize)]
pub(crate) struct IdentityReport {
    pub(crate) app_id: AppId,
    pub(crate) compose_hash: ComposeHash,
    pub(crate) instance_id: Option<InstanceId>,
    pub(crate) mr_system: MrSystem,
    pub(crate) mr_aggregated: MrAggregated,
    pub(crate) key_provider: Option<KeyProvider>,
    pub(crate) phase: BootPhase,
}

impl VerdictReport {
    /// The report of an examination.
    pub(crate) fn of(examination: &Examination) -> Self {
        let quote = examination.quote.as_ref();
        let (platform, td) = (quote.map(Quote::platform), quote.map(Quote::td));
        let authentic = examination.authentic.as_ref();
        let tcb = authentic.map(AuthenticQuote::tcb);
        let rtmr = |index: usize| td.and_then(|td| td.rtmr.get(index)).copied();
        let verdict = examination.verdict();
        Self {
            accepted: verdict == Verdict::Accepted,
            verdict,
            deny: examination.findings.first().cloned(),
            authentic: authentic.is_some(),
            at: rfc3339(examination.at),
            tcb_status: tcb.map(|tcb| tcb.status.to_string()),
            qe_status: tcb.map(|tcb| tcb.qe_status.to_string()),
            advisory_ids: tcb.map(|tcb| tcb.advisory_ids.clone()),
            shortfalls: tcb.map(|tcb| tcb.shortfalls.clone()),
            fmspc: platform.map(|platform| platform.fmspc),
            ppid: platform.map(|platform| platform.ppid),
            device_id: platform.map(|platform| platform.ppid.device_id()),
            quote_version: quote.map(Quote::version),
            tee_type: quote.map(|_| "TDX"),
            mrtd: td.map(|td| td.mrtd),
            rtmr0: rtmr(0),
            rtmr1: rtmr(1),
            rtmr2: rtmr(2),
            rtmr3: rtmr(3),
            mr_config_id: td.map(|td| td.mr_config_id),
            mr_owner: td.map(|td| td.mr_owner),
            mr_owner_config: td.map(|td| td.mr_owner_config),
            report_data: td.map(|td| td.report_data),
            td_attributes: td.map(|td| hex_le(td.td_attributes)),
            xfam: td.map(|td| hex_le(td.xfam)),
            root_key_id: authentic.map(AuthenticQuote::root_key_id),
            collateral: examination.collateral.as_ref().map(|collateral| collateral.dates().into()),
            identity: examination.identity.as_ref().map(IdentityReport::from),
        }
    }
}

impl From<CollateralDates> for CollateralReport {
    fn from(dates: CollateralDates) -> Self {
        Self {
            issued: rfc3339(dates.issued),
            expires: rfc3339(dates.expires),
            evaluation_number: dates.evaluation_number,
        }
    }
}

impl From<&BootIdentity> for IdentityReport {
    fn from(identity: &BootIdentity) -> Self {
        Self {
            app_id: identity.app_id,
            compose_hash: identity.compose_hash,
            instance_id: identity.instance_id,
            mr_system: identity.mr_system,
            mr_aggregated: identity.mr_aggregated,
            key_provider: identity.key_provider.clone(),
            phase: identity.phase,
        }
    }
}
