//! What Intel will demand next of a platform, and when: out of date is foreseen, not suffered.
//!
//! Intel publishes new TCB levels under `update=early` on the day it discloses what they fix, and enforces them
//! under `update=standard` later. This compares a platform's security version numbers with the early levels, as
//! Intel's verifier does. It is arithmetic on signed collateral: no network, no clock; and it decides nothing.
//!
//! **When** is an estimate. Intel's documentation of `update` says "commonly approximately 6 weeks after public
//! disclosure". What it has done since 2024 is to wait twelve months: the levels of 2025-08-13 (number 20) were
//! enforced on 2026-08-13. A forecast names both dates: by the first the update should be planned, on the second it
//! is expected to be needed. Counted is from the date of the first level that the platform lacks. That date may be
//! one or two recoveries later than the one that first demanded the level, so a platform may also fall out of
//! date earlier than on the second date.

use std::fmt;

use dcap_qvl::tcb_info::TdxModuleTcbLevel;
use dcap_qvl::{TcbInfo, TcbLevel, TcbStatus};

use super::early::EarlyCollateral;
use crate::collateral::CheckedCollateral;
use crate::tcb::{PlatformSvns, Shortfall, phrase};
use crate::time::{parse_rfc3339, rfc3339};

const DAY: u64 = 24 * 60 * 60;
/// How long after a level's date Intel may enforce it, by its documentation, in seconds: six weeks.
pub const DOCUMENTED_DELAY: u64 = 6 * 7 * DAY;
/// How long after a level's date Intel has enforced it of late, in seconds: twelve months.
pub const OBSERVED_DELAY: u64 = 365 * DAY;

/// When new levels are enforced, in Unix seconds: an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforcement {
    /// The date of the first level that the platform lacks.
    pub level_date: u64,
    /// From when Intel's documentation allows it.
    pub possible_from: u64,
    /// From when it is expected, as Intel has done of late.
    pub expected_from: u64,
}

/// What will become of a platform that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Its status by what Intel enforces now; `None` below every level, which counts as out of date.
    pub today: Option<TcbStatus>,
    /// Its status by what Intel will enforce; `None` below every level.
    pub status: Option<TcbStatus>,
    /// The evaluation data number of what Intel enforces now.
    pub enforced_number: u32,
    /// The evaluation data number of what Intel will enforce.
    pub evaluation_number: u32,
    /// The advisories that will apply.
    pub advisories: Vec<String>,
    /// The numbers that are too low for the best of the new levels.
    pub shortfalls: Vec<Shortfall>,
    /// When the platform falls out of date, if it does and has not yet.
    pub enforcement: Option<Enforcement>,
}

impl EarlyCollateral {
    /// Foresees what becomes of a platform whose present state the given collateral decides about.
    #[must_use]
    pub fn forecast(&self, enforced: &CheckedCollateral, svns: &PlatformSvns) -> Forecast {
        forecast(&enforced.tcb_info, &self.collateral().tcb_info, svns)
    }
}

impl Forecast {
    /// Whether the platform falls out of date although it is not so now.
    #[must_use]
    pub fn will_be_out_of_date(&self) -> bool {
        is_out_of_date(self.status) && !is_out_of_date(self.today)
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.evaluation_number;
        let lacks = phrase(&self.shortfalls);
        match &self.enforcement {
            Some(Enforcement { possible_from, expected_from, .. }) => write!(
                f,
                "this platform will be out of date on {} because {lacks} (TCB evaluation data number {number}; the \
                 date is an estimate, twelve months after the level's; Intel may do it from {})",
                day(*expected_from),
                day(*possible_from)
            ),
            None if is_out_of_date(self.today) => write!(f, "this platform is out of date already: {lacks}"),
            None => write!(
                f,
                "this platform stays {} under TCB evaluation data number {number}",
                self.status.map_or_else(|| "unknown".to_owned(), |status| status.to_string())
            ),
        }
    }
}

fn day(seconds: u64) -> String {
    rfc3339(seconds - seconds % DAY).chars().take_while(|c| *c != 'T').collect()
}

fn is_out_of_date(status: Option<TcbStatus>) -> bool {
    use TcbStatus::{OutOfDate, OutOfDateConfigurationNeeded, Revoked};
    status.is_none_or(|status| matches!(status, OutOfDate | OutOfDateConfigurationNeeded | Revoked))
}

