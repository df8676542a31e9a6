//! `quote verify` on simulated platforms: every input has its effect, and each refusal its code.

use kms_attestation::ids::Measurement;
use kms_simulator::quote::{Broken, QuoteSpec};
use serde_json::{Value, json};

use crate::run::{Run, kmsctl, kmsctl_with_stdin};
use crate::simulated::{COMPOSE, Evidence, NOW, cvm, platform};

/// The keys that programs rely on.
const KEYS: [&str; 23] = [
    "accepted",
    "deny",
    "tcb_status",
    "advisory_ids",
    "fmspc",
    "ppid",
    "device_id",
    "quote_version",
    "tee_type",
    "mrtd",
    "rtmr0",
    "rtmr1",
    "rtmr2",
    "rtmr3",
    "mr_config_id",
    "report_data",
    "td_attributes",
    "xfam",
    "root_key_id",
    "collateral",
    "identity",
    "authentic",
    "verdict",
];

fn deny_code(run: Run) -> String {
    let report = run.exits(10).json();
    assert_eq!(report["accepted"], false);
    assert_eq!(report["verdict"], "refused");
    report["deny"]["code"].as_str().unwrap().to_owned()
}

/// A CVM whose platform is out of date, with its event log.
fn out_of_date() -> Evidence {
    let platform = platform();
    let mut cvm = cvm(&platform);
    cvm.spec.quote.tee_tcb_svn[0] = 6;
    let quote = cvm.quote(kms_attestation::ids::ReportData::ZERO).unwrap();
    let log = cvm.event_log().to_json();
    Evidence::simulated(&platform, &quote).with("--event-log", "log.json", log.as_bytes())
}

#[test]
fn healthy_platform__should_be_accepted_under_its_own_root() {
    let report = Evidence::of_spec(&QuoteSpec::default()).verify().exits(0).json();
    assert_eq!(report["accepted"], true);
    assert_eq!(report["advisory_ids"], json!([]));
    assert_eq!(report["at"], "2027-01-15T08:00:00Z");
}

#[test]
fn healthy_platform__should_be_refused_under_intels_root() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let mut args = evidence.args("verify");
    let root = args.iter().position(|arg| arg == "--root").unwrap();
    args.drain(root..root + 2);
    args.push("--json".to_owned());
    assert_eq!(deny_code(kmsctl(args)), "collateral-untrusted");
}

#[test]
fn report__should_have_all_its_keys_whatever_is_known() {
    let accepted = Evidence::booted().verify().exits(0).json();
    let refused = Evidence::of_spec(&QuoteSpec::default());
    refused.write("quote.bin", b"junk");
    let refused = refused.verify().exits(10).json();
    for report in [accepted, refused] {
        for key in KEYS {
            assert!(report.get(key).is_some(), "{key}");
        }
    }
}

#[test]
fn report__should_tell_nothing_of_a_quote_that_cannot_be_read() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    evidence.write("quote.bin", b"junk");
    let report = evidence.verify().exits(10).json();
    assert_eq!(report["deny"]["code"], "quote-malformed");
    for (key, value) in report.as_object().unwrap() {
        let told = ["accepted", "verdict", "deny", "authentic", "at"].contains(&key.as_str());
        assert!(told || value.is_null(), "{key}: {value}");
    }
}

#[test]
fn quote__should_be_read_as_bytes_as_hex_and_from_standard_input() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let expected = evidence.verify().exits(0).stdout;
    let raw = evidence.read("quote.bin");
    let hex = hex::encode(&raw);
    for text in [hex.clone(), format!("0x{hex}\n"), format!(" {}", hex.to_uppercase())] {
        evidence.write("quote.bin", text.as_bytes());
        assert_eq!(evidence.verify().exits(0).stdout, expected);
    }
    let mut args = evidence.args("verify");
    args[3] = "-".to_owned();
    args.push("--json".to_owned());
    for input in [raw, hex.into_bytes()] {
        assert_eq!(kmsctl_with_stdin(&args, &input).exits(0).stdout, expected);
    }
}

#[test]
fn hex_of_odd_length__should_be_taken_as_bytes_and_refused() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let mut text = hex::encode(evidence.read("quote.bin"));
    text.pop();
    evidence.write("quote.bin", text.as_bytes());
    let code = deny_code(evidence.verify());
    assert!(code.starts_with("quote-"), "{code}");
}

#[test]
fn malformed_evidence__should_be_refused_and_not_be_a_usage_error() {
    let junk = vec![0x5a; 1024 * 1024];
    for (name, content, expected) in [
        ("quote.bin", &b""[..], "quote-malformed"),
        ("quote.bin", &junk, "quote-too-large"),
        ("collateral.json", b"", "collateral-malformed"),
        ("collateral.json", b"{}", "collateral-malformed"),
        ("log.json", b"nonsense", "event-log-malformed"),
        ("log.json", b"[]", "rtmr3-mismatch"),
    ] {
        let evidence = Evidence::booted();
        evidence.write(name, content);
        assert_eq!(deny_code(evidence.verify()), expected, "{name}");
    }
}

