//! Receipts of which an auditor demands that witnesses have seen the record.

use kms_ledger::hash::TreeHash;
use kms_ledger::note::{LogKey, LogSigner as _, WitnessKey};
use kms_ledger::proof::LogProof;
use kms_ledger::{LogReader, Receipt, SignedCheckpoint, Source};

use super::folder::{Signer, tree_files};
use super::{Log, ORIGIN};
use crate::run::{Run, kmsctl};

/// The record that the receipt is of.
const INDEX: u64 = 2;
const TIME: u64 = 1_800_000_000;

fn witness(seed: u8) -> (Signer, WitnessKey) {
    let signer = Signer::new(seed);
    let key = WitnessKey::new(format!("witness.example/{seed}").parse().unwrap(), signer.public_key());
    (signer, key)
}

/// A checkpoint with the cosignatures of these witnesses.
fn cosigned(note: &[u8], key: &LogKey, by: &[u8]) -> Vec<u8> {
    let mut checkpoint = SignedCheckpoint::open(note, key).unwrap();
    for seed in by {
        let (signer, key) = witness(*seed);
        let line = checkpoint.cosign(TIME, key.name(), &signer);
        checkpoint.add_cosignature(line, &key).unwrap();
    }
    checkpoint.encode().into_bytes()
}

struct Scene {
    log: Log,
    entries: Vec<Vec<u8>>,
    path: Vec<TreeHash>,
}

impl Scene {
    fn new() -> Self {
        let log = Log::new(1);
        let entries = log.scene.records.iter().map(|record| record.encode()).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let path = runtime.unwrap().block_on(async {
            let key = log.signer.log_key(ORIGIN);
            let reader = LogReader::open(Source::folder(log.path("log")), &key).await.unwrap();
            reader.inclusion_path(INDEX).await.unwrap()
        });
        Self { log, entries, path }
    }

    fn key(&self) -> LogKey {
        self.log.signer.log_key(ORIGIN)
    }

    /// Writes the receipt, under the log's checkpoint with these cosignatures.
    fn receipt(&self, by: &[u8]) {
        let checkpoint = cosigned(&self.log.files["checkpoint"], &self.key(), by);
        let proof = LogProof::of_answer(INDEX, self.path.clone(), &checkpoint).unwrap();
        let leaf_hash = TreeHash::leaf(&self.entries[2]);
        let receipt = Receipt { log_key: self.key(), leaf_hash, proof };
        std::fs::write(self.log.path("receipt"), receipt.proof.encode()).unwrap();
        std::fs::write(self.log.path("receipt.json"), receipt.encode_beside()).unwrap();
    }

    /// Shows the log with a cosigned checkpoint of these entries.
    fn witnessed(&self, entries: &[Vec<u8>], by: &[u8]) {
        let mut files = self.log.files.clone();
        let mut older = tree_files(ORIGIN, entries, &self.log.signer);
        let note = older.remove("checkpoint").unwrap();
        files.extend(older);
        files.extend(self.log.files.clone());
        files.insert("witnessed".to_owned(), cosigned(&note, &self.key(), by));
        self.log.replace(&files);
    }

    fn check(&self, asked: &[u8], more: &[&str]) -> Run {
        let keys: Vec<_> = asked.iter().map(|seed| witness(*seed).1.to_string()).collect();
        let receipt = self.log.path("receipt");
        let mut words = vec!["audit", "receipt", receipt.to_str().unwrap()];
        words.extend(keys.iter().flat_map(|key| ["--witness", key]));
        words.extend(more);
        kmsctl(words)
    }

    fn check_with_log(&self, asked: &[u8], more: &[&str]) -> Run {
        let log = self.log.path("log");
        self.check(asked, &[&["--log", log.to_str().unwrap()], more].concat())
    }
}

fn unwitnessed(run: Run) -> String {
    let run = run.exits(10);
    assert!(run.stderr.contains("audit-unwitnessed"), "{}", run.stderr);
    run.stderr
}

#[test]
fn receipt__should_show_who_has_cosigned_it_offline() {
    let scene = Scene::new();
    scene.receipt(&[1, 2]);
    scene.check(&[], &[]).exits(0);
    let run = scene.check(&[1, 2], &[]).exits(0);
    assert!(run.stderr.contains("cosigned by witness.example/1 at 2027-01-15T08:00:00Z"), "{}", run.stderr);
    scene.check(&[1, 3], &["--witness-quorum", "1"]).exits(0);
    // A key that is given twice is one voice, also where all are asked for.
    scene.check(&[1, 1], &[]).exits(0);
    assert!(unwitnessed(scene.check(&[1, 3], &[])).contains("2 of 2 witnesses"));
    unwitnessed(scene.check(&[1, 1], &["--witness-quorum", "2"]));
    scene.receipt(&[]);
    unwitnessed(scene.check(&[1], &[]));
    scene.check(&[], &["--witness-quorum", "1"]).exits(2);
    scene.check(&[], &["--witness-quorum", "0", "--witness", &witness(1).1.to_string()]).exits(2);
}

#[test]
fn receipt__should_be_seen_by_witnesses_in_the_log_where_one_is_given() {
    let scene = Scene::new();
    // Its own checkpoint has no cosignature: what counts is that the log's newest has, and holds the record.
    scene.receipt(&[]);
    scene.witnessed(&scene.entries, &[1]);
    let run = scene.check_with_log(&[1], &[]).exits(0);
    assert!(run.stderr.contains("cosigned by witness.example/1"), "{}", run.stderr);
    scene.witnessed(&scene.entries[..9], &[1]);
    scene.check_with_log(&[1], &[]).exits(0);
    unwitnessed(scene.check_with_log(&[2], &[]));
    unwitnessed(scene.check_with_log(&[1, 2], &[]));
    scene.check_with_log(&[1, 2], &["--witness-quorum", "1"]).exits(0);
    // They have not come as far as the record.
    scene.witnessed(&scene.entries[..2], &[1]);
    assert!(unwitnessed(scene.check_with_log(&[1], &[])).contains("has 2 records"));
    // They have seen another log, with the same record in it.
    let mut other = scene.entries.clone();
    other.swap(4, 5);
    let (mut fork, genuine) = (tree_files(ORIGIN, &other[..9], &scene.log.signer), &scene.log.files);
    let note = fork.remove("checkpoint").unwrap();
    let mut files = genuine.clone();
    files.extend(fork);
    files.insert("witnessed".to_owned(), cosigned(&note, &scene.key(), &[1]));
    scene.log.replace(&files);
    let run = scene.check_with_log(&[1], &[]).exits(10);
    assert!(run.stderr.contains("log-forked"), "{}", run.stderr);
}