fn forecast(enforced: &TcbInfo, early: &TcbInfo, svns: &PlatformSvns) -> Forecast {
    let next = Standing::of(early, svns);
    let mut forecast = Forecast {
        today: Standing::of(enforced, svns).status,
        status: next.status,
        enforced_number: enforced.tcb_evaluation_data_number,
        evaluation_number: early.tcb_evaluation_data_number,
        advisories: next.advisories,
        shortfalls: svns.shortfalls(early),
        enforcement: None,
    };
    if forecast.will_be_out_of_date() {
        let level_date = first_unmet(enforced, early, svns).unwrap_or_else(|| newest_date(early));
        forecast.enforcement = Some(Enforcement {
            level_date,
            possible_from: level_date.saturating_add(DOCUMENTED_DELAY),
            expected_from: level_date.saturating_add(OBSERVED_DELAY),
        });
    }
    forecast
}

/// How a platform stands under some TCB info.
struct Standing {
    status: Option<TcbStatus>,
    advisories: Vec<String>,
}

impl Standing {
    const BELOW_ALL: Self = Self { status: None, advisories: Vec::new() };

    /// Intel's algorithm: the highest platform level that is met, made worse by the module's if that is.
    fn of(tcb_info: &TcbInfo, svns: &PlatformSvns) -> Self {
        let Some(level) = platform_level(tcb_info, svns) else { return Self::BELOW_ALL };
        let Ok(identity) = tcb_info.tdx_module_identity(&svns.tee_tcb_svn) else { return Self::BELOW_ALL };
        let Some(identity) = identity else {
            return Self { status: Some(level.tcb_status), advisories: level.advisory_ids.clone() };
        };
        let module = identity.tcb_levels.iter().find(|module| module.shortfall(&svns.tee_tcb_svn).is_none());
        module.map_or(Self::BELOW_ALL, |module| Self::with_module(level, module))
    }

    fn with_module(level: &TcbLevel, module: &TdxModuleTcbLevel) -> Self {
        let mut advisories = level.advisory_ids.clone();
        let more = module.advisory_ids.iter().filter(|id| !level.advisory_ids.contains(id));
        advisories.extend(more.cloned());
        Self { status: Some(converge(level.tcb_status, module.tcb_status)), advisories }
    }
}

/// Only a module that is out of date or revoked affects the platform's status.
fn converge(platform: TcbStatus, module: TcbStatus) -> TcbStatus {
    use TcbStatus::{
        ConfigurationAndSWHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded,
        Revoked, SWHardeningNeeded, UpToDate,
    };
    match (module, platform) {
        (Revoked, _) => Revoked,
        (OutOfDate, UpToDate | SWHardeningNeeded) => OutOfDate,
        (OutOfDate, ConfigurationNeeded | ConfigurationAndSWHardeningNeeded) => OutOfDateConfigurationNeeded,
        _ => platform,
    }
}

/// The first level that is met, in the order in which Intel's verifier looks: by SGX components, PCE SVN and TDX
/// components, the highest first, whatever the order in the document.
fn platform_level<'a>(tcb_info: &'a TcbInfo, svns: &PlatformSvns) -> Option<&'a TcbLevel> {
    let met = tcb_info.tcb_levels.iter().filter(|level| lacks_nothing(level, svns));
    // Of equal levels the first in the document counts, and `max_by` would take the last.
    met.rev().max_by(|a, b| {
        let rank =
            |level: &'a TcbLevel| (&level.tcb.sgx_components, level.tcb.pce_svn, &level.tcb.tdx_components);
        rank(a).cmp(&rank(b))
    })
}

fn lacks_nothing(level: &TcbLevel, svns: &PlatformSvns) -> bool {
    let shortfalls = level.shortfalls(&svns.cpu_svn, svns.pce_svn, Some(&svns.tee_tcb_svn));
    shortfalls.is_ok_and(|shortfalls| shortfalls.is_empty())
}

/// The date of the oldest level that is new in the early set and that the platform does not meet.
fn first_unmet(enforced: &TcbInfo, early: &TcbInfo, svns: &PlatformSvns) -> Option<u64> {
    let known = newest_date(enforced);
    let platform = early.tcb_levels.iter().filter(|level| !lacks_nothing(level, svns));
    let identity = early.tdx_module_identity(&svns.tee_tcb_svn).ok().flatten();
    let modules = identity.map(|identity| identity.tcb_levels.iter()).into_iter().flatten();
    let modules = modules.filter(|level| level.shortfall(&svns.tee_tcb_svn).is_some());
    let dates = platform.map(|level| &level.tcb_date).chain(modules.map(|level| &level.tcb_date));
    dates.filter_map(|date| parse_rfc3339(date)).filter(|date| *date > known).min()
}

/// The date of the newest level.
fn newest_date(tcb_info: &TcbInfo) -> u64 {
    let platform = tcb_info.tcb_levels.iter().map(|level| &level.tcb_date);
    let modules = tcb_info.tdx_module_identities.iter().flat_map(|identity| &identity.tcb_levels);
    let dates = platform.chain(modules.map(|level| &level.tcb_date));
    dates.filter_map(|date| parse_rfc3339(date)).max().unwrap_or(0)
}
