//! One tampering each: found with its own code, at its place.

use kms_ledger::blob_file;
use kms_ledger::hash::TreeHash;
use kms_ledger::tree::{TILE_WIDTH, decode_bundle};

use super::{Log, found};
use crate::scene::folder::tree_files;

const BUNDLE: &str = "tile/entries/000";
const LAST_BUNDLE: &str = "tile/entries/001.p/17";
const LEAVES: &str = "tile/0/000";
const LAST_LEAVES: &str = "tile/0/001.p/17";
const ABOVE: &str = "tile/1/000.p/1";

/// A full bundle and a partial one: 273 records.
fn log() -> Log {
    Log::new(21)
}

#[test]
fn byte_of_a_record__should_be_found_at_its_index() {
    let log = log();
    for index in [0_usize, 17, 255] {
        let bundle = &log.files[BUNDLE];
        let entries = decode_bundle(bundle, kms_ledger::tree::Width::FULL).unwrap();
        let at: usize = entries[..index].iter().map(|entry| entry.len() + 2).sum();
        log.with_file(
            BUNDLE,
            |bytes| bytes[at + 2 + 40] ^= 1,
            |log| {
                assert_eq!(log.findings(&[]), found(&format!("record {index}"), "audit-entry-changed"));
                let run =
                    log.run("replay", &["--json", "--key", &log.key(), &index.to_string()]).exits(10).json();
                assert_eq!(run["tally"]["gaps"]["replay-record-unproven"], 1);
            },
        );
    }
    // In the partial bundle, too.
    log.with_file(
        LAST_BUNDLE,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |log| {
            assert_eq!(log.findings(&[]), found("record 272", "audit-entry-changed"));
        },
    );
}

#[test]
fn length_of_a_record__should_be_found_in_its_bundle() {
    let log = log();
    log.with_file(
        BUNDLE,
        |bytes| bytes[1] ^= 1,
        |log| {
            assert_eq!(log.findings(&[])[0], found(BUNDLE, "tile-malformed")[0]);
        },
    );
}

#[test]
fn byte_of_a_tile__should_be_found_at_its_path() {
    let log = log();
    for path in [LEAVES, LAST_LEAVES, ABOVE] {
        for at in [0, 31] {
            log.with_file(
                path,
                |bytes| bytes[at] ^= 0x80,
                |log| {
                    assert_eq!(log.findings(&[]), found(path, "audit-tile-changed"), "{path} {at}");
                },
            );
        }
        log.with_file(
            path,
            |bytes| bytes.truncate(bytes.len() - 1),
            |log| {
                assert_eq!(log.findings(&[]), found(path, "tile-malformed"), "{path}");
            },
        );
        log.with_file(path, Vec::clear, |log| {
            assert_eq!(log.findings(&[]), found(path, "log-file-missing"), "{path}");
        });
    }
}

#[test]
fn damaged_tile__should_not_be_taken_for_a_fork() {
    let log = log();
    let kept = log.path("kept");
    std::fs::write(&kept, &log.files["checkpoint"]).unwrap();
    for path in [LEAVES, LAST_LEAVES, ABOVE] {
        log.with_file(
            path,
            |bytes| bytes[0] ^= 1,
            |log| {
                let findings = log.findings(&["--since", kept.to_str().unwrap()]);
                assert!(findings.contains(&found(path, "audit-tile-changed")[0]), "{findings:?}");
                assert!(findings.iter().all(|(_, code)| code != "log-forked"), "{findings:?}");
            },
        );
    }
}

#[test]
fn byte_of_the_checkpoint__should_be_found_there() {
    let log = log();
    let len = log.files["checkpoint"].len();
    for at in 0..len {
        log.with_file(
            "checkpoint",
            |bytes| bytes[at] ^= 1,
            |log| {
                let run = log.run("verify", &["--key", &log.key()]).exits(10);
                assert!(run.stderr.contains("checkpoint: "), "{at}: {}", run.stderr);
            },
        );
    }
}

#[test]
fn byte_of_a_blob__should_be_found_at_its_path() {
    let log = Log::new(1);
    let blobs: Vec<&String> = log.files.keys().filter(|path| path.starts_with("blob/")).collect();
    for path in blobs.iter().step_by(5) {
        log.with_file(
            path,
            |bytes| *bytes.last_mut().unwrap() ^= 1,
            |log| {
                let findings = log.findings(&[]);
                // A part of others is found wherever it is used; the name of a part that is changed is the name of none.
                let codes = ["blob-foreign", "blob-malformed", "log-file-missing"];
                assert!(findings.iter().all(|(_, code)| codes.contains(&code.as_str())), "{findings:?}");
                assert!(!findings.is_empty());
            },
        );
        let named = log.scene.blobs.keys().any(|id| blob_file::path(*id) == **path);
        log.with_file(path, Vec::clear, |log| {
            let findings = log.findings(&[]);
            if named {
                assert!(findings.contains(&found(path, "blob-missing")[0]), "{findings:?}");
            } else {
                assert!(findings.iter().all(|(_, code)| code == "log-file-missing"), "{findings:?}");
            }
        });
    }
}

#[test]
fn dropped_tail__should_be_found_with_the_checkpoint_and_by_an_earlier_one() {
    let log = log();
    // The checkpoint still says how much there was.
    log.with_file(LAST_BUNDLE, Vec::clear, |log| {
        assert!(log.findings(&[]).contains(&found(LAST_BUNDLE, "log-file-missing")[0]));
    });
    // An older checkpoint and its files: only who kept a later one can tell.
    let kept = log.path("kept");
    std::fs::write(&kept, &log.files["checkpoint"]).unwrap();
    let entries: Vec<_> = log.scene.records.iter().take(260).map(|record| record.encode()).collect();
    let mut shorter = log.files.clone();
    shorter.extend(tree_files(&log.scene.origin, &entries, &log.signer));
    log.replace(&shorter);
    log.run("verify", &["--key", &log.key()]).exits(0);
    let findings = log.findings(&["--since", kept.to_str().unwrap()]);
    assert_eq!(findings, found("checkpoint", "log-rolled-back"));
}

