//! Exit code 2 for what the person at the keyboard can mend, and help that tells how.

use kms_simulator::quote::QuoteSpec;

use crate::run::{Run, kmsctl};
use crate::simulated::Evidence;

fn usage_error(run: Run) -> String {
    let run = run.exits(2);
    assert_eq!(run.stdout, "");
    assert!(!run.stderr.is_empty());
    run.stderr
}

/// Runs `quote verify` with one file of the healthy evidence replaced, added or taken away.
fn with_file(option: &str, content: &[u8]) -> Run {
    Evidence::of_spec(&QuoteSpec::default()).with(option, "file", content).verify()
}

#[test]
fn missing_file__should_be_a_usage_error_that_names_it() {
    for option in ["--event-log", "--policy"] {
        let evidence = Evidence::of_spec(&QuoteSpec::default()).with(option, "gone", b"");
        std::fs::remove_file(evidence.path("gone")).unwrap();
        assert!(usage_error(evidence.verify()).contains("gone"), "{option}");
    }
    for name in ["quote.bin", "collateral.json", "root.der"] {
        let evidence = Evidence::of_spec(&QuoteSpec::default());
        std::fs::remove_file(evidence.path(name)).unwrap();
        assert!(usage_error(evidence.verify()).contains(name));
        std::fs::create_dir(evidence.path(name)).unwrap();
        assert!(usage_error(evidence.verify()).contains(name), "a folder is no file");
    }
}

#[test]
fn huge_file__should_be_a_usage_error() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    evidence.write("quote.bin", &vec![0; 5 * 1024 * 1024]);
    assert!(usage_error(evidence.verify()).contains("larger than 4194304 bytes"));
}

#[test]
fn policy_that_is_none__should_be_a_usage_error() {
    for policy in ["", "nonsense", "[]", r#"{"grace":1}"#, r#"{"accepted_tcb_statuses":["Fine"]}"#] {
        assert!(usage_error(with_file("--policy", policy.as_bytes())).contains("policy"), "{policy}");
    }
}

#[test]
fn root_that_is_none__should_be_a_usage_error() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    for root in [&b""[..], b"junk", &[0x30; 5000]] {
        evidence.write("root.der", root);
        assert!(usage_error(evidence.verify()).contains("root of trust"));
    }
}

#[test]
fn time_that_is_none__should_be_a_usage_error() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    for time in ["", "soon", "-1", "2027-01-15", "99999999999999999999"] {
        let mut args = evidence.args("verify");
        args[5] = time.to_owned();
        usage_error(kmsctl(args));
    }
}

#[test]
fn source_of_collateral__should_be_exactly_one() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let none = usage_error(kmsctl(evidence.args_without_collateral("verify")));
    assert!(none.contains("--collateral <FILE>|--pccs <URL>"), "{none}");
    let both =
        [evidence.args("verify"), vec!["--pccs".to_owned(), "https://pccs.example".to_owned()]].concat();
    usage_error(kmsctl(both));
}

#[test]
fn unknown_words__should_be_usage_errors() {
    for args in
        [&["nonsense"][..], &["quote"], &["quote", "nonsense"], &["quote", "verify", "--nonsense"], &[]]
    {
        kmsctl(args).exits(2);
    }
}

#[test]
fn help__should_have_an_example_for_each_command_and_fit_a_terminal() {
    for command in [
        &["quote", "verify"][..],
        &["quote", "explain"],
        &["compose", "hash"],
        &["compose", "build"],
        &["device", "id"],
        &["env", "encrypt"],
        &["env", "decrypt"],
    ] {
        let run = kmsctl(command.iter().chain(&["--help"])).exits(0);
        let example = format!("Example:\n  kmsctl {} ", command.join(" "));
        assert!(run.stdout.contains(&example), "{}", run.stdout);
    }
    let run = kmsctl(["--help"]).exits(0);
    assert!(run.stdout.contains("  10  refused"), "{}", run.stdout);
}
