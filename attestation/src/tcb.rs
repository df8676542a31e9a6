//! What a platform's security version numbers lack to be up to date: the "why" behind a TCB status.
//!
//! The status itself comes from the quote verifier. This only names the numbers that are too low, for a refusal
//! that can be acted on and for forecasts from the TCB info that Intel will enforce next.

use std::fmt;

use dcap_qvl::{SvnComponent, SvnShortfall, TcbInfo, TcbStatus};
use serde::Serialize;

use crate::quote::Platform;
use crate::td::TdReport;

/// The security version numbers that a TCB level is matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformSvns {
    /// The CPU's: microcode, BIOS and loaders.
    pub cpu_svn: [u8; 16],
    /// The provisioning certification enclave's.
    pub pce_svn: u16,
    /// The TDX module's and its loader's.
    pub tee_tcb_svn: [u8; 16],
}

impl PlatformSvns {
    /// The numbers of a platform, as its PCK certificate and the TD report state them.
    #[must_use]
    pub fn of(platform: &Platform, td: &TdReport) -> Self {
        Self { cpu_svn: platform.cpu_svn, pce_svn: platform.pce_svn, tee_tcb_svn: td.tee_tcb_svn }
    }

    /// What the numbers lack to meet the nearest up-to-date level; empty if they meet one.
    ///
    /// Of several up-to-date levels the one with the fewest shortfalls is taken. TCB info whose levels do not have
    /// 16 components each has no level that can be met; the answer is then empty too, and the quote verifier refuses.
    #[must_use]
    pub fn shortfalls(&self, tcb_info: &TcbInfo) -> Vec<Shortfall> {
        let levels = tcb_info.tcb_levels.iter().filter(|level| level.tcb_status == TcbStatus::UpToDate);
        let of_levels = levels
            .filter_map(|level| level.shortfalls(&self.cpu_svn, self.pce_svn, Some(&self.tee_tcb_svn)).ok());
        let of_level = of_levels.min_by_key(Vec::len).unwrap_or_default();
        of_level.into_iter().chain(self.module_shortfall(tcb_info)).map(Shortfall::from).collect()
    }

    fn module_shortfall(&self, tcb_info: &TcbInfo) -> Option<SvnShortfall> {
        let identity = tcb_info.tdx_module_identity(&self.tee_tcb_svn).ok()??;
        let levels = identity.tcb_levels.iter().filter(|level| level.tcb_status == TcbStatus::UpToDate);
        levels.min_by_key(|level| level.tcb.isvsvn)?.shortfall(&self.tee_tcb_svn)
    }
}

/// A security version number that is too low.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// Which number.
    pub component: String,
    /// The platform's.
    pub have: u16,
    /// The least that is up to date.
    pub needs: u16,
}

impl From<SvnShortfall> for Shortfall {
    fn from(shortfall: SvnShortfall) -> Self {
        let component = match shortfall.component {
            SvnComponent::Sgx(n) => with_role("SGX component", n, sgx_role(n)),
            SvnComponent::Tdx(n) => with_role("TDX component", n, tdx_role(n)),
            SvnComponent::PceSvn => "PCE SVN".to_owned(),
            SvnComponent::TdxModuleIsvSvn => "TDX module ISVSVN".to_owned(),
        };
        Self { component, have: shortfall.have, needs: shortfall.needs }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} < {}", self.component, self.have, self.needs)
    }
}

/// Several shortfalls as one phrase.
pub(crate) fn phrase(shortfalls: &[Shortfall]) -> String {
    shortfalls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn with_role(kind: &str, n: u8, role: Option<&str>) -> String {
    role.map_or_else(|| format!("{kind} {n}"), |role| format!("{kind} {n} ({role})"))
}

/// What Intel's TCB info calls the SGX components that have a meaning.
fn sgx_role(n: u8) -> Option<&'static str> {
    match n {
        0 => Some("early microcode update"),
        1 => Some("SGX late microcode update"),
        2 => Some("TXT SINIT"),
        3..=5 => Some("BIOS"),
        7 => Some("SEAMLDR ACM"),
        _ => None,
    }
}

/// What Intel's TCB info calls the TDX components that have a meaning.
fn tdx_role(n: u8) -> Option<&'static str> {
    match n {
        0 | 1 => Some("TDX module"),
        2 => Some("TDX late microcode update"),
        _ => None,
    }
}
