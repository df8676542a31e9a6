//! What a simulated quote says: every field of header, TD report, QE report and certification data.
//!
//! [`QuoteSpec::default`] is a healthy TD of version 4; a test changes the field that is its fault. Whatever a
//! specification says is signed as it is, so that a fault is never hidden behind a broken signature; where the
//! broken signature is the fault, [`Broken`] says which.

mod build;

use dcap_qvl::quote::{Report, TDReport10, TDReport15, TDReport15Ex};
use kms_attestation::hash::{sha256, sha384};
use kms_attestation::ids::{Measurement, ReportData};

pub(crate) use self::build::Signing;
use crate::collateral::{QE_ISVPRODID, QE_MRSIGNER};

/// The vendor of Intel's quoting enclave.
const INTEL_QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// TDX module 1.5 (version 1, SVN 11) and microcode SVN 4: what reaches the best TCB level.
const TEE_TCB_SVN: [u8; 16] = [11, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `SEPT_VE_DISABLE`, bit 28, and nothing else.
const TD_ATTRIBUTES: [u8; 8] = [0, 0, 0, 0x10, 0, 0, 0, 0];
/// x87, SSE, AVX, AVX-512, PKRU, AMX.
const XFAM: [u8; 8] = [0xe7, 0x02, 0x06, 0, 0, 0, 0, 0];

/// Which TD report a quote carries. Version 4 knows the first only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// TDX 1.0, 584 bytes.
    Td10,
    /// TDX 1.5, 648 bytes: adds the TCB after a TD-preserving update.
    Td15,
    /// TDX 1.5 extended, 885 bytes: adds service TDs and partitions.
    Td15Ex,
}

/// Which of a quote's three links does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The attestation key's signature over header and report.
    QuoteSignature,
    /// The PCK's signature over the QE report.
    QeReportSignature,
    /// The hash in the QE report that vouches for the attestation key.
    AttestationKeyHash,
}

/// Bytes written over a quote at some place.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Where, from the quote's first byte.
    pub offset: usize,
    /// What.
    pub bytes: Vec<u8>,
}

/// A quote's content.
#[derive(Debug, Clone)]
pub struct QuoteSpec {
    /// 4 or 5.
    pub version: u16,
    /// 2: ECDSA P-256.
    pub attestation_key_type: u16,
    /// 0x81: TDX.
    pub tee_type: u32,
    /// SVN of the quoting enclave; zero in genuine quotes of these versions.
    pub qe_svn: u16,
    /// SVN of the provisioning certification enclave; zero as well.
    pub pce_svn: u16,
    /// Who made the quoting enclave.
    pub qe_vendor_id: [u8; 16],
    /// What the quoting enclave adds.
    pub user_data: [u8; 20],
    /// Which report.
    pub report_kind: ReportKind,
    /// SVNs of TDX module and microcode when the TD was launched.
    pub tee_tcb_svn: [u8; 16],
    /// The TDX module.
    pub mr_seam: Measurement,
    /// Its signer: zeros mean Intel.
    pub mr_signer_seam: [u8; 48],
    /// Its attributes.
    pub seam_attributes: [u8; 8],
    /// The TD's attributes.
    pub td_attributes: [u8; 8],
    /// Which processor state the TD may use.
    pub xfam: [u8; 8],
    /// The TD's initial content.
    pub mr_td: Measurement,
    /// What the host said the configuration is.
    pub mr_config_id: Measurement,
    /// What the host said the owner is.
    pub mr_owner: Measurement,
    /// What the host said the owner's configuration is.
    pub mr_owner_config: Measurement,
    /// RTMR0 to RTMR3.
    pub rtmrs: [Measurement; 4],
    /// What the TD chose.
    pub report_data: ReportData,
    /// TDX 1.5: SVNs now.
    pub tee_tcb_svn2: [u8; 16],
    /// TDX 1.5: the service TD bound at launch.
    pub mr_service_td: Measurement,
    /// TDX 1.5 extended: the fields beyond those of TDX 1.5.
    pub extended: ExtendedReport,
    /// The quoting enclave's report.
    pub qe_report: QeReportSpec,
    /// The quoting enclave's authentication data: 32 bytes.
    pub qe_auth_data: Vec<u8>,
    /// The type of the outer certification data: 6, a QE report with its certification data.
    pub outer_certification_type: u16,
    /// The type of the inner certification data: 5, a PCK certificate chain.
    pub inner_certification_type: u16,
    /// The inner certification data, where it is not the host's PCK certificate chain.
    pub certification_data: Option<Vec<u8>>,
    /// What does not hold.
    pub broken: Option<Broken>,
    /// Written over header and report before they are signed.
    pub patches_before_signing: Vec<Patch>,
    /// Written over the whole quote at the end.
    pub patches_after_signing: Vec<Patch>,
    /// Bytes after the end.
    pub trailing: Vec<u8>,
}

/// The fields that the extended report of TDX 1.5 adds.
#[derive(Debug, Clone)]
pub struct ExtendedReport {
    /// 0 for a TD without partitions.
    pub vmid: u8,
    /// The TD's identity.
    pub td_id: [u8; 32],
    /// Hash of the devices' information.
    pub dev_info: [u8; 48],
    /// Service TDs bound at creation.
    pub init_service_td_hash: [u8; 48],
    /// Their attributes.
    pub init_service_td_attributes: [u8; 8],
    /// CPUSVN at creation.
    pub init_cpu_svn: [u8; 16],
    /// `TEE_TCB_SVN` at creation.
    pub init_tee_tcb_svn: [u8; 16],
    /// Model of the platform at creation.
    pub init_tee_fmspc: [u8; 12],
    /// Service TDs bound now.
    pub cur_service_td_hash: [u8; 48],
    /// Their attributes.
    pub cur_service_td_attributes: [u8; 8],
}

