//! Genuine quotes give the verdicts that are known for them, under the production policy and Intel's root.
#![allow(non_snake_case, missing_docs)]

mod common;

use common::Fixture;
use dcap_qvl::TcbStatus;
use kms_attestation::bound_quote;
use kms_attestation::compose::{app_id_without_contract, compose_hash};
use kms_attestation::deny::{DenyCode, DenyReason};
use kms_attestation::event_log::EventLog;
use kms_attestation::identity::{BootIdentity, BootPhase};
use kms_attestation::ids::ReportData;
use kms_attestation::policy::Policy;
use kms_attestation::root::RootOfTrust;
use kms_attestation::td::TdReportVersion;
use kms_attestation::verify::{AuthenticQuote, VerifiedQuote, Verifier};

fn authenticate(fixture: &Fixture) -> Result<AuthenticQuote, DenyReason> {
    let verifier = Verifier::new(RootOfTrust::intel());
    let collateral = verifier.check_collateral(fixture.collateral(), fixture.now)?;
    verifier.authenticate(&fixture.quote(), &collateral, fixture.now)
}

fn verify(fixture: &Fixture) -> Result<VerifiedQuote, DenyReason> {
    authenticate(fixture)?.appraise(&Policy::default(), fixture.now, None)
}

#[test]
fn genuine_quotes__should_be_accepted_when_up_to_date() {
    for (number, version, layout) in [
        ("01", 4, TdReportVersion::Td10),
        ("04", 5, TdReportVersion::Td15),
        ("06", 4, TdReportVersion::Td10),
        ("10", 4, TdReportVersion::Td10),
    ] {
        let Some(fixture) = Fixture::open(number) else { return };
        let quote = verify(&fixture).unwrap();
        assert_eq!((quote.version(), quote.td().version), (version, layout), "{number}");
        assert_eq!(quote.tcb().status, TcbStatus::UpToDate);
        assert_eq!(quote.root_key_id(), RootOfTrust::intel().key_id());
    }
}

#[test]
fn genuine_event_log__should_prove_the_guests_identity() {
    let Some(fixture) = Fixture::open("06") else { return };
    let log = EventLog::parse(&fixture.read("dstack_tcb_info.json")).unwrap();
    let identity = BootIdentity::extract(&verify(&fixture).unwrap(), &log).unwrap();
    let compose_hash = compose_hash(&fixture.read("app_compose.json"));
    assert_eq!(identity.compose_hash, compose_hash);
    assert_eq!(identity.app_id, app_id_without_contract(&compose_hash));
    assert_eq!(identity.app_id.to_string(), "2911e1f733466216dedb862d6d669e11256ee7a3");
    assert_eq!(identity.instance_id, None);
    assert_eq!(identity.key_provider.as_ref().unwrap().name, "local-sgx");
    // Computed from the quote's bytes with another program. MRCONFIGID is set, so it is part of the aggregate.
    let expected = "5cd7c8e25647053ff6e0df9ea21170b355bb48b9032db7bce27410ad10a150e0";
    assert_eq!(identity.mr_aggregated.to_string(), expected);
    let expected = "258c7f55cb0046a5c98597388c30b916e96da0ce368e2f6f9f5996878d4796fc";
    assert_eq!(identity.mr_system.to_string(), expected);
    // The quote was made long after boot: it says who runs, but cannot ask for keys.
    assert_eq!(identity.phase, BootPhase::Ready);
    assert_eq!(identity.check_booting().unwrap_err().code, DenyCode::BootFinished);
}

#[test]
fn genuine_event_log__should_be_refused_with_another_quote() {
    let (Some(fixture), Some(other)) = (Fixture::open("06"), Fixture::open("01")) else { return };
    let log = EventLog::parse(&fixture.read("dstack_tcb_info.json")).unwrap();
    let refusal = BootIdentity::extract(&verify(&other).unwrap(), &log).unwrap_err();
    assert_eq!(refusal.code, DenyCode::Rtmr3Mismatch);
}

#[test]
fn out_of_date_platform__should_be_refused_with_what_it_lacks() {
    let Some(fixture) = Fixture::open("02") else { return };
    let quote = authenticate(&fixture).unwrap();
    assert_eq!(quote.tcb().status, TcbStatus::OutOfDate);
    assert_eq!(quote.tcb().advisory_ids.len(), 4, "{:?}", quote.tcb().advisory_ids);
    let refusal = quote.appraise(&Policy::default(), fixture.now, None).unwrap_err();
    assert_eq!(refusal.code, DenyCode::TcbNotAccepted);
    assert!(refusal.found.starts_with("OutOfDate: SGX component 0"), "{}", refusal.found);
}

#[test]
fn bound_quote__should_refuse_a_quote_that_was_made_for_something_else() {
    let Some(fixture) = Fixture::open("01") else { return };
    let quote = || fixture.quote();
    let own = quote().td().report_data;
    assert_eq!(bound_quote(quote(), own).unwrap().td().report_data, own);
    let refusal = bound_quote(quote(), ReportData([7; 64])).unwrap_err();
    assert_eq!(refusal.code, DenyCode::BindingMismatch);
    assert!(refusal.found.contains(&own.to_string()), "{refusal}");
}

#[test]
fn debug_td__should_be_refused() {
    let Some(fixture) = Fixture::open("n1") else { return };
    assert_eq!(verify(&fixture).unwrap_err().code, DenyCode::TdDebug);
}

#[test]
fn platform_below_every_level__should_be_refused_with_what_it_lacks() {
    let Some(fixture) = Fixture::open("n4") else { return };
    let refusal = verify(&fixture).unwrap_err();
    assert_eq!(refusal.code, DenyCode::TcbUnknown);
    assert!(refusal.found.contains(" < "), "{}", refusal.found);
}

#[test]
fn genuine_quote__should_be_refused_outside_its_collaterals_validity() {
    let Some(fixture) = Fixture::open("01") else { return };
    let verifier = Verifier::new(RootOfTrust::intel());
    let collateral = verifier.check_collateral(fixture.collateral(), fixture.now).unwrap();
    for (now, code) in [(0, DenyCode::CollateralNotYetValid), (u64::MAX, DenyCode::CollateralExpired)] {
        assert_eq!(verifier.authenticate(&fixture.quote(), &collateral, now).unwrap_err().code, code);
        assert_eq!(verifier.check_collateral(fixture.collateral(), now).unwrap_err().code, code);
    }
}

#[test]
fn collateral__should_read_back_from_its_own_json() {
    let Some(fixture) = Fixture::open("01") else { return };
    let collateral = fixture.collateral();
    let json = collateral.to_json();
    assert_eq!(kms_attestation::collateral::Collateral::parse(json.as_bytes()).unwrap(), collateral);
}
