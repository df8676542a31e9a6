//! A bundle whose evidence was changed, and one whose evidence is not there: told apart.

use std::collections::BTreeSet;

use kms_ledger::BlobId;
use kms_ledger::audit_bundle::AuditBundle;

use super::Log;
use crate::run::Run;

const NAME: &str = "case.bundle";

/// A release and its certificate, in a bundle.
fn exported() -> (Log, AuditBundle) {
    let log = Log::new(1);
    log.run("export", &["3", "--output", log.path(NAME).to_str().unwrap()]).exits(0);
    let bundle = AuditBundle::decode(&std::fs::read(log.path(NAME)).unwrap()).unwrap();
    (log, bundle)
}

fn named_by(log: &Log, bundle: &AuditBundle, id: BlobId) -> BTreeSet<String> {
    let names = |index: &u64| log.scene.records[usize::try_from(*index).unwrap()].blobs().contains(&id);
    bundle
        .entries
        .keys()
        .filter(|index| names(index))
        .map(|index| format!("record {index} names it"))
        .collect()
}

fn run(log: &Log, command: &str, bytes: &[u8]) -> Run {
    std::fs::write(log.path(NAME), bytes).unwrap();
    log.run_on(NAME, command, &["--json", "--key", &log.key()])
}

#[test]
fn changed_blob__should_be_tampering_that_is_named_with_its_record() {
    let (log, bundle) = exported();
    let bytes = bundle.encode();
    let mut located = 0;
    for (id, blob) in &bundle.blobs {
        let at = bytes.windows(blob.len()).rposition(|window| window == &blob[..]).unwrap();
        for flip in 1..=4 {
            let mut changed = bytes.clone();
            changed[at + blob.len() / 2] ^= flip;
            let verified = run(&log, "verify", &changed).exits(10);
            if verified.stderr.contains("audit-bundle-not-canonical") {
                // Its new name is not where its bytes stand: that is no bundle any more.
                continue;
            }
            located += 1;
            let found = verified.json()["result"]["findings"][0].clone();
            assert_eq!(
                (&found["code"], &found["place"]),
                (&"blob-foreign".into(), &kms_ledger::blob_file::path(*id).into(),)
            );
            assert_eq!(found["expected"], id.to_string());
            let said = found["found"].as_str().unwrap();
            assert!(named_by(&log, &bundle, *id).iter().any(|record| said.contains(record)), "{said}");
            let replayed = run(&log, "replay", &changed).exits(10).json();
            assert!(replayed["tally"]["gaps"]["replay-blob-damaged"].as_u64().unwrap() >= 1);
        }
    }
    assert!(located >= 3, "only {located} of {} changes kept the order", 4 * bundle.blobs.len());
}

#[test]
fn absent_blob__should_be_undecided_and_never_an_answer() {
    let (log, bundle) = exported();
    for id in bundle.blobs.keys() {
        let mut fewer = bundle.clone();
        fewer.blobs.remove(id);
        let verified = run(&log, "verify", &fewer.encode()).exits(3).json();
        assert_eq!(verified["result"]["evidence"], "incomplete");
        assert_eq!(
            (&verified["result"]["blobs_missing"], &verified["result"]["findings"]),
            (&1.into(), &serde_json::json!([]),)
        );
        let replayed = run(&log, "replay", &fewer.encode()).exits(3).json();
        assert_eq!(replayed["tally"]["results"]["different"], serde_json::Value::Null);
    }
    let mut none = bundle.clone();
    none.blobs.clear();
    run(&log, "verify", &none.encode()).exits(3);
    // What nobody names is nobody's evidence, as long as nothing is missing for it.
    let mut more = bundle;
    more.blobs.insert(BlobId::of(b"more"), b"more"[..].into());
    run(&log, "verify", &more.encode()).exits(0);
}
