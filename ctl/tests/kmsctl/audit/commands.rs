//! Every command on an honest log.

use kms_simulator::cvm::BootStage;

use super::{Log, ORIGIN};
use crate::run::kmsctl;
use crate::scene::folder::tree_files;

/// A text without its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn verify__should_accept_an_honest_log_and_a_later_one_that_continues_it() {
    let log = Log::new(1);
    let kept = log.path("kept");
    let kept = kept.to_str().unwrap();
    let run = log.run("verify", &["--key", &log.key(), "--keep", kept]).exits(0);
    assert!(run.stdout.contains("The log is as it was signed."), "{}", run.stdout);
    log.run("verify", &["--since", kept]).exits(0);
    let later = Log::new(21);
    let entries: Vec<_> = later.scene.records.iter().take(13).map(|record| record.encode()).collect();
    let earlier = tree_files(ORIGIN, &entries, &later.signer);
    std::fs::write(kept, &earlier["checkpoint"]).unwrap();
    let run = later.run("verify", &["--since", kept, "--json", "--key", &later.key()]).exits(0).json();
    assert_eq!(run["verified"], true);
    assert_eq!(run["result"]["records"], 21 * 13);
    assert_eq!(run["result"]["tiles"], 3);
    assert_eq!(run["log"]["key_from"], "pinned");
}

#[test]
fn key__should_be_that_of_the_first_record_where_a_quote_vouches_for_it_and_said_so() {
    let log = Log::new(1);
    let run = log.run("verify", &[]).exits(0);
    assert!(words(&run.stdout).contains("for which a genuine quote vouches"), "{}", run.stdout);
    assert_eq!(log.run("verify", &["--json"]).exits(0).json()["log"]["key_from"], "quote");
    // Under Intel's root, nothing vouches for a simulated node.
    let path = log.path("log");
    let run = kmsctl(["audit", "verify", path.to_str().unwrap()]).exits(10);
    assert!(run.stderr.contains("audit-key-unbound"), "{}", run.stderr);
    let other = super::folder::Signer::new(8).log_key(ORIGIN).to_string();
    let run = log.run("verify", &["--key", &other]).exits(10);
    assert!(run.stderr.contains("note-unsigned"), "{}", run.stderr);
    log.run("verify", &["--key", "nonsense"]).exits(2);
}

#[test]
fn replay__should_find_every_record_as_it_would_be_decided_again() {
    let log = Log::new(3);
    let run = log.run("replay", &["--json", "--threads", "3"]).exits(0).json();
    assert_eq!(run["tally"]["records"], 39);
    assert_eq!(run["tally"]["decisions"], 30);
    let results = serde_json::json!({ "consistent": 6, "identical": 27, "stated": 6 });
    assert_eq!(run["tally"]["results"], results);
    assert_eq!(run["tally"]["answers"]["app-keys allow"], 3);
    assert_eq!(run["tally"]["findings"], serde_json::json!([]));
    let some = log.run("replay", &["2", "9", "--json"]).exits(0).json();
    assert_eq!(some["tally"]["records"], 2);
    let text = log.run("replay", &[]).exits(0).stdout;
    assert!(text.contains("Every record is as it would be decided again."), "{text}");
    log.run("replay", &["99999"]).exits(3);
}

#[test]
fn replay__should_find_what_the_node_should_have_decided_otherwise() {
    let mut log = Log::new(1);
    // The operator releases keys to a guest that has booted, and signs that it was right.
    let allow = log.scene.decision(2).outcome;
    log.scene.change(4, |decision| decision.outcome = allow);
    log.replace(&super::folder::files(&log.scene, &log.signer));
    log.run("verify", &[]).exits(0);
    let run = log.run("replay", &["--json"]).exits(10).json();
    let finding = &run["tally"]["findings"][0];
    assert_eq!(
        (&finding["index"], &finding["replayed"], &finding["what"]),
        (&4.into(), &"different".into(), &"outcome".into())
    );
    assert!(finding["recomputed"].as_str().unwrap().contains("boot-finished"), "{finding}");
    let text = log.run("replay", &[]).exits(10).stdout;
    assert!(text.contains("1 records are NOT"), "{text}");
}

#[test]
fn replay__should_not_take_missing_evidence_for_an_answer() {
    let log = Log::new(1);
    let witness = log.scene.decision(2).evidence.witness.unwrap();
    let path = kms_ledger::blob_file::path(witness);
    log.with_file(&path, Vec::clear, |log| {
        let run = log.run("replay", &["2", "--json"]).exits(3).json();
        assert_eq!(run["tally"]["gaps"]["replay-blob-missing"], 1);
    });
    log.with_file(
        &path,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |log| {
            let run = log.run("replay", &["2", "--json"]).exits(10).json();
            assert_eq!(run["tally"]["gaps"]["replay-blob-damaged"], 1);
        },
    );
}

