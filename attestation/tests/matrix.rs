//! Platforms with exactly one fault: each is refused with its own code, and its healthy twin, which differs in that
//! one respect, is accepted. Both go through the production path with the simulator's root.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use dcap_qvl::{QuoteCollateralV3, TcbStatus};
use kms_attestation::collateral::Collateral;
use kms_attestation::deny::{DenyClass, DenyCode, DenyReason};
use kms_attestation::ids::{Fmspc, Measurement};
use kms_attestation::policy::Policy;
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use kms_attestation::verify::{VerifiedQuote, Verifier};
use kms_simulator::collateral::{QeTcb, QeTcbLevel};
use kms_simulator::host::Host;
use kms_simulator::pki::{Authority, SignerKey, Validity};
use kms_simulator::platform::Platform;
use kms_simulator::quote::{Broken, Patch, QuoteSpec, ReportKind};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// Everything that a verification depends on.
struct World {
    platform: Platform,
    spec: QuoteSpec,
    policy: Policy,
    now: u64,
    out_of_date_since: Option<u64>,
    edit_quote: fn(&mut Vec<u8>),
    edit_collateral: fn(&mut QuoteCollateralV3),
}

impl World {
    fn healthy() -> Self {
        Self {
            platform: Platform::from_seed(7, NOW).unwrap(),
            spec: QuoteSpec::default(),
            policy: Policy::default(),
            now: NOW,
            out_of_date_since: None,
            edit_quote: |_| (),
            edit_collateral: |_| (),
        }
    }

    fn host(&mut self) -> &mut Host {
        self.platform.host_mut(0).unwrap()
    }

    /// The platform's best level asks for more than it has, so that it has the second level.
    fn fall_out_of_date(&mut self) {
        self.host().pck.cpu_svn[0] = 3;
    }

    fn qe_level(&mut self, isvsvn: u16, status: &str) {
        let level = QeTcbLevel {
            tcb: QeTcb { isvsvn },
            tcb_date: NOW - 100 * DAY,
            tcb_status: status.to_owned(),
            advisory_ids: Vec::new(),
        };
        self.platform.collateral.qe_identity.tcb_levels = vec![level];
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(RootOfTrust::configured(&self.platform.root_der()).unwrap())
    }

    fn verify(&self) -> Result<VerifiedQuote, DenyReason> {
        self.verify_by(&self.verifier())
    }

    /// The same by a verifier that has found the healthy platform genuine before, and then this one if it is.
    fn verify_again(&self) -> Result<VerifiedQuote, DenyReason> {
        let verifier = self.verifier();
        Self::healthy().verify_by(&verifier).unwrap();
        let first = self.verify_by(&verifier);
        assert_eq!(self.verify_by(&verifier), first);
        first
    }

    fn verify_by(&self, verifier: &Verifier) -> Result<VerifiedQuote, DenyReason> {
        let host = self.platform.host(0).unwrap();
        let mut quote = host.quote(&self.spec).unwrap();
        (self.edit_quote)(&mut quote);
        let mut collateral = self.platform.collateral_of(host.fmspc()).unwrap();
        (self.edit_collateral)(&mut collateral);
        let quote = verifier.parse(&quote)?;
        let collateral = verifier.check_collateral(Collateral::new(collateral), self.now)?;
        let authentic = verifier.authenticate(&quote, &collateral, self.now)?;
        authentic.appraise(&self.policy, self.now, self.out_of_date_since)
    }
}

