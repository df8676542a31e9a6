//! TDX TCB info, version 3: which component versions of a platform are current, and which are not.
//!
//! Field order and spelling are Intel's. Statuses are text, so that a test can invent one.

use kms_attestation::ids::Fmspc;
use serde::Serialize;

use super::{MONTH, json};

/// The TCB info of one FMSPC.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TcbInfoSpec {
    /// `TDX`.
    pub id: String,
    /// 3.
    pub version: u8,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub issue_date: u64,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub next_update: u64,
    /// Which platforms it is about: those asked about, unless a test answers for others.
    #[serde(serialize_with = "json::fmspc")]
    pub fmspc: Option<Fmspc>,
    /// Which provisioning certification enclave it is about.
    #[serde(serialize_with = "json::hex")]
    pub pce_id: [u8; 2],
    /// 0.
    pub tcb_type: u8,
    /// Grows by one with each TCB recovery.
    pub tcb_evaluation_data_number: u32,
    /// What any TDX module must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tdx_module: Option<TdxModule>,
    /// What a TDX module of a version above 0 must be.
    pub tdx_module_identities: Vec<TdxModuleIdentity>,
    /// The levels, best first. A platform has the first whose every SVN it reaches.
    pub tcb_levels: Vec<TcbLevel>,
}

/// What a TDX module must be.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TdxModule {
    /// Its signer: zeros mean Intel.
    #[serde(serialize_with = "json::hex")]
    pub mrsigner: [u8; 48],
    /// Its attributes, where the mask is set.
    #[serde(serialize_with = "json::hex")]
    pub attributes: [u8; 8],
    /// Which bits of the attributes count.
    #[serde(serialize_with = "json::hex")]
    pub attributes_mask: [u8; 8],
}

/// What a TDX module of one version must be.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TdxModuleIdentity {
    /// `TDX_` and the version, two hexadecimal digits.
    pub id: String,
    /// What it must be.
    #[serde(flatten)]
    pub module: TdxModule,
    /// Its levels, best first.
    pub tcb_levels: Vec<ModuleTcbLevel>,
}

/// A level of a TDX module.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleTcbLevel {
    /// From which SVN on.
    pub tcb: ModuleTcb,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub tcb_date: u64,
    /// `UpToDate`, `OutOfDate`, `Revoked`.
    pub tcb_status: String,
    /// What it is vulnerable to.
    #[serde(rename = "advisoryIDs", skip_serializing_if = "Vec::is_empty")]
    pub advisory_ids: Vec<String>,
}

/// The SVN of a TDX module, as quotes carry it in the first byte of `TEE_TCB_SVN`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ModuleTcb {
    /// The least SVN.
    pub isvsvn: u8,
}

/// A level of a platform.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TcbLevel {
    /// From which SVNs on.
    pub tcb: Tcb,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub tcb_date: u64,
    /// `UpToDate`, `OutOfDate`, `ConfigurationNeeded`, `SWHardeningNeeded`, `Revoked` and combinations.
    pub tcb_status: String,
    /// What it is vulnerable to.
    #[serde(rename = "advisoryIDs", skip_serializing_if = "Vec::is_empty")]
    pub advisory_ids: Vec<String>,
}

/// The least SVNs of a level.
#[derive(Debug, Clone, Serialize)]
pub struct Tcb {
    /// 16 SGX components, compared with the PCK certificate's CPUSVN.
    #[serde(rename = "sgxtcbcomponents", serialize_with = "json::sgx_components")]
    pub sgx: Vec<u8>,
    /// Compared with the PCK certificate's PCESVN.
    pub pcesvn: u16,
    /// 16 TDX components, compared with the quote's `TEE_TCB_SVN`.
    #[serde(rename = "tdxtcbcomponents", serialize_with = "json::tdx_components")]
    pub tdx: Vec<u8>,
}

/// 16 components that begin with these.
fn components(first: &[u8]) -> Vec<u8> {
    first.iter().copied().chain(std::iter::repeat(0)).take(16).collect()
}

fn advisories(numbers: &[u16]) -> Vec<String> {
    numbers.iter().map(|number| format!("INTEL-SA-{number:05}")).collect()
}

