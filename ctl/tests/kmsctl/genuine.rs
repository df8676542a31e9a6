//! Genuine quotes under Intel's root: the verdicts that are known for them, as a program sees them.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::run::kmsctl;
use crate::simulated::Evidence;

const INTEL_ROOT_KEY_ID: &str =
    "46e403bd34f05a3f2817ab9badcaacc7ffc98e0f261008cd30dae936cace18d5dcf58eef31463613de1570d516200993";

#[test]
fn up_to_date_quotes__should_be_accepted() {
    for (number, version) in [("01", 4), ("04", 5), ("06", 4), ("10", 4)] {
        let Some(evidence) = Evidence::genuine(number) else { return };
        let report = evidence.verify().exits(0).json();
        assert_eq!(report["accepted"], true, "{number}");
        assert_eq!(report["deny"], Value::Null);
        assert_eq!(report["authentic"], true);
        assert_eq!(report["tcb_status"], "UpToDate");
        assert_eq!(report["quote_version"], version);
        assert_eq!(report["tee_type"], "TDX");
        assert_eq!(report["td_attributes"], "0000001000000000");
        assert_eq!(report["root_key_id"], INTEL_ROOT_KEY_ID);
        assert_eq!(report["identity"], Value::Null);
    }
}

#[test]
fn collateral_dates__should_be_those_of_the_signed_documents() {
    let Some(evidence) = Evidence::genuine("01") else { return };
    let report = evidence.verify().exits(0).json();
    assert_eq!(report["at"], "2025-07-04T10:16:31Z");
    assert_eq!(report["collateral"]["issued"], "2025-06-19T10:00:35Z");
    assert!(report["collateral"]["expires"].as_str().unwrap().starts_with("2025-07-19T10:"), "{report}");
    assert!(report["collateral"]["evaluation_number"].as_u64().unwrap() > 0);
    assert_eq!(report["fmspc"], "b0c06f000000");
}

#[test]
fn out_of_date_quote__should_be_refused_with_what_is_known() {
    let Some(evidence) = Evidence::genuine("02") else { return };
    let report = evidence.verify().exits(10).json();
    assert_eq!(report["accepted"], false);
    assert_eq!(report["deny"]["code"], "tcb-status-not-accepted");
    assert_eq!(report["deny"]["expected"], "UpToDate");
    assert!(report["deny"]["found"].as_str().unwrap().starts_with("OutOfDate: SGX component 0"));
    for text in ["message", "fix"] {
        assert!(report["deny"][text].as_str().unwrap().ends_with('.'));
    }
    assert_eq!(report["tcb_status"], "OutOfDate");
    assert_eq!(report["advisory_ids"].as_array().unwrap().len(), 4);
    assert!(!report["shortfalls"].as_array().unwrap().is_empty());
    assert_eq!(report["authentic"], true);
}

#[test]
fn dstack_guest__should_be_identified() {
    let Some(fixture) = Fixture::open("06") else { return };
    let evidence = Evidence::genuine("06").unwrap();
    let evidence = evidence.with("--event-log", "log.json", &fixture.read("dstack_tcb_info.json"));
    let report = evidence.verify().exits(0).json();
    assert_eq!(
        report["identity"],
        json!({
            "app_id": "2911e1f733466216dedb862d6d669e11256ee7a3",
            "compose_hash": "2911e1f733466216dedb862d6d669e11256ee7a34ce4dbc66c4b807ba7a9c895",
            "instance_id": null,
            "mr_system": "258c7f55cb0046a5c98597388c30b916e96da0ce368e2f6f9f5996878d4796fc",
            "mr_aggregated": "5cd7c8e25647053ff6e0df9ea21170b355bb48b9032db7bce27410ad10a150e0",
            "key_provider": {
                "name": "local-sgx",
                "id": "6b5ed02e549a1c30aaa8e3171a045f1f449b0017353ef595e78e39c348c98d01",
            },
            "phase": "ready",
        })
    );
    assert_eq!(report["rtmr3"].as_str().unwrap().get(..16), Some("86f1808cffc050f3"));
}

#[test]
fn compose_file__should_have_the_hash_that_the_guest_measured() {
    let Some(fixture) = Fixture::open("06") else { return };
    let evidence = Evidence::genuine("06").unwrap();
    let path = evidence.write("app-compose.json", &fixture.read("app_compose.json"));
    let run = kmsctl(["compose", "hash", &path]).exits(0);
    assert_eq!(run.stdout, "2911e1f733466216dedb862d6d669e11256ee7a34ce4dbc66c4b807ba7a9c895\n");
    assert_eq!(run.stderr, "");
}

#[test]
fn debug_guest__should_be_refused_with_its_claims_printed() {
    let Some(evidence) = Evidence::genuine("n1") else { return };
    let report = evidence.verify().exits(10).json();
    assert_eq!(report["deny"]["code"], "td-debug");
    assert_eq!(report["authentic"], false);
    assert_eq!(report["td_attributes"], "0100001000000000");
    assert_eq!(report["mrtd"].as_str().unwrap().len(), 96);
    for unknown in ["tcb_status", "qe_status", "advisory_ids", "shortfalls", "root_key_id", "identity"] {
        assert_eq!(report[unknown], Value::Null, "{unknown}");
    }
}

#[test]
fn platform_below_every_level__should_be_refused() {
    let Some(evidence) = Evidence::genuine("n4") else { return };
    let report = evidence.verify().exits(10).json();
    assert_eq!(report["deny"]["code"], "tcb-level-unknown");
    assert_eq!(report["quote_version"], 5);
    assert_ne!(report["collateral"], Value::Null);
}

#[test]
fn explanation__should_say_of_a_genuine_guest_who_it_is_and_until_when() {
    let Some(fixture) = Fixture::open("06") else { return };
    let evidence = Evidence::genuine("06").unwrap();
    let evidence = evidence.with("--event-log", "log.json", &fixture.read("dstack_tcb_info.json"));
    let text = evidence.explain().exits(0).stdout;
    for expected in [
        "ACCEPTED at 2026-08-28T05:21:24Z",
        "\"Intel SGX Root CA\" (Intel's)",
        "-- App id       2911e1f733466216dedb862d6d669e11256ee7a3",
        "version 1: the compose hash",
        "in 14 days: then the collateral",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