#[test]
fn faulty_quotes__should_be_refused_with_their_codes() {
    let healthy = QuoteSpec::default;
    for (spec, code) in [
        (QuoteSpec { td_attributes: [1, 0, 0, 0x10, 0, 0, 0, 0], ..healthy() }, "td-debug"),
        (QuoteSpec { td_attributes: [0; 8], ..healthy() }, "td-attributes-not-allowed"),
        (QuoteSpec { broken: Some(Broken::QuoteSignature), ..healthy() }, "quote-signature-invalid"),
        (QuoteSpec { trailing: vec![0], ..healthy() }, "quote-trailing-bytes"),
    ] {
        assert_eq!(deny_code(Evidence::of_spec(&spec).verify()), code);
    }
}

#[test]
fn time__should_be_unix_seconds_or_a_date() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let mut args = evidence.args("verify");
    args.push("--json".to_owned());
    let expected = kmsctl(&args).exits(0).stdout;
    let at = args.iter().position(|arg| *arg == NOW.to_string()).unwrap();
    for date in ["2027-01-15T08:00:00Z", "2027-01-15T09:00:00+01:00"] {
        args[at] = date.to_owned();
        assert_eq!(kmsctl(&args).exits(0).stdout, expected, "{date}");
    }
}

#[test]
fn time__should_decide_whether_collateral_is_valid() {
    let evidence = || Evidence::of_spec(&QuoteSpec::default());
    let expired = evidence().at(NOW + 60 * 86_400).verify().exits(10).json();
    assert_eq!(expired["deny"]["code"], "collateral-expired");
    assert_eq!(expired["collateral"]["evaluation_number"], 20, "what is known is printed: {expired}");
    assert_eq!(deny_code(evidence().at(NOW - 86_400).verify()), "collateral-not-yet-valid");
}

#[test]
fn event_log__should_identify_the_guest() {
    let report = Evidence::booted().verify().exits(0).json();
    let compose_hash = kms_attestation::compose::compose_hash(COMPOSE).to_string();
    let identity = &report["identity"];
    assert_eq!(identity["compose_hash"], compose_hash);
    assert_eq!(identity["app_id"], compose_hash.get(..40).unwrap());
    assert_eq!(identity["instance_id"], "11".repeat(20));
    assert_eq!(identity["key_provider"], Value::Null);
    assert_eq!(identity["phase"], "booting");
}

#[test]
fn event_log__should_be_read_as_array_object_or_text_in_an_object() {
    let evidence = Evidence::booted();
    let expected = evidence.verify().exits(0).stdout;
    let array: Value = serde_json::from_slice(&evidence.read("log.json")).unwrap();
    for form in [json!({ "event_log": array }), json!({ "event_log": array.to_string() })] {
        evidence.write("log.json", form.to_string().as_bytes());
        assert_eq!(evidence.verify().exits(0).stdout, expected);
    }
}

#[test]
fn event_log__should_be_refused_when_it_is_another_guests() {
    let spec = QuoteSpec {
        rtmrs: [Measurement([1; 48]), Measurement([2; 48]), Measurement([3; 48]), Measurement([4; 48])],
        ..QuoteSpec::default()
    };
    let log = Evidence::booted().read("log.json");
    let report = Evidence::of_spec(&spec).with("--event-log", "log.json", &log).verify().exits(10).json();
    assert_eq!(report["deny"]["code"], "rtmr3-mismatch");
    assert_eq!(report["tcb_status"], "UpToDate");
    assert_eq!(report["identity"], Value::Null);
}

#[test]
fn quotes_refusal__should_count_where_the_event_log_is_bad_too() {
    let evidence = out_of_date();
    evidence.write("log.json", b"nonsense");
    assert_eq!(deny_code(evidence.verify()), "tcb-status-not-accepted");
    evidence.write("quote.bin", b"junk");
    assert_eq!(deny_code(evidence.verify()), "quote-malformed");
}

#[test]
fn identity__should_be_printed_when_only_policy_refuses() {
    let report = out_of_date().verify().exits(10).json();
    assert_eq!(report["deny"]["code"], "tcb-status-not-accepted");
    assert_eq!(report["tcb_status"], "OutOfDate");
    assert_ne!(report["identity"]["app_id"], Value::Null);
}

#[test]
fn policy__should_widen_and_narrow_what_is_accepted() {
    let wide = br#"{"accepted_tcb_statuses":["UpToDate","OutOfDate"]}"#;
    out_of_date().with("--policy", "policy.json", wide).verify().exits(0);
    for (policy, code) in [
        (r#"{"allowed_fmspcs":["00906ed50000"]}"#, "fmspc-not-allowed"),
        (r#"{"max_collateral_age_secs":60}"#, "collateral-stale"),
        (r#"{"min_evaluation_number":1000000}"#, "evaluation-number-too-low"),
    ] {
        let evidence = Evidence::booted().with("--policy", "policy.json", policy.as_bytes());
        assert_eq!(deny_code(evidence.verify()), code);
    }
}

#[test]
fn short_text__should_name_verdict_reason_and_fix() {
    let accepted = kmsctl(Evidence::booted().args("verify")).exits(0).stdout;
    assert!(accepted.starts_with("ACCEPTED\n") && accepted.contains("  app id        "), "{accepted}");
    let refused = kmsctl(out_of_date().args("verify")).exits(10).stdout;
    for expected in
        ["REFUSED\n  code          tcb-status-not-accepted\n", "  found ", "  expected ", "  fix "]
    {
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    for line in accepted.lines().chain(refused.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn verdict__should_not_end_in_0_when_it_cannot_be_written() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kmsctl"));
    let evidence = Evidence::booted();
    command.args(evidence.args("verify")).stdout(full);
    assert_eq!(command.status().unwrap().code(), Some(1));
}
