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

#[cfg(test)]
mod tests {
    use dcap_qvl::tcb_info::{Tcb, TcbComponents, TdxModuleIdentity, TdxModuleTcb};

    use super::*;

    const SVNS: PlatformSvns = PlatformSvns { cpu_svn: [3; 16], pce_svn: 11, tee_tcb_svn: [5; 16] };

    fn components(svn: u8) -> Vec<TcbComponents> {
        vec![TcbComponents { svn }; 16]
    }

    fn level(svn: u8, date: &str, tcb_status: TcbStatus) -> TcbLevel {
        TcbLevel {
            tcb: Tcb { sgx_components: components(svn), tdx_components: components(svn), pce_svn: 11 },
            tcb_date: format!("{date}T00:00:00Z"),
            tcb_status,
            advisory_ids: vec![format!("INTEL-SA-{svn}")],
        }
    }

    fn module(levels: &[(u8, &str, TcbStatus)]) -> TdxModuleIdentity {
        let level = |&(isvsvn, date, tcb_status): &(u8, &str, TcbStatus)| TdxModuleTcbLevel {
            tcb: TdxModuleTcb { isvsvn },
            tcb_date: format!("{date}T00:00:00Z"),
            tcb_status,
            advisory_ids: vec!["INTEL-SA-MODULE".to_owned()],
        };
        TdxModuleIdentity {
            id: "TDX_05".to_owned(),
            mrsigner: String::new(),
            attributes: String::new(),
            attributes_mask: String::new(),
            tcb_levels: levels.iter().map(level).collect(),
        }
    }

    fn tcb_info(number: u32, tcb_levels: Vec<TcbLevel>, modules: &[(u8, &str, TcbStatus)]) -> TcbInfo {
        TcbInfo {
            id: "TDX".to_owned(),
            version: 3,
            issue_date: String::new(),
            next_update: String::new(),
            fmspc: String::new(),
            pce_id: String::new(),
            tcb_type: 0,
            tcb_evaluation_data_number: number,
            tcb_levels,
            tdx_module: None,
            tdx_module_identities: vec![module(modules)],
        }
    }

    fn today() -> TcbInfo {
        let level = level(3, "2024-03-13", TcbStatus::UpToDate);
        tcb_info(17, vec![level], &[(5, "2024-03-13", TcbStatus::UpToDate)])
    }

    fn early(new: u8, date: &str) -> TcbInfo {
        // Not in the order in which they are matched.
        let levels =
            vec![level(new - 1, "2024-03-13", TcbStatus::OutOfDate), level(new, date, TcbStatus::UpToDate)];
        tcb_info(18, levels, &[(5, date, TcbStatus::UpToDate)])
    }

    #[test]
    fn forecast__should_say_when_and_why_a_platform_falls_out_of_date() {
        let forecast = forecast(&today(), &early(4, "2024-11-13"), &SVNS);
        assert_eq!(
            (forecast.today, forecast.status),
            (Some(TcbStatus::UpToDate), Some(TcbStatus::OutOfDate))
        );
        assert_eq!(forecast.advisories, ["INTEL-SA-3", "INTEL-SA-MODULE"]);
        assert_eq!(forecast.shortfalls[0].to_string(), "SGX component 0 (early microcode update) 3 < 4");
        let text = forecast.to_string();
        assert!(
            text.starts_with("this platform will be out of date on 2025-11-13 because SGX component 0"),
            "{text}"
        );
        assert!(
            text.contains("an estimate") && text.contains("2024-12-25") && text.contains("number 18"),
            "{text}"
        );
    }

    #[test]
    fn forecast__should_say_that_a_platform_stays_up_to_date() {
        let forecast = forecast(&today(), &early(3, "2024-11-13"), &SVNS);
        assert!(!forecast.will_be_out_of_date() && forecast.enforcement.is_none());
        assert_eq!(forecast.to_string(), "this platform stays UpToDate under TCB evaluation data number 18");
    }

    #[test]
    fn forecast__should_count_from_the_first_level_that_is_lacking() {
        let mut early = early(5, "2025-08-13");
        early.tcb_levels.push(level(3, "2024-03-13", TcbStatus::OutOfDate));
        early.tcb_levels.push(level(4, "2025-05-14", TcbStatus::OutOfDate));
        let enforcement = forecast(&today(), &early, &SVNS).enforcement.unwrap();
        assert_eq!(rfc3339(enforcement.expected_from), "2026-05-14T00:00:00Z");
    }

    #[test]
    fn forecast__should_tell_what_is_so_already() {
        let forecast = forecast(&early(4, "2024-11-13"), &early(4, "2024-11-13"), &SVNS);
        assert!(!forecast.will_be_out_of_date());
        assert!(forecast.to_string().starts_with("this platform is out of date already"), "{forecast}");
    }

    #[test]
    fn forecast__should_count_an_old_or_unknown_module_as_out_of_date() {
        let mut early = early(3, "2024-11-13");
        early.tdx_module_identities =
            vec![module(&[(6, "2024-11-13", TcbStatus::UpToDate), (5, "2024-03-13", TcbStatus::OutOfDate)])];
        let old = forecast(&today(), &early, &SVNS);
        assert_eq!(old.status, Some(TcbStatus::OutOfDate));
        assert_eq!(old.shortfalls[0].to_string(), "TDX module ISVSVN 5 < 6");
        early.tdx_module_identities.clear();
        let unknown = forecast(&today(), &early, &SVNS);
        assert_eq!((unknown.status, unknown.will_be_out_of_date()), (None, true));
    }

    #[test]
    fn forecast__should_not_panic_on_levels_of_other_shapes() {
        let mut early = early(3, "soon");
        early.tcb_levels.iter_mut().for_each(|level| level.tcb.sgx_components.truncate(3));
        assert_eq!(forecast(&today(), &early, &SVNS).status, None);
        let none = tcb_info(19, Vec::new(), &[]);
        assert_eq!(forecast(&none, &none, &SVNS).status, None);
    }
}
