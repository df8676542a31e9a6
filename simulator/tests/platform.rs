//! The simulated platform before the unmodified verifier: healthy ones pass, and each fault is the fault it claims.
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{NOW, verify, verify_first};
use dcap_qvl::TcbStatus;
use kms_attestation::ids::{Fmspc, Measurement};
use kms_simulator::pki::{Authority, SignerKey};
use kms_simulator::platform::{Platform, Update};
use kms_simulator::quote::{Broken, Patch, QuoteSpec, ReportKind};

const KINDS: [ReportKind; 3] = [ReportKind::Td10, ReportKind::Td15, ReportKind::Td15Ex];

#[test]
fn healthy_platform__should_be_up_to_date_in_every_quote_form() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let v5_td10 = QuoteSpec { version: 5, ..QuoteSpec::default() };
    for spec in KINDS.map(QuoteSpec::of_kind).iter().chain([&v5_td10]) {
        let claims = verify_first(&platform, spec).unwrap();
        assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
        assert!(claims.tcb.advisory_ids.is_empty());
        assert_eq!(claims.qe.tcb_level.tcb_status, TcbStatus::UpToDate);
        assert_eq!(claims.header.version, spec.version);
        assert_eq!(claims.report.as_td10().unwrap().td_attributes, spec.td_attributes);
        assert_eq!(claims.report.as_td15().is_some(), spec.report_kind != ReportKind::Td10);
        let pck = &claims.platform.pck;
        let host = platform.host(0).unwrap();
        assert_eq!(pck.ppid, host.pck.ppid);
        assert_eq!(pck.fmspc, host.fmspc().0);
        assert_eq!(pck.cpu_svn, host.pck.cpu_svn);
        assert_eq!((pck.pce_svn, &pck.pce_id[..]), (11, &[0, 0][..]));
    }
}

#[test]
fn collateral_json__should_read_back_as_the_verifiers_collateral() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let host = platform.host(0).unwrap();
    let json = platform.collateral_for(host.fmspc()).unwrap();
    let collateral = serde_json::from_str(&json).unwrap();
    assert_eq!(collateral, platform.collateral_of(host.fmspc()).unwrap());
    verify(&platform, &host.quote(&QuoteSpec::default()).unwrap(), collateral).unwrap();
}

#[test]
fn processor_ca__should_issue_a_healthy_platform_without_configuration() {
    let mut platform = Platform::from_seed(7, NOW).unwrap();
    platform.host_mut(0).unwrap().use_processor_ca();
    let claims = verify_first(&platform, &QuoteSpec::default()).unwrap();
    assert_eq!(claims.platform.pck.platform_instance_id, None);
}

#[test]
fn hosts__should_differ_and_each_verify_under_its_own_tcb_info_only() {
    let mut platform = Platform::from_seed(7, NOW).unwrap();
    let second = platform.add_host().unwrap();
    let [first, second] = [0, second].map(|index| platform.host(index).unwrap());
    assert_ne!(first.fmspc(), second.fmspc());
    assert_ne!(first.device_id(), second.device_id());
    let quote = second.quote(&QuoteSpec::default()).unwrap();
    verify(&platform, &quote, platform.collateral_of(second.fmspc()).unwrap()).unwrap();
    let error = verify(&platform, &quote, platform.collateral_of(first.fmspc()).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "Fmspc mismatch");
}

#[test]
fn same_seed__should_give_the_same_bytes_and_another_seed_others() {
    let bytes = |seed, now| {
        let platform = Platform::from_seed(seed, now).unwrap();
        let host = platform.host(0).unwrap();
        let quotes = KINDS.map(|kind| host.quote(&QuoteSpec::of_kind(kind)).unwrap());
        (platform.root_der(), platform.collateral_for(host.fmspc()).unwrap(), quotes)
    };
    let seven = bytes(7, NOW);
    assert_eq!(seven, bytes(7, NOW));
    let eight = bytes(8, NOW);
    assert!(seven.0 != eight.0 && seven.1 != eight.1 && seven.2 != eight.2);
    assert_ne!(seven.0, Platform::random(NOW).unwrap().root_der());
}

#[test]
fn early_tcb_info__should_name_what_will_be_required_next() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let host = platform.host(0).unwrap();
    let mut collateral = platform.collateral_of(host.fmspc()).unwrap();
    let early = platform.tcb_info(host.fmspc(), Update::Early).unwrap();
    collateral.tcb_info = early.json;
    collateral.tcb_info_signature = early.signature.to_vec();
    let quote = host.quote(&QuoteSpec::default()).unwrap();
    let error = verify(&platform, &quote, collateral).unwrap_err();
    assert_eq!(error.to_string(), "TCB status OutOfDate is not acceptable by policy");
}

/// What a fault does to a healthy platform and quote, and what the verifier then says.
type Fault = (&'static str, fn(&mut Platform, &mut QuoteSpec), &'static str);