#[test]
fn swapped_records__should_be_found_at_both_places() {
    let log = log();
    let swap = |bytes: &mut Vec<u8>| {
        let mut entries: Vec<Vec<u8>> = decode_bundle(bytes, kms_ledger::tree::Width::FULL)
            .unwrap()
            .iter()
            .map(|it| it.to_vec())
            .collect();
        entries.swap(4, 5);
        bytes.clear();
        for entry in &entries {
            kms_ledger::tree::append_entry(bytes, entry).unwrap();
        }
    };
    log.with_file(BUNDLE, swap, |log| {
        let both = [found("record 4", "audit-entry-changed"), found("record 5", "audit-entry-changed")];
        assert_eq!(log.findings(&[]), both.concat());
    });
}

#[test]
fn rewritten_history__should_be_found_without_and_with_a_new_signature() {
    let log = log();
    let mut entries: Vec<_> = log.scene.records.iter().map(|record| record.encode()).collect();
    entries.swap(4, 5);
    let mut rewritten = log.files.clone();
    rewritten.extend(tree_files(&log.scene.origin, &entries, &log.signer));
    let fork = rewritten["checkpoint"].clone();
    // Records and tiles agree, and the signed root is another.
    rewritten.insert("checkpoint".to_owned(), log.files["checkpoint"].clone());
    log.replace(&rewritten);
    assert_eq!(log.findings(&[]), found("checkpoint", "audit-root-mismatch"));
    // Signed anew: a fork, which only an earlier checkpoint shows.
    rewritten.insert("checkpoint".to_owned(), fork);
    log.replace(&rewritten);
    log.run("verify", &["--key", &log.key()]).exits(0);
    let kept = log.path("kept");
    std::fs::write(&kept, &log.files["checkpoint"]).unwrap();
    let findings = log.findings(&["--since", kept.to_str().unwrap()]);
    assert_eq!(findings, found("checkpoint", "log-forked"));
    // A checkpoint of another log, or of nobody, is none to compare with.
    std::fs::write(&kept, b"nonsense").unwrap();
    log.run("verify", &["--key", &log.key(), "--since", kept.to_str().unwrap()]).exits(10);
}

#[test]
fn life__should_begin_with_a_start_and_keep_its_stamp() {
    let mut log = Log::new(1);
    log.scene.change_record(7, |record| record.node.measurement.0[0] ^= 1);
    log.replace(&crate::scene::folder::files(&log.scene, &log.signer));
    assert_eq!(log.findings(&[]), found("record 7", "audit-stamp-changed"));
    let (first, rest) = (log.scene.records.remove(0), log.scene.records.clone());
    log.replace(&crate::scene::folder::files(&log.scene, &log.signer));
    assert!(log.findings(&[]).contains(&found("record 0", "audit-not-started")[0]));
    let run = log.run("verify", &[]).exits(10);
    assert!(run.stderr.contains("audit-key-unbound"), "{}", run.stderr);
    assert_eq!((first.time, rest.len()), (crate::scene::NOW, 12));
    // Leaves are told apart from nodes: a tile is no record.
    assert_ne!(TreeHash::leaf(&[0; 64]), TreeHash::node(TreeHash([0; 32]), TreeHash([0; 32])));
    assert_eq!(TILE_WIDTH, 256);
}

/// That deciding again ends with 10, and says these words.
fn replay_refuses(log: &Log, words: &[&str]) {
    let run = log.run("replay", &["--key", &log.key()]).exits(10);
    let said = format!("{}{}", run.stdout, run.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("Every record is as it would be decided again"), "{said}");
}

#[test]
fn replay__should_find_and_locate_what_was_changed_and_decide_the_rest() {
    let log = Log::new(1);
    let (bundle, leaves) = ("tile/entries/000.p/13", "tile/0/000.p/13");
    let quote = blob_file::path(log.scene.decision(2).evidence.quote.unwrap());
    log.with_file(
        &quote,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |log| {
            replay_refuses(log, &["record 2 not-replayable", "replay-blob-damaged", &quote]);
        },
    );
    log.with_file(
        bundle,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |log| replay_refuses(log, &["record 12 not-replayable", "replay-record-unproven"]),
    );
    log.with_file(leaves, |bytes| bytes[0] ^= 1, |log| replay_refuses(log, &[leaves]));
    log.with_file(leaves, Vec::clear, |log| replay_refuses(log, &[leaves, "log-file-missing"]));
    log.with_file(bundle, Vec::clear, |log| replay_refuses(log, &[bundle, "log-file-missing"]));
    log.with_file("checkpoint", |bytes| bytes[20] ^= 1, |log| replay_refuses(log, &["checkpoint: "]));
    log.with_file(
        bundle,
        |bytes| {
            let width = kms_ledger::tree::Width::new(13).unwrap();
            let mut entries: Vec<Vec<u8>> =
                decode_bundle(bytes, width).unwrap().iter().map(|it| it.to_vec()).collect();
            entries.swap(4, 5);
            bytes.clear();
            for entry in &entries {
                kms_ledger::tree::append_entry(bytes, entry).unwrap();
            }
        },
        |log| replay_refuses(log, &["record 4 not-replayable", "record 5 not-replayable"]),
    );
    log.run("replay", &["--key", &log.key()]).exits(0);
}