impl TcbInfoSpec {
    /// TCB info of a server platform, issued at `issued` (Unix seconds), with the levels of a genuine one.
    pub(super) fn healthy(issued: u64) -> Self {
        Self {
            id: "TDX".to_owned(),
            version: 3,
            issue_date: issued,
            next_update: issued.saturating_add(MONTH),
            fmspc: None,
            pce_id: [0; 2],
            tcb_type: 0,
            tcb_evaluation_data_number: 20,
            tdx_module: Some(TdxModule::default()),
            tdx_module_identities: vec![
                TdxModuleIdentity::new(3, &[(5, 100, &[]), (3, 190, &[1245, 1312])], issued),
                TdxModuleIdentity::new(
                    1,
                    &[
                        (11, 100, &[]),
                        (6, 190, &[1192, 1245, 1312]),
                        (4, 620, &[1036, 1099, 1192, 1245, 1312]),
                        (2, 830, &[1036, 1099, 1192, 1245, 1312]),
                    ],
                    issued,
                ),
            ],
            tcb_levels: TcbLevel::genuine(issued),
        }
    }

    /// What will be required next: one evaluation number further, and the best level of today out of date.
    ///
    /// Intel serves this for months beside today's, to whoever asks with `update=early`.
    #[must_use]
    pub fn early(&self) -> Self {
        let mut next = self.clone();
        next.tcb_evaluation_data_number = next.tcb_evaluation_data_number.saturating_add(1);
        if let Some(best) = next.tcb_levels.first_mut() {
            let mut required = best.clone();
            required.tcb.sgx.iter_mut().take(2).for_each(|svn| *svn = svn.saturating_add(1));
            required.tcb_date = json::days_before(self.issue_date, 10);
            "OutOfDate".clone_into(&mut best.tcb_status);
            best.advisory_ids = advisories(&[1367]);
            next.tcb_levels.insert(0, required);
        }
        next
    }

    /// Makes every platform out of date, by requiring of the best level what no platform has yet.
    pub fn require_more_than_any_platform_has(&mut self) {
        if let Some(first) = self.tcb_levels.first_mut().and_then(|best| best.tcb.sgx.first_mut()) {
            *first = u8::MAX;
        }
    }
}

impl Default for TdxModule {
    fn default() -> Self {
        Self { mrsigner: [0; 48], attributes: [0; 8], attributes_mask: [0xff; 8] }
    }
}

impl TdxModuleIdentity {
    /// The identity of a module version with levels of (least SVN, age in days, advisories), the best first.
    fn new(version: u8, levels: &[(u8, u64, &[u16])], now: u64) -> Self {
        let level = |&(isvsvn, days, ids): &(u8, u64, &[u16])| ModuleTcbLevel {
            tcb: ModuleTcb { isvsvn },
            tcb_date: json::days_before(now, days),
            tcb_status: status(ids),
            advisory_ids: advisories(ids),
        };
        Self {
            id: format!("TDX_{version:02X}"),
            module: TdxModule::default(),
            tcb_levels: levels.iter().map(level).collect(),
        }
    }
}

impl TcbLevel {
    fn new(sgx: &[u8], pcesvn: u16, microcode: u8, days: u64, ids: &[u16], now: u64) -> Self {
        Self {
            tcb: Tcb { sgx: components(sgx), pcesvn, tdx: components(&[5, 0, microcode]) },
            tcb_date: json::days_before(now, days),
            tcb_status: status(ids),
            advisory_ids: advisories(ids),
        }
    }

    /// The levels of a genuine server platform.
    fn genuine(now: u64) -> Vec<Self> {
        let oldest = [
            106, 115, 135, 203, 220, 233, 270, 293, 320, 329, 381, 389, 477, 837, 1036, 1079, 1099, 1103,
            1111, 1192, 1245, 1312, 1313,
        ];
        vec![
            Self::new(&[4, 4, 2, 2, 4, 1, 0, 5], 11, 4, 100, &[], now),
            Self::new(&[3, 3, 2, 2, 4, 1, 0, 5], 11, 3, 190, &[1192, 1245, 1312, 1313], now),
            Self::new(
                &[2, 2, 2, 2, 3, 1, 0, 5],
                11,
                2,
                620,
                &[1036, 1079, 1099, 1103, 1111, 1192, 1245, 1312, 1313],
                now,
            ),
            Self::new(&[2, 2, 2, 2, 3, 1, 0, 5], 5, 2, 2800, &oldest, now),
        ]
    }
}

/// The status of a level with these advisories.
fn status(advisories: &[u16]) -> String {
    if advisories.is_empty() { "UpToDate" } else { "OutOfDate" }.to_owned()
}
