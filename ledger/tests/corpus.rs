//! What each version of the rules decided, kept for ever: newer software gives the same answers, or `RULE_CHANGES` says
//! which rule has changed since.
//!
//! ```text
//! corpus/v<rules>/root.der | records/<index> | blobs/<id> | expected.txt
//! ```
//!
//! `UPDATE_CORPUS=1 cargo test --workspace --all-features --test corpus` writes the folder of today's rules where there is
//! none. Records and blobs that are there are never written again. A line of `expected.txt` is edited only where a change
//! of the rules gives another answer, and names it: record 3 of v1 has a certificate that no node would issue, which rules 2
//! look into.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kms_attestation::RootOfTrust;
use kms_ledger::replay::{Archive, Gap, LogIdentity, Replayed, Replayer, no_blob, no_record};
use kms_ledger::{BlobId, Record};
use kms_verdict::RULES_VERSION;
use support::{LOG_KEY, ORIGIN, Scene};

/// A version's folder.
struct Corpus(PathBuf);

impl Archive for Corpus {
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap> {
        let bytes = fs::read(self.0.join(format!("records/{index}"))).map_err(|_| no_record(index))?;
        Ok(Arc::new(Record::decode(&bytes).unwrap()))
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap> {
        fs::read(self.0.join(format!("blobs/{id}"))).map(Into::into).map_err(|_| no_blob(id))
    }
}

fn folder(rules: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/corpus/v{rules}"))
}

/// A line for each record: what it says, and what came of deciding it again.
fn line(index: u64, record: &Record, replayed: &Replayed) -> String {
    use kms_ledger::record::Event;
    let what = match &record.event {
        Event::Started(_) => "started".to_owned(),
        Event::Stopped => "stopped".to_owned(),
        Event::Unstored(_) => "unstored".to_owned(),
        Event::Decision(it) => format!("{} {}", it.subject.as_str(), it.outcome.code().unwrap_or("allow")),
    };
    let came = match replayed {
        Replayed::RulesChanged { change, difference } => {
            format!("{} by rules {}, {}", replayed.name(), change.version, difference.what)
        }
        other => other.name().to_owned(),
    };
    format!("{index} {what}: {came}")
}

fn replay(corpus: &Corpus, root_der: &[u8]) -> String {
    let log = LogIdentity { origin: ORIGIN.to_owned(), key: Some(LOG_KEY) };
    let replayer = Replayer::new(RootOfTrust::configured(root_der).unwrap(), Some(log));
    let mut text = String::new();
    for index in 0.. {
        let Ok(record) = corpus.record(index) else { break };
        writeln!(text, "{}", line(index, &record, &replayer.replay(corpus, index, &record))).unwrap();
    }
    text
}

fn write(folder: &Path) {
    let mut scene = Scene::new();
    scene.one_of_each();
    scene.sealed = true;
    let shop = scene.app("private");
    scene.boot(&shop);
    for part in ["records", "blobs"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for (index, record) in scene.records.iter().enumerate() {
        fs::write(folder.join(format!("records/{index}")), record.encode()).unwrap();
    }
    for (id, bytes) in &scene.blobs {
        fs::write(folder.join(format!("blobs/{id}")), bytes).unwrap();
    }
    let root = scene.platform.root_der();
    fs::write(folder.join("root.der"), &root).unwrap();
    fs::write(folder.join("expected.txt"), replay(&Corpus(folder.to_owned()), &root)).unwrap();
}

#[test]
fn corpus__should_be_decided_as_it_was_by_every_version_of_the_rules() {
    let today = folder(RULES_VERSION);
    if std::env::var_os("UPDATE_CORPUS").is_some() && !today.exists() {
        write(&today);
    }
    for rules in 1..=RULES_VERSION {
        let corpus = Corpus(folder(rules));
        let root =
            fs::read(corpus.0.join("root.der")).expect("a corpus of each version: see the head of this file");
        let expected = fs::read_to_string(corpus.0.join("expected.txt")).unwrap();
        assert!(expected.lines().count() > 10);
        assert_eq!(replay(&corpus, &root), expected, "rules {rules}");
        // What is expected is never a difference: at most one that a change of the rules explains.
        assert!(!expected.contains(": different") && !expected.contains(": not-replayable"), "{expected}");
    }
}
