//! QE identity, version 2: what the quoting enclave for TDs must be.
//!
//! Field order and spelling are Intel's. The values are those of Intel's enclave, since verifiers may know them.

use serde::Serialize;

use super::{MONTH, json};

/// The signer of Intel's quoting enclaves.
pub(crate) const QE_MRSIGNER: [u8; 32] = [
    0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17, 0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03, 0x0f,
    0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf, 0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5,
];
/// The product id of the quoting enclave for TDs.
pub(crate) const QE_ISVPRODID: u16 = 2;

/// What the quoting enclave must be.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QeIdentitySpec {
    /// `TD_QE`.
    pub id: String,
    /// 2.
    pub version: u8,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub issue_date: u64,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub next_update: u64,
    /// Grows by one with each TCB recovery.
    pub tcb_evaluation_data_number: u32,
    /// The enclave's MISCSELECT, where the mask is set.
    #[serde(serialize_with = "json::hex")]
    pub miscselect: [u8; 4],
    /// Which bits of it count.
    #[serde(rename = "miscselectMask", serialize_with = "json::hex")]
    pub miscselect_mask: [u8; 4],
    /// The enclave's attributes, where the mask is set.
    #[serde(serialize_with = "json::hex")]
    pub attributes: [u8; 16],
    /// Which bits of them count.
    #[serde(serialize_with = "json::hex")]
    pub attributes_mask: [u8; 16],
    /// The enclave's signer.
    #[serde(serialize_with = "json::hex")]
    pub mrsigner: [u8; 32],
    /// The enclave's product id.
    pub isvprodid: u16,
    /// The levels, best first.
    pub tcb_levels: Vec<QeTcbLevel>,
}

/// A level of the quoting enclave.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QeTcbLevel {
    /// From which SVN on.
    pub tcb: QeTcb,
    /// In Unix seconds.
    #[serde(serialize_with = "json::date")]
    pub tcb_date: u64,
    /// `UpToDate`, `OutOfDate`, `ConfigurationNeeded`, `Revoked`.
    pub tcb_status: String,
    /// What it is vulnerable to.
    #[serde(rename = "advisoryIDs", skip_serializing_if = "Vec::is_empty")]
    pub advisory_ids: Vec<String>,
}

/// The SVN of the quoting enclave.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QeTcb {
    /// The least SVN.
    pub isvsvn: u16,
}

impl QeIdentitySpec {
    /// The identity of Intel's quoting enclave, issued at `issued` (Unix seconds).
    pub(super) fn healthy(issued: u64) -> Self {
        let mut attributes_mask = [0; 16];
        attributes_mask
            .iter_mut()
            .zip([0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
            .for_each(|(byte, mask)| *byte = mask);
        let mut attributes = [0; 16];
        attributes.iter_mut().take(1).for_each(|byte| *byte = 0x11);
        Self {
            id: "TD_QE".to_owned(),
            version: 2,
            issue_date: issued,
            next_update: issued.saturating_add(MONTH),
            tcb_evaluation_data_number: 20,
            miscselect: [0; 4],
            miscselect_mask: [0xff; 4],
            attributes,
            attributes_mask,
            mrsigner: QE_MRSIGNER,
            isvprodid: QE_ISVPRODID,
            tcb_levels: vec![QeTcbLevel {
                tcb: QeTcb { isvsvn: 4 },
                tcb_date: json::days_before(issued, 190),
                tcb_status: "UpToDate".to_owned(),
                advisory_ids: Vec::new(),
            }],
        }
    }

    /// What will be required next: one evaluation number further, and otherwise the same, as most often.
    #[must_use]
    pub fn early(&self) -> Self {
        let number = self.tcb_evaluation_data_number.saturating_add(1);
        Self { tcb_evaluation_data_number: number, ..self.clone() }
    }
}