type Change = fn(&mut World);
type Case = (&'static str, DenyCode, Change, Change);

/// The twin of faults that have no boundary: nothing is changed.
const UNCHANGED: Change = |_| ();
const TD10_V5: Change = |w| w.spec.version = 5;
const TD15: Change = |w| w.spec = QuoteSpec::of_kind(ReportKind::Td15);
const TD15_EX: Change = |w| w.spec = QuoteSpec::of_kind(ReportKind::Td15Ex);

fn patch(offset: usize, bytes: &[u8]) -> Patch {
    Patch { offset, bytes: bytes.to_vec() }
}

/// Faults of the quote's form: refused before any signature is verified.
const FORM: &[Case] = &[
    (
        "larger than 16 KiB",
        DenyCode::QuoteTooLarge,
        |w| w.edit_quote = |q| q.resize(16 * 1024 + 1, 0),
        UNCHANGED,
    ),
    ("a megabyte", DenyCode::QuoteTooLarge, |w| w.edit_quote = |q| q.resize(1024 * 1024, 0), UNCHANGED),
    ("empty", DenyCode::QuoteMalformed, |w| w.edit_quote = Vec::clear, UNCHANGED),
    ("cut in the header", DenyCode::QuoteMalformed, |w| w.edit_quote = |q| q.truncate(47), UNCHANGED),
    ("cut in the report", DenyCode::QuoteMalformed, |w| w.edit_quote = |q| q.truncate(600), UNCHANGED),
    ("cut in the signature", DenyCode::QuoteMalformed, |w| w.edit_quote = |q| q.truncate(700), UNCHANGED),
    ("cut by one byte", DenyCode::QuoteMalformed, |w| w.edit_quote = |q| q.truncate(q.len() - 1), UNCHANGED),
    ("one byte after the end", DenyCode::QuoteTrailingBytes, |w| w.spec.trailing = vec![0], UNCHANGED),
    (
        "slack inside the signature data",
        DenyCode::QuoteTrailingBytes,
        |w| {
            w.edit_quote = |q| {
                q.push(0);
                let length = u32::from_le_bytes(q[632..636].try_into().unwrap()) + 1;
                q[632..636].copy_from_slice(&length.to_le_bytes());
            };
        },
        UNCHANGED,
    ),
    ("version 3", DenyCode::QuoteVersion, |w| w.spec.version = 3, UNCHANGED),
    ("version 6", DenyCode::QuoteVersion, |w| w.spec.version = 6, TD10_V5),
    ("an SGX enclave", DenyCode::QuoteTeeType, |w| w.spec.tee_type = 0, UNCHANGED),
    (
        "an SGX report in a quote of version 5 that claims TDX",
        DenyCode::QuoteMalformed,
        |w| {
            w.spec.version = 5;
            w.spec.patches_after_signing = vec![patch(48, &[1, 0])];
        },
        TD10_V5,
    ),
    (
        "an unknown report type",
        DenyCode::QuoteMalformed,
        |w| {
            w.spec.version = 5;
            w.spec.patches_before_signing = vec![patch(48, &[5, 0])];
        },
        TD10_V5,
    ),
    (
        "a report size that is not its type's",
        DenyCode::QuoteMalformed,
        |w| {
            w.spec.version = 5;
            w.spec.patches_before_signing = vec![patch(50, &585_u32.to_le_bytes())];
        },
        TD10_V5,
    ),
    ("a P-384 key", DenyCode::QuoteKeyType, |w| w.spec.attestation_key_type = 3, UNCHANGED),
    ("another vendor", DenyCode::QuoteVendor, |w| w.spec.qe_vendor_id[15] ^= 1, UNCHANGED),
    (
        "outer certification type 5",
        DenyCode::QuoteCertificationType,
        |w| w.spec.outer_certification_type = 5,
        UNCHANGED,
    ),
    ("encrypted PPID", DenyCode::QuoteCertificationType, |w| w.spec.inner_certification_type = 3, UNCHANGED),
    (
        "a lone PCK certificate",
        DenyCode::QuoteCertificationType,
        |w| w.spec.inner_certification_type = 4,
        UNCHANGED,
    ),
    ("31 bytes of QE data", DenyCode::QuoteMalformed, |w| w.spec.qe_auth_data.truncate(31), UNCHANGED),
    ("no PEM", DenyCode::PckChainMalformed, |w| w.spec.certification_data = Some(b"x".to_vec()), UNCHANGED),
    (
        "a chain of one",
        DenyCode::PckChainMalformed,
        |w| {
            let chain = w.host().pck_chain_pem().unwrap();
            let end = chain.find("-----BEGIN CERTIFICATE-----\n").unwrap() + 1;
            let second = chain[end..].find("-----BEGIN").unwrap() + end;
            w.spec.certification_data = Some(chain.into_bytes()[..second].to_vec());
        },
        UNCHANGED,
    ),
    (
        "a chain of eight",
        DenyCode::PckChainMalformed,
        |w| {
            let chain = w.host().pck_chain_pem().unwrap();
            w.spec.certification_data = Some((chain.clone() + &chain + &chain).into_bytes());
        },
        UNCHANGED,
    ),
    ("a PPID of 15 bytes", DenyCode::PpidInvalid, |w| w.host().pck.ppid.truncate(15), UNCHANGED),
    (
        "a PPID of zeros",
        DenyCode::PpidInvalid,
        |w| w.host().pck.ppid = vec![0; 16],
        |w| w.host().pck.ppid = vec![1; 16],
    ),
];

/// Faults of the TD itself.
const TD: &[Case] = &[
    ("debug", DenyCode::TdDebug, |w| w.spec.td_attributes[0] = 1, UNCHANGED),
    ("profiled", DenyCode::TdAttributes, |w| w.spec.td_attributes[0] = 0x10, UNCHANGED),
    ("migratable", DenyCode::TdAttributes, |w| w.spec.td_attributes[3] = 0x30, UNCHANGED),
    ("without SEPT_VE_DISABLE", DenyCode::TdAttributes, |w| w.spec.td_attributes[3] = 0, UNCHANGED),
    ("with protection keys", DenyCode::TdAttributes, |w| w.spec.td_attributes[3] = 0x50, UNCHANGED),
    ("with performance counters", DenyCode::TdAttributes, |w| w.spec.td_attributes[7] = 0x80, UNCHANGED),
    ("a reserved attribute", DenyCode::TdAttributes, |w| w.spec.td_attributes[4] = 1, UNCHANGED),
    (
        "XFAM without SSE",
        DenyCode::TdXfam,
        |w| w.spec.xfam[0] = 0xe5,
        |w| w.spec.xfam = [3, 0, 0, 0, 0, 0, 0, 0],
    ),
    (
        "XFAM beyond the architecture",
        DenyCode::TdXfam,
        |w| w.spec.xfam[7] = 1,
        |w| w.spec.xfam = [0xe7, 0xdb, 6, 0, 0, 0, 0, 0],
    ),
    (
        "TDX 1.5 with a service TD",
        DenyCode::TdServiceTd,
        |w| {
            TD15(w);
            w.spec.mr_service_td = Measurement([1; 48]);
        },
        TD15,
    ),
    (
        "TDX 1.5ex with a service TD bound now",
        DenyCode::TdServiceTd,
        |w| {
            TD15_EX(w);
            w.spec.extended.cur_service_td_hash[0] = 1;
        },
        TD15_EX,
    ),
    (
        "TDX 1.5ex with a service TD bound at creation",
        DenyCode::TdServiceTd,
        |w| {
            TD15_EX(w);
            w.spec.extended.init_service_td_hash[47] = 1;
        },
        TD15_EX,
    ),
    (
        "TDX 1.5ex with service-TD attributes",
        DenyCode::TdServiceTd,
        |w| {
            TD15_EX(w);
            w.spec.extended.cur_service_td_attributes[0] = 1;
        },
        TD15_EX,
    ),
    (
        "TDX 1.5ex, nested guest",
        DenyCode::TdPartition,
        |w| {
            TD15_EX(w);
            w.spec.extended.vmid = 1;
        },
        TD15_EX,
    ),
];

/// Faults of who signed the quote.
const SIGNERS: &[Case] = &[
    (
        "quote signature",
        DenyCode::QuoteSignature,
        |w| w.spec.broken = Some(Broken::QuoteSignature),
        UNCHANGED,
    ),
    (
        "report data changed after signing",
        DenyCode::QuoteSignature,
        |w| w.edit_quote = |q| q[600] ^= 1,
        UNCHANGED,
    ),
    (
        "QE report signature",
        DenyCode::QeReportSignature,
        |w| w.spec.broken = Some(Broken::QeReportSignature),
        UNCHANGED,
    ),
    (
        "attestation key's hash",
        DenyCode::QeReportBinding,
        |w| w.spec.broken = Some(Broken::AttestationKeyHash),
        UNCHANGED,
    ),
    (
        "PCK of an impostor",
        DenyCode::PckChainUntrusted,
        |w| {
            let mut impostor = w.host().clone();
            impostor.pck.issuer = Authority::ForeignPlatformCa;
            w.spec.certification_data = Some(impostor.pck_chain_pem().unwrap().into_bytes());
        },
        UNCHANGED,
    ),
    (
        "PCK valid from tomorrow",
        DenyCode::PckNotYetValid,
        |w| w.host().pck.validity = Validity { not_before: NOW + 1, not_after: NOW + DAY },
        |w| w.host().pck.validity = Validity { not_before: NOW, not_after: NOW + DAY },
    ),
    (
        "PCK valid until yesterday",
        DenyCode::PckExpired,
        |w| w.host().pck.validity = Validity { not_before: NOW - DAY, not_after: NOW - 1 },
        |w| w.host().pck.validity = Validity { not_before: NOW - DAY, not_after: NOW },
    ),
    ("PCK revoked", DenyCode::PckRevoked, |w| w.platform.revoke_pck(0).unwrap(), UNCHANGED),
    (
        "PCK CA revoked",
        DenyCode::PckCaRevoked,
        |w| w.platform.revoke_authority(Authority::PlatformCa),
        UNCHANGED,
    ),
    (
        "the list of the other CA",
        DenyCode::PckCrlMismatch,
        |w| {
            w.edit_collateral = |c| {
                let mut other = Platform::from_seed(7, NOW).unwrap();
                other.host_mut(0).unwrap().use_processor_ca();
                let other = other.collateral_of(other.host(0).unwrap().fmspc()).unwrap();
                c.pck_crl = other.pck_crl;
                c.pck_crl_issuer_chain = other.pck_crl_issuer_chain;
            };
        },
        |w| w.host().use_processor_ca(),
    ),
    ("QE of another signer", DenyCode::QeIdentityMismatch, |w| w.spec.qe_report.mr_signer[0] ^= 1, UNCHANGED),
    ("QE of another product", DenyCode::QeIdentityMismatch, |w| w.spec.qe_report.isv_prod_id = 1, UNCHANGED),
    ("QE with MISCSELECT", DenyCode::QeIdentityMismatch, |w| w.spec.qe_report.misc_select = 1, UNCHANGED),
    (
        "QE with other attributes",
        DenyCode::QeIdentityMismatch,
        |w| w.spec.qe_report.attributes[1] = 1,
        UNCHANGED,
    ),
    ("QE in debug mode", DenyCode::QeIdentityMismatch, |w| w.spec.qe_report.attributes[0] |= 2, UNCHANGED),
    (
        "QE below every level",
        DenyCode::QeTcbUnknown,
        |w| w.spec.qe_report.isv_svn = 3,
        |w| w.spec.qe_report.isv_svn = 4,
    ),
    (
        "QE out of date",
        DenyCode::QeTcbNotAccepted,
        |w| w.qe_level(1, "OutOfDate"),
        |w| w.qe_level(1, "UpToDate"),
    ),
    (
        "QE in need of configuration, which leaves the converged status alone",
        DenyCode::QeTcbNotAccepted,
        |w| w.qe_level(1, "ConfigurationNeeded"),
        |w| w.qe_level(6, "UpToDate"),
    ),
    ("QE revoked", DenyCode::TcbRevoked, |w| w.qe_level(1, "Revoked"), |w| w.qe_level(1, "UpToDate")),
];

/// Faults of the platform's state, and of policies that are stricter than the platform.
const STATE: &[Case] = &[
    ("microcode out of date", DenyCode::TcbNotAccepted, World::fall_out_of_date, |w| {
        w.fall_out_of_date();
        w.policy.accepted_tcb_statuses.push(TcbStatus::OutOfDate);
    }),
    (
        "TDX module out of date",
        DenyCode::TcbNotAccepted,
        |w| w.spec.tee_tcb_svn[0] = 10,
        |w| w.spec.tee_tcb_svn[0] = 12,
    ),
    (
        "software hardening needed",
        DenyCode::TcbNotAccepted,
        |w| w.platform.collateral.tcb_info.tcb_levels[0].tcb_status = "SWHardeningNeeded".into(),
        |w| {
            w.platform.collateral.tcb_info.tcb_levels[0].tcb_status = "SWHardeningNeeded".into();
            w.policy.accepted_tcb_statuses.push(TcbStatus::SWHardeningNeeded);
        },
    ),
    (
        "configuration needed",
        DenyCode::TcbNotAccepted,
        |w| w.platform.collateral.tcb_info.tcb_levels[0].tcb_status = "ConfigurationNeeded".into(),
        UNCHANGED,
    ),
    (
        "launched before a module update",
        DenyCode::TcbNotAccepted,
        |w| {
            TD15(w);
            w.spec.tee_tcb_svn[0] = 10;
        },
        TD15,
    ),
    (
        "level revoked, whatever policy says",
        DenyCode::TcbRevoked,
        |w| {
            w.platform.collateral.tcb_info.tcb_levels[0].tcb_status = "Revoked".into();
            w.policy.accepted_tcb_statuses.push(TcbStatus::Revoked);
        },
        |w| w.policy.accepted_tcb_statuses.push(TcbStatus::Revoked),
    ),
    ("below every level", DenyCode::TcbUnknown, |w| w.host().pck.cpu_svn = [0; 16], UNCHANGED),
    ("PCE below every level", DenyCode::TcbUnknown, |w| w.host().pck.pce_svn = 0, UNCHANGED),
    (
        "TDX module of an unknown version",
        DenyCode::TdxModuleUnknown,
        |w| w.spec.tee_tcb_svn[1] = 9,
        UNCHANGED,
    ),
    ("TDX module below every level", DenyCode::TdxModuleUnknown, |w| w.spec.tee_tcb_svn[0] = 1, UNCHANGED),
    (
        "TDX module of another signer",
        DenyCode::TdxModuleMismatch,
        |w| w.spec.mr_signer_seam[0] = 1,
        UNCHANGED,
    ),
    ("TDX module in debug mode", DenyCode::TdxModuleMismatch, |w| w.spec.seam_attributes[0] = 1, UNCHANGED),
    (
        "grace over",
        DenyCode::TcbGraceExpired,
        |w| {
            w.fall_out_of_date();
            w.policy.grace_secs = DAY;
            w.out_of_date_since = Some(NOW - DAY - 1);
        },
        |w| {
            w.fall_out_of_date();
            w.policy.grace_secs = DAY;
            w.out_of_date_since = Some(NOW - DAY);
        },
    ),
    (
        "grace for a platform that was never seen up to date",
        DenyCode::TcbNotAccepted,
        |w| {
            w.fall_out_of_date();
            w.policy.grace_secs = u64::MAX;
        },
        |w| w.policy.grace_secs = u64::MAX,
    ),
    (
        "grace that begins in the future",
        DenyCode::TcbNotAccepted,
        |w| {
            w.fall_out_of_date();
            w.policy.grace_secs = DAY;
            w.out_of_date_since = Some(NOW + 1);
        },
        |w| {
            w.fall_out_of_date();
            w.policy.grace_secs = DAY;
            w.out_of_date_since = Some(NOW);
        },
    ),
    (
        "a denied advisory, in other letter case, under a status that is accepted",
        DenyCode::AdvisoryDenied,
        |w| {
            w.fall_out_of_date();
            w.policy.accepted_tcb_statuses.push(TcbStatus::OutOfDate);
            w.policy.denied_advisories = vec!["intel-sa-01313".into()];
        },
        |w| {
            w.fall_out_of_date();
            w.policy.accepted_tcb_statuses.push(TcbStatus::OutOfDate);
            w.policy.denied_advisories = vec!["INTEL-SA-99999".into()];
        },
    ),
    (
        "kind of platform not allowed",
        DenyCode::FmspcNotAllowed,
        |w| w.policy.allowed_fmspcs = Some(vec![Fmspc::ZERO]),
        |w| w.policy.allowed_fmspcs = Some(vec![w.host().fmspc()]),
    ),
    (
        "no kind of platform allowed",
        DenyCode::FmspcNotAllowed,
        |w| w.policy.allowed_fmspcs = Some(Vec::new()),
        UNCHANGED,
    ),
    (
        "evaluation number below policy",
        DenyCode::EvaluationNumber,
        |w| w.policy.min_evaluation_number = 21,
        |w| w.policy.min_evaluation_number = 20,
    ),
];

/// Faults of the collateral.
const COLLATERAL: &[Case] = &[
    (
        "for another FMSPC",
        DenyCode::FmspcMismatch,
        |w| w.platform.collateral.tcb_info.fmspc = Some(Fmspc([9; 6])),
        UNCHANGED,
    ),
    (
        "for another PCE",
        DenyCode::PceIdMismatch,
        |w| w.platform.collateral.tcb_info.pce_id = [0, 1],
        UNCHANGED,
    ),
    (
        "TCB info expired",
        DenyCode::CollateralExpired,
        |w| w.platform.collateral.tcb_info.next_update = NOW - 1,
        |w| w.platform.collateral.tcb_info.next_update = NOW,
    ),
    (
        "TCB info of the future",
        DenyCode::CollateralNotYetValid,
        |w| w.platform.collateral.tcb_info.issue_date = NOW + 1,
        |w| w.platform.collateral.tcb_info.issue_date = NOW,
    ),
    (
        "QE identity expired",
        DenyCode::CollateralExpired,
        |w| w.platform.collateral.qe_identity.next_update = NOW - 1,
        |w| w.platform.collateral.qe_identity.next_update = NOW,
    ),
    (
        "QE identity of the future",
        DenyCode::CollateralNotYetValid,
        |w| w.platform.collateral.qe_identity.issue_date = NOW + 1,
        |w| w.platform.collateral.qe_identity.issue_date = NOW,
    ),
    (
        "PCK CRL expired",
        DenyCode::CollateralExpired,
        |w| w.platform.collateral.pck_crl.next_update = NOW,
        |w| w.platform.collateral.pck_crl.next_update = NOW + 1,
    ),
    (
        "PCK CRL of the future",
        DenyCode::CollateralNotYetValid,
        |w| w.platform.collateral.pck_crl.this_update = NOW + 1,
        |w| w.platform.collateral.pck_crl.this_update = NOW,
    ),
    (
        "root CRL expired",
        DenyCode::CollateralExpired,
        |w| w.platform.collateral.root_crl.next_update = NOW,
        |w| w.platform.collateral.root_crl.next_update = NOW + 1,
    ),
    (
        "root CRL of the future",
        DenyCode::CollateralNotYetValid,
        |w| w.platform.collateral.root_crl.this_update = NOW + 1,
        |w| w.platform.collateral.root_crl.this_update = NOW,
    ),
    (
        "older than policy",
        DenyCode::CollateralStale,
        |w| {
            w.policy.max_collateral_age_secs = DAY;
            w.platform.collateral.pck_crl.this_update = NOW - DAY - 1;
        },
        |w| {
            w.policy.max_collateral_age_secs = DAY;
            w.platform.collateral.pck_crl.this_update = NOW - DAY;
        },
    ),
    (
        "root CRL older than policy",
        DenyCode::CollateralStale,
        |w| w.policy.max_root_crl_age_secs = DAY,
        |w| {
            w.policy.max_root_crl_age_secs = DAY;
            w.platform.collateral.root_crl.this_update = NOW - DAY;
        },
    ),
    (
        "TCB info with a false signature",
        DenyCode::CollateralSignature,
        |w| w.platform.collateral.tcb_info_signer.key = SignerKey::Other,
        UNCHANGED,
    ),
    (
        "QE identity with a false signature",
        DenyCode::CollateralSignature,
        |w| w.platform.collateral.qe_identity_signer.key = SignerKey::Other,
        UNCHANGED,
    ),
    (
        "TCB info with one changed digit",
        DenyCode::CollateralSignature,
        |w| w.edit_collateral = |c| c.tcb_info = c.tcb_info.replace("\"pcesvn\":11", "\"pcesvn\":10"),
        UNCHANGED,
    ),
    (
        "TCB info with white space added",
        DenyCode::CollateralSignature,
        |w| w.edit_collateral = |c| c.tcb_info.push(' '),
        UNCHANGED,
    ),
    (
        "TCB signer below a PCK CA",
        DenyCode::CollateralUntrusted,
        |w| w.platform.collateral.tcb_info_signer.issuer = Authority::PlatformCa,
        UNCHANGED,
    ),
    (
        "QE identity signer below a PCK CA",
        DenyCode::CollateralUntrusted,
        |w| w.platform.collateral.qe_identity_signer.issuer = Authority::PlatformCa,
        UNCHANGED,
    ),
    (
        "TCB signer of an impostor",
        DenyCode::CollateralUntrusted,
        |w| w.platform.collateral.tcb_info_signer.issuer = Authority::ForeignRoot,
        UNCHANGED,
    ),
    (
        "TCB signer expired",
        DenyCode::CollateralExpired,
        |w| {
            w.platform.collateral.tcb_info_signer.validity =
                Validity { not_before: NOW - DAY, not_after: NOW - 1 }
        },
        |w| {
            w.platform.collateral.tcb_info_signer.validity =
                Validity { not_before: NOW - DAY, not_after: NOW }
        },
    ),
    (
        "QE identity signer not valid yet",
        DenyCode::CollateralNotYetValid,
        |w| {
            w.platform.collateral.qe_identity_signer.validity =
                Validity { not_before: NOW + 1, not_after: NOW + DAY }
        },
        |w| {
            w.platform.collateral.qe_identity_signer.validity =
                Validity { not_before: NOW, not_after: NOW + DAY }
        },
    ),
    ("TCB signer revoked", DenyCode::CollateralSignerRevoked, |w| w.platform.revoke_tcb_signer(), UNCHANGED),
    (
        "PCK CRL of an impostor",
        DenyCode::CollateralSignature,
        |w| w.platform.collateral.pck_crl.issuer = Some(Authority::ForeignPlatformCa),
        UNCHANGED,
    ),
    (
        "PCK CRL signed by the root",
        DenyCode::CollateralUntrusted,
        |w| w.platform.collateral.pck_crl.issuer = Some(Authority::Root),
        UNCHANGED,
    ),
    (
        "root CRL of an impostor",
        DenyCode::CollateralSignature,
        |w| w.platform.collateral.root_crl.issuer = Some(Authority::ForeignRoot),
        UNCHANGED,
    ),
    ("no PCK CRL", DenyCode::CollateralMalformed, |w| w.edit_collateral = |c| c.pck_crl.clear(), UNCHANGED),
    (
        "no root CRL",
        DenyCode::CollateralMalformed,
        |w| w.edit_collateral = |c| c.root_ca_crl.clear(),
        UNCHANGED,
    ),
    (
        "no signer",
        DenyCode::CollateralMalformed,
        |w| w.edit_collateral = |c| c.tcb_info_issuer_chain.clear(),
        UNCHANGED,
    ),
    (
        "half a signature",
        DenyCode::CollateralMalformed,
        |w| w.edit_collateral = |c| c.tcb_info_signature.truncate(32),
        UNCHANGED,
    ),
    (
        "TCB info for SGX",
        DenyCode::CollateralWrongKind,
        |w| w.platform.collateral.tcb_info.id = "SGX".into(),
        UNCHANGED,
    ),
    (
        "TCB info of version 2",
        DenyCode::CollateralWrongKind,
        |w| w.platform.collateral.tcb_info.version = 2,
        UNCHANGED,
    ),
    (
        "QE identity for SGX",
        DenyCode::CollateralWrongKind,
        |w| w.platform.collateral.qe_identity.id = "QE".into(),
        UNCHANGED,
    ),
    (
        "a status that Intel does not have",
        DenyCode::CollateralMalformed,
        |w| w.platform.collateral.tcb_info.tcb_levels[0].tcb_status = "Fine".into(),
        UNCHANGED,
    ),
    (
        "TCB info without a TDX module",
        DenyCode::VerifierDisagreement,
        |w| w.platform.collateral.tcb_info.tdx_module = None,
        UNCHANGED,
    ),
];

fn check(cases: &[Case]) {
    for (name, code, fault, twin) in cases {
        let mut faulty = World::healthy();
        fault(&mut faulty);
        let verified = faulty.verify();
        assert_eq!(
            faulty.verify_again(),
            verified,
            "{name}: another answer about a platform that is remembered"
        );
        match verified {
            Err(reason) => {
                assert_eq!(reason.code, *code, "{name}: {reason}");
                assert!(!reason.found.is_empty() && !reason.expected.is_empty(), "{name}: {reason}");
            }
            Ok(_) => panic!("{name}: accepted"),
        }
        let mut healthy = World::healthy();
        twin(&mut healthy);
        let verified = healthy.verify();
        assert_eq!(healthy.verify_again(), verified, "{name}: the twin");
        if let Err(reason) = verified {
            panic!("{name}: the healthy twin was refused: {reason}");
        }
    }
}

#[test]
fn quote__should_be_refused_for_each_fault_of_form() {
    check(FORM);
}

#[test]
fn quote__should_be_refused_for_each_fault_of_the_td() {
    check(TD);
}

#[test]
fn quote__should_be_refused_for_each_fault_of_its_signers() {
    check(SIGNERS);
}

#[test]
fn quote__should_be_refused_for_each_state_that_policy_does_not_accept() {
    check(STATE);
}

#[test]
fn quote__should_be_refused_for_each_fault_of_the_collateral() {
    check(COLLATERAL);
}

/// Codes of quote, platform and collateral that need more than one platform to provoke; their tests stand elsewhere.
const PROVOKED_ELSEWHERE: &[DenyCode] = &[
    DenyCode::CollateralTooLarge,
    DenyCode::CollateralRolledBack,
    DenyCode::BindingMismatch,
    DenyCode::RatlsEvidenceMissing,
    DenyCode::RatlsMalformed,
    DenyCode::RatlsBinding,
];

#[test]
fn matrix__should_provoke_every_code_with_at_least_60_faults() {
    let cases = || [FORM, TD, SIGNERS, STATE, COLLATERAL].into_iter().flatten();
    assert!(cases().count() >= 60, "{}", cases().count());
    for code in DenyCode::ALL.iter().filter(|code| code.class() != DenyClass::Guest) {
        let provoked = cases().any(|(_, provoked, ..)| provoked == code);
        assert!(provoked != PROVOKED_ELSEWHERE.contains(code), "{code}");
    }
}

#[test]
fn quote__should_be_refused_under_another_root() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let collateral = platform.collateral_of(platform.host(0).unwrap().fmspc()).unwrap();
    let intel = Verifier::new(RootOfTrust::intel());
    let refusal = intel.check_collateral(Collateral::new(collateral.clone()), NOW).unwrap_err();
    assert_eq!(refusal.code, DenyCode::CollateralUntrusted);

    let simulated = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
    let collateral = simulated.check_collateral(Collateral::new(collateral), NOW).unwrap();
    let quote = platform.host(0).unwrap().quote(&QuoteSpec::default()).unwrap();
    let refusal = intel.authenticate(&Quote::parse(&quote).unwrap(), &collateral, NOW).unwrap_err();
    assert_eq!(refusal.code, DenyCode::CollateralUntrusted);
}
