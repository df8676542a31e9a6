//! Evidence that is not there: removed with a word, lost, withheld, or not in a bundle.

use kms_ledger::blob_file;

use super::{Log, found};

impl Log {
    /// Takes away the blobs that only records before the index name, and says so.
    fn prune(&self, before: usize) {
        let (old, young) = self.scene.records.split_at(before);
        for id in old.iter().flat_map(|record| record.blobs()) {
            if !young.iter().any(|record| record.blobs().contains(&id)) {
                std::fs::remove_file(self.path("log").join(blob_file::path(id))).unwrap();
            }
        }
        std::fs::write(self.path("log/pruned"), format!("{before}\n")).unwrap();
    }
}

#[test]
fn pruned__should_be_no_finding_before_the_mark_and_one_after_it() {
    let log = Log::new(2);
    log.prune(6);
    let key = log.key();
    let run = log.run("verify", &["--json", "--key", &key]).exits(0).json();
    assert_eq!((&run["result"]["evidence"], &run["result"]["pruned_before"]), (&"pruned".into(), &6.into()));
    assert!(run["result"]["blobs_pruned"].as_u64().unwrap() > 0);
    assert_eq!(run["result"]["blobs_missing"], 0);
    let replayed = log.run("replay", &["--json", "--key", &key]).exits(3).json();
    let untold = &replayed["tally"]["untold"]["replay-blob-pruned"];
    // What names nothing that was removed is decided again, and so is all that is young, but for the second certificate
    // of a release that is old.
    assert!(untold.as_array().unwrap().contains(&serde_json::json!([10, 10])), "{untold}");
    assert_eq!(replayed["tally"]["findings"], serde_json::json!([]));
    log.run("replay", &["11..", "--key", &key]).exits(0);
    let text = log.run("replay", &["--key", &key]).exits(3).stdout;
    assert!(text.contains("replay-blob-pruned"), "{text}");
    // Without a pinned key, a later start vouches for it.
    assert_eq!(log.run("verify", &["--json"]).exits(0).json()["log"]["key_from"], "quote");
    // A younger record's evidence is lost, whatever the mark says of older ones.
    let witness = log.scene.decision(9).evidence.witness.unwrap();
    log.with_file(&blob_file::path(witness), Vec::clear, |log| {
        assert_eq!(log.findings(&[]), found(&blob_file::path(witness), "blob-missing"));
        log.run("replay", &["9", "--key", &log.key()]).exits(3);
    });
    std::fs::write(log.path("log/pruned"), "nonsense").unwrap();
    let run = log.run("verify", &["--key", &key]).exits(10);
    assert!(run.stderr.contains("pruned: log-pruned-malformed"), "{}", run.stderr);
}

#[test]
fn withheld__should_be_told_apart_from_lost() {
    let log = Log::new(1);
    std::fs::remove_dir_all(log.path("log/blob")).unwrap();
    let (key, kept) = (log.key(), log.path("kept"));
    let words = ["--key", &key, "--keep", kept.to_str().unwrap()];
    let run = log.run("verify", &words).exits(3);
    assert!(run.stdout.contains("this source withholds evidence"), "{}", run.stdout);
    assert!(kept.is_file(), "the tree is as it was signed");
    let run = log.run("verify", &["--no-evidence", "--json", "--key", &key]).exits(0).json();
    assert_eq!(run["result"]["evidence"], "unasked");
    log.run("replay", &["--key", &key]).exits(3);
}