/// Faults of the quote and of the platform that it names.
const QUOTE_FAULTS: &[Fault] = &[
    (
        "quote signature",
        |_, q| q.broken = Some(Broken::QuoteSignature),
        "ISV enclave report signature is invalid",
    ),
    (
        "QE report signature",
        |_, q| q.broken = Some(Broken::QeReportSignature),
        "Signature is invalid for qe_report",
    ),
    ("AK hash", |_, q| q.broken = Some(Broken::AttestationKeyHash), "QE report hash mismatch"),
    ("auth data", |_, q| q.qe_auth_data.clear(), "Invalid QE auth data length"),
    ("debug", |_, q| q.td_attributes[0] = 1, "Debug mode is enabled"),
    ("no SEPT_VE_DISABLE", |_, q| q.td_attributes = [0; 8], "SEPT_VE_DISABLE is not enabled"),
    (
        "service TD",
        |_, q| {
            *q = QuoteSpec::of_kind(ReportKind::Td15);
            q.mr_service_td = Measurement([1; 48]);
        },
        "service TD",
    ),
    ("vendor", |_, q| q.qe_vendor_id = [0; 16], "Unknown QE vendor ID"),
    ("key type", |_, q| q.attestation_key_type = 3, "Unsupported DCAP attestation key type"),
    ("version", |_, q| q.version = 6, "Unsupported quote version"),
    ("inner certification", |_, q| q.inner_certification_type = 4, "Unsupported DCAP PCK cert format"),
    ("not a chain", |_, q| q.certification_data = Some(vec![]), "Certificate chain is too short in quote"),
    (
        "patched, then signed",
        |_, q| q.patches_before_signing = vec![Patch { offset: 4, bytes: vec![0x82] }],
        "Invalid TEE type",
    ),
    (
        "patched after signing",
        |_, q| q.patches_after_signing = vec![Patch { offset: 568, bytes: vec![1] }],
        "ISV enclave report signature is invalid",
    ),
    ("SEAM signer", |_, q| q.mr_signer_seam = [1; 48], "TDX module MRSIGNER mismatch"),
    ("SEAM attributes", |_, q| q.seam_attributes = [1; 8], "SEAMATTRIBUTES mismatch"),
    ("module version", |_, q| q.tee_tcb_svn[1] = 9, "No TDX module identity with id TDX_09"),
    ("old module", |_, q| q.tee_tcb_svn[0] = 6, "TCB status OutOfDate is not acceptable"),
    ("ancient module", |_, q| q.tee_tcb_svn[0] = 1, "below minimum required"),
    ("QE signer", |_, q| q.qe_report.mr_signer = [1; 32], "MRSIGNER mismatch"),
    ("QE product", |_, q| q.qe_report.isv_prod_id = 1, "ISVPRODID mismatch"),
    ("QE debug", |_, q| q.qe_report.attributes[0] |= 2, "QE report validation failed: Debug mode is enabled"),
    ("old QE", |_, q| q.qe_report.isv_svn = 3, "from QE Identity"),
    (
        "TD relaunch",
        |_, q| {
            *q = QuoteSpec::of_kind(ReportKind::Td15);
            q.tee_tcb_svn[0] = 6;
        },
        "TDRelaunchAdvised is not acceptable",
    ),
    ("old CPU", |p, _| p.host_mut(0).unwrap().pck.cpu_svn[0] = 3, "TCB status OutOfDate is not acceptable"),
    ("ancient CPU", |p, _| p.host_mut(0).unwrap().pck.cpu_svn = [0; 16], "No matching TCB level found"),
    ("old PCE", |p, _| p.host_mut(0).unwrap().pck.pce_svn = 10, "TCB status OutOfDate is not acceptable"),
    (
        "PCK of another root",
        |p, _| p.host_mut(0).unwrap().pck.issuer = Authority::ForeignPlatformCa,
        "Failed to verify certificate chain",
    ),
    (
        "expired PCK",
        |p, _| p.host_mut(0).unwrap().pck.validity.not_after = NOW - 1,
        "Failed to verify certificate chain",
    ),
    (
        "future PCK",
        |p, _| p.host_mut(0).unwrap().pck.validity.not_before = NOW + 1,
        "Failed to verify certificate chain",
    ),
];