/// The quoting enclave's report.
#[derive(Debug, Clone)]
pub struct QeReportSpec {
    /// The platform's SVNs in their raw form, which nobody compares.
    pub cpu_svn: [u8; 16],
    /// MISCSELECT.
    pub misc_select: u32,
    /// ATTRIBUTES.
    pub attributes: [u8; 16],
    /// The enclave's content.
    pub mr_enclave: [u8; 32],
    /// Its signer.
    pub mr_signer: [u8; 32],
    /// Its product id.
    pub isv_prod_id: u16,
    /// Its SVN.
    pub isv_svn: u16,
    /// What it vouches for, where that is not the attestation key.
    pub report_data: Option<[u8; 64]>,
}

impl Default for QuoteSpec {
    fn default() -> Self {
        let register = |name: &str| Measurement(sha384(&[b"SIMULATED ", name.as_bytes()]));
        Self {
            version: 4,
            attestation_key_type: 2,
            tee_type: 0x81,
            qe_svn: 0,
            pce_svn: 0,
            qe_vendor_id: INTEL_QE_VENDOR_ID,
            user_data: [0; 20],
            report_kind: ReportKind::Td10,
            tee_tcb_svn: TEE_TCB_SVN,
            mr_seam: register("TDX module"),
            mr_signer_seam: [0; 48],
            seam_attributes: [0; 8],
            td_attributes: TD_ATTRIBUTES,
            xfam: XFAM,
            mr_td: register("MRTD"),
            mr_config_id: Measurement::ZERO,
            mr_owner: Measurement::ZERO,
            mr_owner_config: Measurement::ZERO,
            rtmrs: ["RTMR0", "RTMR1", "RTMR2", "RTMR3"].map(register),
            report_data: ReportData::ZERO,
            tee_tcb_svn2: TEE_TCB_SVN,
            mr_service_td: Measurement::ZERO,
            extended: ExtendedReport::default(),
            qe_report: QeReportSpec::default(),
            qe_auth_data: (0..32).collect(),
            outer_certification_type: 6,
            inner_certification_type: 5,
            certification_data: None,
            broken: None,
            patches_before_signing: Vec::new(),
            patches_after_signing: Vec::new(),
            trailing: Vec::new(),
        }
    }
}

impl QuoteSpec {
    /// A healthy TD whose quote carries that report: version 4 for TDX 1.0, version 5 for the others.
    #[must_use]
    pub fn of_kind(report_kind: ReportKind) -> Self {
        let version = if report_kind == ReportKind::Td10 { 4 } else { 5 };
        Self { version, report_kind, ..Self::default() }
    }

    fn report(&self) -> Report {
        match self.report_kind {
            ReportKind::Td10 => Report::TD10(self.td10()),
            ReportKind::Td15 => Report::TD15(self.td15()),
            ReportKind::Td15Ex => Report::TD15Ex(self.td15_ex()),
        }
    }

    fn td10(&self) -> TDReport10 {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = self.rtmrs;
        TDReport10 {
            tee_tcb_svn: self.tee_tcb_svn,
            mr_seam: self.mr_seam.0,
            mr_signer_seam: self.mr_signer_seam,
            seam_attributes: self.seam_attributes,
            td_attributes: self.td_attributes,
            xfam: self.xfam,
            mr_td: self.mr_td.0,
            mr_config_id: self.mr_config_id.0,
            mr_owner: self.mr_owner.0,
            mr_owner_config: self.mr_owner_config.0,
            rt_mr0: rtmr0.0,
            rt_mr1: rtmr1.0,
            rt_mr2: rtmr2.0,
            rt_mr3: rtmr3.0,
            report_data: self.report_data.0,
        }
    }

    fn td15(&self) -> TDReport15 {
        TDReport15 { base: self.td10(), tee_tcb_svn2: self.tee_tcb_svn2, mr_service_td: self.mr_service_td.0 }
    }

    fn td15_ex(&self) -> TDReport15Ex {
        let extended = &self.extended;
        TDReport15Ex {
            base: self.td15(),
            vmid: extended.vmid,
            td_id: extended.td_id,
            dev_info: extended.dev_info,
            init_service_td_hash: extended.init_service_td_hash,
            init_service_td_attributes: extended.init_service_td_attributes,
            init_cpu_svn: extended.init_cpu_svn,
            init_tee_tcb_svn: extended.init_tee_tcb_svn,
            init_tee_fmspc: extended.init_tee_fmspc,
            cur_service_td_hash: extended.cur_service_td_hash,
            cur_service_td_attributes: extended.cur_service_td_attributes,
        }
    }
}

impl Default for ExtendedReport {
    fn default() -> Self {
        Self {
            vmid: 0,
            td_id: [0; 32],
            dev_info: [0; 48],
            init_service_td_hash: [0; 48],
            init_service_td_attributes: [0; 8],
            init_cpu_svn: [0; 16],
            init_tee_tcb_svn: TEE_TCB_SVN,
            init_tee_fmspc: [0; 12],
            cur_service_td_hash: [0; 48],
            cur_service_td_attributes: [0; 8],
        }
    }
}

impl Default for QeReportSpec {
    fn default() -> Self {
        Self {
            cpu_svn: [4, 4, 0x19, 0x1b, 4, 0xff, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0],
            misc_select: 0,
            attributes: [0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0],
            mr_enclave: sha256(&[b"SIMULATED TD QE"]),
            mr_signer: QE_MRSIGNER,
            isv_prod_id: QE_ISVPRODID,
            isv_svn: 6,
            report_data: None,
        }
    }
}