#[test]
fn show__should_print_the_record() {
    let log = Log::new(1);
    let shown = log.run("show", &["2"]).exits(0).json();
    assert_eq!(shown["index"], 2);
    assert_eq!(shown["record"]["event"]["decision"]["outcome"]["verdict"], "allow");
    log.run("show", &["13"]).exits(2);
}

#[test]
fn explain__should_say_who_what_why_and_what_would_fix_it() {
    let log = Log::new(1);
    let explain = |index| words(&log.run("explain", &[index]).exits(0).stdout);
    let allowed = explain("2");
    for expected in [
        "keys for an app, allowed at block 102",
        "the contract allows exactly this",
        "app-disk, app-env, app-signing",
        "The same record, bit for bit.",
    ] {
        assert!(allowed.contains(expected), "{expected}: {allowed}");
    }
    let issued = explain("3");
    for expected in [
        "What was issued",
        "ok names bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.kms.internal",
        "ok valid from 2027-01-15T07:55:03Z to 2027-01-16T08:00:03Z",
        "ok usable as server",
        "ok key SHA-256 of SPKI",
    ] {
        assert!(issued.contains(expected), "{expected}: {issued}");
    }
    assert!(!explain("10").contains("What was issued"), "a denial issues nothing");
    let late = explain("4");
    assert!(late.contains("denied: boot-finished") && late.contains("fix"), "{late}");
    let limited = explain("6");
    assert!(
        limited.contains("Wait as long as the answer says") && limited.contains("nothing was released"),
        "{limited}"
    );
    let revoked = explain("9");
    assert!(revoked.contains("contract-denied") && revoked.contains("kmsctl kms register-app"), "{revoked}");
    for index in 0..13_u32 {
        let run = log.run("explain", &[&index.to_string()]).exits(0);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
        let json = log.run("explain", &["--json", &index.to_string()]).exits(0).json();
        assert_eq!(json["index"], index);
    }
}

#[test]
fn search__should_find_by_app_device_answer_and_time() {
    let mut log = Log::new(1);
    log.scene.sealed = true;
    let mut private = log.scene.app("private");
    private.spec.app_id.0 = [0xcc; 20];
    let mut private = kms_simulator::cvm::Cvm::new(private.host(), private.image(), private.spec.clone());
    private.boot_to(BootStage::Measured);
    log.scene.boot(&private);
    log.replace(&super::folder::files(&log.scene, &log.signer));
    let count = |more: &[&str]| {
        let found = log.run("search", &[more, &["--json"]].concat()).exits(0).json();
        found.as_array().unwrap().iter().map(|it| it["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(count(&["--code", "contract-denied"]), [9, 10, 11]);
    assert_eq!(count(&["--code", "binding-mismatch"]), [8]);
    assert_eq!(count(&["--app", &"bb".repeat(20), "--code", "allow"]), [2, 3]);
    assert_eq!(count(&["--app", &format!("0x{}", "cc".repeat(20))]), [13]);
    let device = log.scene.platform.host(0).unwrap().device_id().to_string();
    assert_eq!(count(&["--device", &device]), [2, 3, 6, 7, 9, 10, 13]);
    assert_eq!(count(&["--from", "1800000003", "--to", "1800000005"]), [3, 4]);
    let lines = log.run("search", &["--code", "allow"]).exits(0);
    assert_eq!((lines.stdout.lines().count(), lines.stderr.as_str()), (4, "4 records\n"));
    log.run("search", &["--app", "nonsense"]).exits(2);
}

#[test]
fn export__should_make_one_file_that_verifies_and_replays_by_itself() {
    let log = Log::new(21);
    let bundle = log.path("case.bundle");
    let output = bundle.to_str().unwrap();
    // A certificate brings its release, and the log's first record comes with everything.
    log.run("export", &["3", "270", "--output", output]).exits(0);
    let run = log.run_on("case.bundle", "replay", &["--json"]).exits(0).json();
    assert_eq!(run["tally"]["records"], 5);
    assert_eq!(run["log"]["key_from"], "quote");
    let verified = log.run_on("case.bundle", "verify", &["--json", "--key", &log.key()]).exits(0).json();
    assert_eq!(verified["result"]["records"], 5);
    log.run_on("case.bundle", "explain", &["3"]).exits(0);
    log.run_on("case.bundle", "show", &["4"]).exits(2);
    log.run_on("case.bundle", "export", &["3", "--output", output]).exits(2);
    let bytes = std::fs::read(&bundle).unwrap();
    for at in (0..bytes.len()).step_by(997) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&bundle, changed).unwrap();
        log.run_on("case.bundle", "verify", &["--key", &log.key()]).exits(10);
    }
}
