//! `quote explain`: what a person reads.

use kms_attestation::ids::ReportData;
use kms_simulator::cvm::BootStage;
use kms_simulator::quote::{QuoteSpec, ReportKind};

use crate::run::Run;
use crate::simulated::{Evidence, cvm, platform};

/// Asserts that the text says all of that: at line breaks where there are some, or wherever lines are broken.
fn assert_says(run: &Run, expected: &[&str]) {
    let unbroken = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in expected {
        assert!(run.stdout.contains(text) || unbroken.contains(text), "{text}: {}", run.stdout);
    }
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(line.trim_end(), line, "no blanks at the end");
    }
    assert!(!run.stdout.contains('\u{1b}'), "no colour where nobody sees it");
}

#[test]
fn explanation__should_say_what_an_accepted_quote_proves() {
    let run = Evidence::booted().explain().exits(0);
    assert_says(
        &run,
        &[
            "ACCEPTED at 2027-01-15T08:00:00Z: genuine, and in a state that policy accepts.\n",
            "\nWhat the quote proves\nok fine   NO wrong   -- proven, for you to judge   ?? not proven\n",
            "ok Signed by    a quote of version 4, by \"",
            "(not Intel's: given with --root)",
            "ok Hardware     FMSPC ",
            "-- Device id    ",
            "ok Platform     TCB status UpToDate, level of ",
            "ok Advisories   none",
            "ok QE           quoting enclave, TCB status UpToDate",
            "ok Guest        attributes 0000001000000000 (SEPT_VE_DISABLE)",
            "-- MRTD         ",
            "ok Event log    replays to RTMR3",
            "-- Compose hash ",
            "-- Key provider none yet",
            "-- Boot         not finished: this guest can ask for keys",
            "-- Report data  all zero: bound to nothing",
            "\nWhat is wrong, and what would fix it\n   Nothing.\n",
            "\nHow long it holds\n   Acceptable until 2027-02-14T",
            "in 29 days: then the collateral",
            "(in 29 days)",
            "   New certificates move:\n",
        ],
    );
    assert!(!run.stdout.contains("Who asks"), "{}", run.stdout);
}

#[test]
fn explanation__should_list_every_fault_and_not_only_the_first() {
    let policy = br#"{"allowed_fmspcs":[],"max_collateral_age_secs":1,"min_evaluation_number":1000000}"#;
    let evidence = Evidence::booted().with("--policy", "policy.json", policy);
    evidence.write("log.json", b"[]");
    let run = evidence.explain().exits(10);
    assert_says(
        &run,
        &[
            "REFUSED at 2027-01-15T08:00:00Z: the quote is genuine, but not acceptable.\n",
            "NO fmspc-not-allowed: ",
            "NO collateral-stale: ",
            "NO evaluation-number-too-low: ",
            "NO rtmr3-mismatch: ",
            "NO Hardware     ",
            "NO Collateral   ",
            "NO App          not known; see below\n",
            "   expected     at least 1000000\n",
            "   fix          Fetch current collateral.\n",
            "policy allows some only",
            "   Not acceptable now. When that is mended, these dates still end it.\n",
        ],
    );
}

#[test]
fn explanation__should_mark_claims_as_such() {
    let spec = QuoteSpec { td_attributes: [1, 0, 0, 0x30, 0, 0, 0, 2], ..QuoteSpec::default() };
    let run = Evidence::of_spec(&spec).explain().exits(10);
    assert_says(
        &run,
        &[
            "the quote is not proven to be genuine.\n",
            "\nWhat the quote claims\n",
            "?? Signed by    ",
            "NO Guest        attributes 0100003000000002 (DEBUG: the host can read the",
            "SEPT_VE_DISABLE, MIGRATABLE, bit 57)",
            "?? Platform     not known\n",
            "others may show once it is fixed.",
        ],
    );
    let proven = run.stdout.lines().filter(|line| line.starts_with("ok ") && !line.starts_with("ok fine"));
    assert_eq!(proven.count(), 0, "{}", run.stdout);
}

#[test]
fn explanation__should_say_what_was_not_checked_and_why() {
    let policy = br#"{"grace_secs":86400}"#;
    let run = Evidence::of_spec(&QuoteSpec::default()).with("--policy", "policy.json", policy).explain();
    assert_says(
        &run.exits(0),
        &[
            "\nWhat was not checked\n",
            " - Who asks: which app, code and instance; no event log was given (--event-log).\n",
            " - Grace: policy gives 86400 s",
            " - Freshness: ",
            " - The OS image: ",
        ],
    );
}

#[test]
fn explanation__should_end_with_the_first_date_and_count_from_the_time_of_judgement() {
    let policy = br#"{"max_collateral_age_secs":172800}"#;
    let run = Evidence::booted().with("--policy", "policy.json", policy).explain().exits(0);
    assert_says(&run, &["in 1 day: then the collateral is older than policy", "(in 1 day)\n"]);
}

#[test]
fn explanation__should_know_a_guest_that_has_finished_booting() {
    let platform = platform();
    let mut cvm = cvm(&platform);
    cvm.spec.key_provider = br#"{"name":"\u001b[2J","id":""}"#.to_vec();
    cvm.boot_to(BootStage::Ready);
    let quote = cvm.quote(ReportData([7; 64])).unwrap();
    let log = cvm.event_log().to_json();
    let evidence = Evidence::simulated(&platform, &quote).with("--event-log", "log.json", log.as_bytes());
    let run = evidence.explain().exits(0);
    assert_says(
        &run,
        &["-- Key provider \\u{1b}[2J, id", "-- Boot         finished: ", "(the guest's choice)"],
    );
}

#[test]
fn explanation__should_know_the_newer_reports() {
    for (kind, words) in
        [(ReportKind::Td15, "report of TDX 1.5\n"), (ReportKind::Td15Ex, "report of TDX 1.5 extended\n")]
    {
        let run = Evidence::of_spec(&QuoteSpec::of_kind(kind)).explain().exits(0);
        assert_says(&run, &[words, "a quote of version 5"]);
    }
}

#[test]
fn explanation__should_have_little_to_say_about_junk() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    evidence.write("quote.bin", b"junk");
    let run = evidence.explain().exits(10);
    assert_says(&run, &["   Nothing: these bytes are not a well-formed quote.\n", "   Not known: "]);
}
