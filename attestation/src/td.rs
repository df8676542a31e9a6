//! The TD report inside a quote: registers, attributes, and the attributes that a guest must have.
//!
//! Offsets are those of Intel's `sgx_report2_body_t` (TDX 1.0), `..._v1_5_t` and `..._v1_5_ex_t`. Believe nothing here
//! before the quote's signature is verified.

use dcap_qvl::quote::{Report, TDReport10};
use serde::Serialize;

use crate::deny::{DenyCode, DenyReason};
use crate::ids::{Measurement, ReportData};

/// The only accepted TD attributes: `SEPT_VE_DISABLE` (bit 28) and nothing else. Every genuine production guest has
/// exactly these.
pub const TD_ATTRIBUTES: u64 = 1 << 28;
/// Attribute bit 0: the host can read and write the TD's memory and registers.
const TD_ATTRIBUTE_DEBUG: u64 = 1;
/// XFAM bits that are always set: x87 and SSE (TDX module ABI, "XFAM").
const XFAM_FIXED1: u64 = 0x3;
/// XFAM bits that may be set at all.
const XFAM_FIXED0: u64 = 0x6_DBE7;

/// The layout of a TD report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TdReportVersion {
    /// TDX 1.0, in quotes of version 4 and 5.
    Td10,
    /// TDX 1.5.
    Td15,
    /// TDX 1.5 with the extended service-TD fields.
    Td15Ex,
}

/// What the TDX module reports of a TD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdReport {
    /// Which layout it had.
    pub version: TdReportVersion,
    /// The security version numbers under which the TD was launched.
    pub tee_tcb_svn: [u8; 16],
    /// The current security version numbers, where the layout has them: a module can be updated under a TD.
    pub tee_tcb_svn2: Option<[u8; 16]>,
    /// The TDX module's measurement.
    pub mr_seam: Measurement,
    /// The TDX module's signer; zeros for Intel.
    pub mr_signer_seam: Measurement,
    /// The TD's attributes.
    pub td_attributes: u64,
    /// The CPU's extended features that the TD may use.
    pub xfam: u64,
    /// The initial memory: firmware.
    pub mrtd: Measurement,
    /// Set by whoever starts the TD: its configuration.
    pub mr_config_id: Measurement,
    /// Set by whoever starts the TD: its owner.
    pub mr_owner: Measurement,
    /// Set by whoever starts the TD: its owner's configuration.
    pub mr_owner_config: Measurement,
    /// RTMR0 (virtual hardware), RTMR1 (boot), RTMR2 (kernel, initrd, command line), RTMR3 (application).
    pub rtmr: [Measurement; 4],
    /// The 64 bytes that the TD chose.
    pub report_data: ReportData,
    /// Whether any service TD is, or at its creation was, bound to it.
    pub has_service_td: bool,
    /// The nested guest of a partitioned TD that asked; 0 is the TD itself.
    pub vm_index: u8,
}

impl TdReport {
    /// The report in a parsed quote; none if the quote is not a TD's.
    pub(crate) fn read(report: &Report) -> Option<Self> {
        let base = Self::read_td10(report.as_td10()?);
        let Some(td15) = report.as_td15() else { return Some(base) };
        let td15 = Self {
            version: TdReportVersion::Td15,
            tee_tcb_svn2: Some(td15.tee_tcb_svn2),
            has_service_td: td15.mr_service_td != [0; 48],
            ..base
        };
        let Some(ex) = report.as_td15_ex() else { return Some(td15) };
        let service_td_fields: [&[u8]; 4] = [
            &ex.init_service_td_hash,
            &ex.init_service_td_attributes,
            &ex.cur_service_td_hash,
            &ex.cur_service_td_attributes,
        ];
        let unset = service_td_fields.concat().iter().all(|byte| *byte == 0);
        Some(Self {
            version: TdReportVersion::Td15Ex,
            has_service_td: td15.has_service_td || !unset,
            vm_index: ex.vmid,
            ..td15
        })
    }

    fn read_td10(report: &TDReport10) -> Self {
        Self {
            version: TdReportVersion::Td10,
            tee_tcb_svn: report.tee_tcb_svn,
            tee_tcb_svn2: None,
            mr_seam: Measurement(report.mr_seam),
            mr_signer_seam: Measurement(report.mr_signer_seam),
            td_attributes: u64::from_le_bytes(report.td_attributes),
            xfam: u64::from_le_bytes(report.xfam),
            mrtd: Measurement(report.mr_td),
            mr_config_id: Measurement(report.mr_config_id),
            mr_owner: Measurement(report.mr_owner),
            mr_owner_config: Measurement(report.mr_owner_config),
            rtmr: [report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3].map(Measurement),
            report_data: ReportData(report.report_data),
            has_service_td: false,
            vm_index: 0,
        }
    }

    /// Checks that this is a production guest that nobody but its own code can look into.
    ///
    /// Refused with `td-debug`, `td-attributes-not-allowed`, `td-xfam-invalid`, `td-service-td-bound` or
    /// `td-partitioned`. No policy can allow any of these.
    pub(crate) fn check_production(&self) -> Result<(), DenyReason> {
        let deny = |code, found: String, expected: String| Err(DenyReason::new(code, found, expected));
        let attributes = format!("attributes {}", hex_le(self.td_attributes));
        let expected_attributes = format!("exactly {} (SEPT_VE_DISABLE)", hex_le(TD_ATTRIBUTES));
        if self.td_attributes & TD_ATTRIBUTE_DEBUG != 0 {
            return deny(DenyCode::TdDebug, attributes, expected_attributes);
        }
        if self.td_attributes != TD_ATTRIBUTES {
            return deny(DenyCode::TdAttributes, attributes, expected_attributes);
        }
        if self.xfam & XFAM_FIXED1 != XFAM_FIXED1 || self.xfam & !XFAM_FIXED0 != 0 {
            let expected = format!("{} set, none outside {}", hex_le(XFAM_FIXED1), hex_le(XFAM_FIXED0));
            return deny(DenyCode::TdXfam, format!("XFAM {}", hex_le(self.xfam)), expected);
        }
        if self.has_service_td {
            return deny(
                DenyCode::TdServiceTd,
                "a bound service TD".into(),
                "all service-TD fields zero".into(),
            );
        }
        if self.vm_index != 0 {
            return deny(DenyCode::TdPartition, format!("VM index {}", self.vm_index), "VM index 0".into());
        }
        Ok(())
    }
}

/// The text form of attributes and XFAM: the bytes as they stand in the quote, in hexadecimal.
#[must_use]
pub fn hex_le(value: u64) -> String {
    hex::encode(value.to_le_bytes())
}
