//! `device id`: the claimed identity of hardware.

use kms_simulator::quote::{Broken, QuoteSpec};
use serde_json::json;

use crate::run::kmsctl;
use crate::simulated::{Evidence, platform};

#[test]
fn device_id__should_be_that_of_the_quotes_host() {
    let platform = platform();
    let host = platform.host(0).unwrap();
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let quote = evidence.path("quote.bin").into_os_string().into_string().unwrap();
    let run = kmsctl(["device", "id", "--quote", &quote]).exits(0);
    assert_eq!(run.stdout, format!("{}\n", host.device_id()));
    assert!(run.stderr.contains("claims"), "{}", run.stderr);
    let run = kmsctl(["device", "id", "--quote", &quote, "--json"]).exits(0);
    assert_eq!(
        run.json(),
        json!({
            "device_id": host.device_id(),
            "ppid": host.ppid().unwrap(),
            "fmspc": host.fmspc(),
            "verified": false,
        })
    );
}

#[test]
fn device_id__should_be_printed_of_a_forged_quote_too_and_say_so() {
    let spec = QuoteSpec { broken: Some(Broken::QuoteSignature), ..QuoteSpec::default() };
    let evidence = Evidence::of_spec(&spec);
    let quote = evidence.path("quote.bin").into_os_string().into_string().unwrap();
    let run = kmsctl(["device", "id", "--quote", &quote]).exits(0);
    assert!(run.stderr.contains("kmsctl quote verify"), "{}", run.stderr);
}

#[test]
fn device_id__should_refuse_what_is_no_quote() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let junk = evidence.write("junk", b"junk");
    let run = kmsctl(["device", "id", "--quote", &junk]).exits(10);
    assert!(run.stderr.contains("quote-malformed") && run.stdout.is_empty(), "{}", run.stderr);
    kmsctl(["device", "id", "--quote", "missing.bin"]).exits(2);
}