/// Faults of the collateral.
const COLLATERAL_FAULTS: &[Fault] = &[
    ("revoked PCK", |p, _| p.revoke_pck(0).unwrap(), "Failed to verify certificate chain: CertRevoked"),
    (
        "revoked PCK CA",
        |p, _| p.revoke_authority(Authority::PlatformCa),
        "Failed to verify certificate chain: CertRevoked",
    ),
    ("revoked TCB signer", |p, _| p.revoke_tcb_signer(), "Failed to verify certificate chain: CertRevoked"),
    ("revoked root", |p, _| p.revoke_authority(Authority::Root), "CertRevoked"),
    ("old root CRL", |p, _| p.collateral.root_crl.next_update = NOW - 1, "CrlExpired"),
    ("old PCK CRL", |p, _| p.collateral.pck_crl.next_update = NOW - 1, "CrlExpired"),
    (
        "root CRL of another root",
        |p, _| p.collateral.root_crl.issuer = Some(Authority::ForeignRoot),
        "Failed to parse root CA CRL",
    ),
    (
        "PCK CRL of another CA",
        |p, _| p.collateral.pck_crl.issuer = Some(Authority::ProcessorCa),
        "UnknownRevocationStatus",
    ),
    ("expired TCB info", |p, _| p.collateral.tcb_info.next_update = NOW - 1, "TCBInfo expired"),
    (
        "future TCB info",
        |p, _| p.collateral.tcb_info.issue_date = NOW + 1,
        "TCBInfo issue date is in the future",
    ),
    ("TCB info of another FMSPC", |p, _| p.collateral.tcb_info.fmspc = Some(Fmspc([1; 6])), "Fmspc mismatch"),
    ("SGX TCB info", |p, _| p.collateral.tcb_info.id = "SGX".into(), "non-TDX TCB info"),
    (
        "15 components",
        |p, _| p.collateral.tcb_info.tcb_levels[0].tcb.sgx.truncate(15),
        "SGX component count mismatch",
    ),
    ("no levels", |p, _| p.collateral.tcb_info.tcb_levels.clear(), "No matching TCB level found"),
    (
        "revoked level",
        |p, _| p.collateral.tcb_info.tcb_levels[0].tcb_status = "Revoked".into(),
        "TCB status is invalid: Revoked",
    ),
    (
        "invented status",
        |p, _| p.collateral.tcb_info.tcb_levels[0].tcb_status = "Fine".into(),
        "Failed to decode TcbInfo",
    ),
    (
        "hardening needed",
        |p, _| p.collateral.tcb_info.tcb_levels[0].tcb_status = "SWHardeningNeeded".into(),
        "SWHardeningNeeded is not acceptable",
    ),
    (
        "out of date",
        |p, _| p.collateral.tcb_info.require_more_than_any_platform_has(),
        "TCB status OutOfDate is not acceptable",
    ),
    ("no tdxModule", |p, _| p.collateral.tcb_info.tdx_module = None, "missing tdxModule"),
    (
        "no module identities",
        |p, _| p.collateral.tcb_info.tdx_module_identities.clear(),
        "No TDX module identity",
    ),
    (
        "false TCB info signature",
        |p, _| p.collateral.tcb_info_signer.key = SignerKey::Other,
        "Signature is invalid for tcb_info",
    ),
    (
        "TCB signer of another root",
        |p, _| p.collateral.tcb_info_signer.issuer = Authority::ForeignRoot,
        "Failed to verify certificate chain",
    ),
    (
        "TCB signer below a PCK CA",
        |p, _| p.collateral.tcb_info_signer.issuer = Authority::PlatformCa,
        "must be issued directly by the root CA",
    ),
    ("expired TCB signer", |p, _| p.collateral.tcb_info_signer.validity.not_after = NOW - 1, "CertExpired"),
    ("expired QE identity", |p, _| p.collateral.qe_identity.next_update = NOW - 1, "QE Identity expired"),
    (
        "future QE identity",
        |p, _| p.collateral.qe_identity.issue_date = NOW + 1,
        "QE Identity issue date is in the future",
    ),
    (
        "SGX QE identity",
        |p, _| p.collateral.qe_identity.id = "QE".into(),
        "Unsupported QE Identity id/version",
    ),
    (
        "false QE identity signature",
        |p, _| p.collateral.qe_identity_signer.key = SignerKey::Other,
        "Signature is invalid for qe_identity",
    ),
    ("QE below level", |p, _| p.collateral.qe_identity.tcb_levels[0].tcb.isvsvn = 7, "from QE Identity"),
    (
        "QE out of date",
        |p, _| p.collateral.qe_identity.tcb_levels[0].tcb_status = "OutOfDate".into(),
        "TCB status OutOfDate is not acceptable",
    ),
];

#[test]
fn single_fault__should_be_refused_for_that_fault() {
    let mut wrong = Vec::new();
    for (name, fault, expected) in QUOTE_FAULTS.iter().chain(COLLATERAL_FAULTS) {
        let mut platform = Platform::from_seed(7, NOW).unwrap();
        let mut spec = QuoteSpec::default();
        fault(&mut platform, &mut spec);
        let found =
            verify_first(&platform, &spec).map_or_else(|error| format!("{error:#}"), |_| "accepted".into());
        if !found.contains(expected) {
            wrong.push(format!("{name}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reissue__should_date_collateral_to_another_time() {
    let mut platform = Platform::from_seed(7, NOW).unwrap();
    platform.reissue_collateral(NOW - 90 * 86_400);
    assert!(verify_first(&platform, &QuoteSpec::default()).is_err());
    platform.reissue_collateral(NOW);
    verify_first(&platform, &QuoteSpec::default()).unwrap();
}
