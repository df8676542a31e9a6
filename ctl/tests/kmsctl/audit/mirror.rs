//! `kmsctl audit mirror` to a folder: what arrives, what is refused, and what a kill leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use kms_ledger::blob_file::{self, BlobFile};
use serde_json::Value;

use super::Log;
use super::folder::{Signer, files, tree_files};
use crate::run::{Run, kmsctl};

/// A process that ends with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every file below a folder, by its path.
pub(super) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// What a copy must say of itself, as the log does.
pub(super) fn judged(log: &Log, place: &str) -> [Value; 2] {
    let root = log.path("root.der");
    let run = |command| kmsctl(["audit", command, place, "--json", "--root", root.to_str().unwrap()]);
    let mut replayed = run("replay").exits(0).json();
    for measured in ["seconds", "decisions_per_second_per_core"] {
        replayed.as_object_mut().unwrap().remove(measured);
    }
    [run("verify").exits(0).json(), replayed]
}

fn mirror(log: &Log, more: &[&str]) -> Run {
    let target = log.path("copy");
    log.run("mirror", &[&[target.to_str().unwrap()], more].concat())
}

fn mirrored(run: &Run) -> Value {
    run.json()["mirrored"].clone()
}

#[test]
fn mirror__should_make_a_copy_that_is_a_log_like_the_first() {
    let log = Log::new(1);
    let first = mirrored(&mirror(&log, &["--json"]).exits(0));
    assert_eq!(contents(&log.path("copy")), log.files);
    assert_eq!(first["sent"], log.files.len() - 1, "all but the checkpoint");
    assert_eq!((&first["from"], &first["size"]), (&0.into(), &13.into()));
    let places = ["log", "copy"].map(|name| log.path(name));
    let [original, copy] = places.map(|place| judged(&log, place.to_str().unwrap()));
    assert_eq!(original, copy);
    // Nothing is new, nothing is sent.
    let again = mirrored(&mirror(&log, &["--json"]).exits(0));
    assert_eq!((&again["from"], &again["sent"], &again["there"]), (&13.into(), &0.into(), &0.into()));
    let said = mirror(&log, &["--key", &log.key()]).exits(0).stdout;
    assert_eq!(said, "13 records, 0 new: 0 files of 0 bytes sent, 0 were there\n");
}

#[test]
fn mirror__should_carry_what_is_new_and_drop_partial_tiles_of_full_ones() {
    let mut log = Log::new(1);
    mirror(&log, &[]).exits(0);
    while log.scene.records.len() < 260 {
        log.scene.unstored();
    }
    log.scene.one_of_each();
    log.replace(&files(&log.scene, &log.signer));
    let grown = mirrored(&mirror(&log, &["--json"]).exits(0));
    assert_eq!((&grown["from"], &grown["size"]), (&13.into(), &log.scene.records.len().into()));
    let copy = contents(&log.path("copy"));
    assert_eq!(copy, contents(&log.path("log")));
    assert!(copy.contains_key("tile/0/000") && !copy.contains_key("tile/0/000.p/13"));
    judged(&log, log.path("copy").to_str().unwrap());
}

#[test]
fn mirror__should_alert_at_a_fork_and_at_a_target_ahead_and_touch_nothing() {
    let log = Log::new(1);
    mirror(&log, &[]).exits(0);
    let before = contents(&log.path("copy"));
    let mut entries: Vec<_> = log.scene.records.iter().map(|record| record.encode()).collect();
    entries.swap(3, 4);
    let other = Signer::new(8);
    let cases = [
        (&entries[..], &log.signer, "log-forked"),
        (&entries[..9], &log.signer, "log-rolled-back"),
        (&entries[..], &other, "note-unsigned"),
    ];
    for (entries, signer, code) in cases {
        let mut files = log.files.clone();
        files.extend(tree_files(&log.scene.origin, entries, signer));
        log.replace(&files);
        let key = signer.log_key(&log.scene.origin).to_string();
        let run = mirror(&log, &["--key", &key]).exits(10);
        assert!(run.stderr.contains(code), "{}", run.stderr);
        let alert = mirror(&log, &["--key", &key, "--json", "--follow"]).exits(10).json();
        assert_eq!(alert["alert"]["refusal"]["code"], code);
        assert_eq!(alert["alert"]["source"].as_str().unwrap().as_bytes(), files["checkpoint"]);
        assert_eq!(alert["alert"]["target"].as_str().unwrap().as_bytes(), before["checkpoint"]);
        assert_eq!(contents(&log.path("copy")), before);
    }
}

#[test]
fn mirror__should_put_no_checkpoint_over_what_does_not_verify() {
    let log = Log::new(1);
    let key = log.key();
    let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let anew = |log: &Log| {
        let _ = fs::remove_dir_all(log.path("copy"));
        mirror(log, &["--key", &key])
    };
    for path in log.files.keys().filter(|path| *path != "checkpoint") {
        log.with_file(path, flip, |log| {
            // The last byte of a list is that of a part's name: then that part is what nobody has.
            let run = anew(log);
            assert!(run.code == 10 || run.stderr.contains("blob-missing"), "{path}: {}", run.stderr);
            let (copy, changed) =
                (contents(&log.path("copy")), fs::read(log.path("log").join(path)).unwrap());
            assert!(!copy.contains_key("checkpoint") && copy.get(path) != Some(&changed), "{path}");
        });
        log.with_file(path, Vec::clear, |log| {
            anew(log).exits(3);
            assert!(!log.path("copy/checkpoint").exists(), "{path}");
        });
    }
    anew(&log).exits(0);
    assert_eq!(contents(&log.path("copy")), log.files);
}

#[test]
fn mirror__should_leave_out_only_evidence_that_is_said_to_be_gone() {
    let log = Log::new(1);
    let blobs: Vec<_> = log.files.keys().filter(|path| path.starts_with("blob/")).cloned().collect();
    let copied = mirrored(&mirror(&log, &["--json"]).exits(0));
    let withheld: BTreeMap<_, _> = log
        .files
        .iter()
        .filter(|(path, _)| !blobs.contains(path))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    // A copy from before keeps what the source has not any more.
    let mut pruned = withheld.clone();
    pruned.insert("pruned".to_owned(), b"13\n".to_vec());
    log.replace(&pruned);
    let key = log.key();
    mirror(&log, &["--key", &key]).exits(0);
    assert_eq!(contents(&log.path("copy")), log.files);
    // A new one says what it lacks.
    fs::remove_dir_all(log.path("copy")).unwrap();
    let run = mirrored(&mirror(&log, &["--key", &key, "--json"]).exits(0));
    assert!(run["pruned"].as_u64().unwrap() > 3 && run["sent"].as_u64() < copied["sent"].as_u64());
    assert_eq!(contents(&log.path("copy")), pruned);
    // What is missing without a word is not passed over, unless that was asked for.
    for mark in [&b"5\n"[..], b"0\n"] {
        fs::remove_dir_all(log.path("copy")).unwrap();
        pruned.insert("pruned".to_owned(), mark.to_vec());
        log.replace(&pruned);
        let run = mirror(&log, &["--key", &key]).exits(3);
        assert!(
            run.stderr.contains("blob-missing") && run.stderr.contains("--no-evidence"),
            "{}",
            run.stderr
        );
        assert!(!log.path("copy/checkpoint").exists());
    }
    log.replace(&withheld);
    mirror(&log, &["--key", &key, "--no-evidence"]).exits(0);
    assert_eq!(contents(&log.path("copy")), withheld);
}

#[test]
fn mirror__should_carry_the_witnessed_checkpoint_with_what_it_stands_on() {
    let log = Log::new(1);
    let entries: Vec<_> = log.scene.records.iter().map(|record| record.encode()).collect();
    let older = |count: usize, signer| tree_files(&log.scene.origin, &entries[..count], signer);
    let with = |mut tree: BTreeMap<String, Vec<u8>>| {
        let note = tree.remove("checkpoint").unwrap();
        let mut files = log.files.clone();
        files.extend(tree);
        files.insert("witnessed".to_owned(), note);
        files
    };
    let key = ["--key", &log.key()];
    let seventh = with(older(7, &log.signer));
    log.replace(&seventh);
    mirror(&log, &key).exits(0);
    assert_eq!(contents(&log.path("copy")), seventh);
    // It comes later than the checkpoint, mostly, and never goes back.
    let ninth = with(older(9, &log.signer));
    log.replace(&ninth);
    mirror(&log, &key).exits(0);
    log.replace(&seventh);
    mirror(&log, &key).exits(0);
    let copy = contents(&log.path("copy"));
    assert!(copy["witnessed"] == ninth["witnessed"] && copy.contains_key("tile/0/000.p/9"));
    // What the log did not sign, or what is of another history, stays outside.
    let mut swapped = entries.clone();
    swapped.swap(3, 4);
    let forked = tree_files(&log.scene.origin, &swapped[..11], &log.signer);
    for (tree, code) in [(older(11, &Signer::new(8)), "note-unsigned"), (forked, "log-forked")] {
        let mut other = log.files.clone();
        other.insert("witnessed".to_owned(), tree["checkpoint"].clone());
        log.replace(&other);
        let run = mirror(&log, &key).exits(10);
        assert!(run.stderr.contains(code), "{}", run.stderr);
        assert_eq!(contents(&log.path("copy")), copy);
    }
}

#[test]
fn mirror__should_keep_foreign_files_and_give_parts_files_of_their_own() {
    let log = Log::new(1);
    let tile = log.path("copy/tile/0/000.p/13");
    fs::create_dir_all(tile.parent().unwrap()).unwrap();
    fs::write(&tile, b"another").unwrap();
    let run = mirror(&log, &[]).exits(10);
    assert!(run.stderr.contains("mirror-target-foreign"), "{}", run.stderr);
    assert_eq!(fs::read(&tile).unwrap(), b"another");
    assert!(!log.path("copy/checkpoint").exists());
    // A blob that was a list once, and is a part of another now.
    let lists = log.files.iter().filter(|(path, _)| path.starts_with("blob/"));
    let parts = lists.flat_map(|(_, file)| BlobFile::decode(file).unwrap().needs());
    let part = blob_file::path(parts.into_iter().next().expect("a witness in parts"));
    fs::remove_dir_all(log.path("copy")).unwrap();
    let place = log.path("copy").join(&part);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, [2]).unwrap();
    mirror(&log, &[]).exits(0);
    assert_eq!(contents(&log.path("copy")), log.files);
}

#[test]
fn mirror__should_go_on_wherever_it_was_killed() {
    let mut log = Log::new(4);
    while log.scene.records.len() < 600 {
        log.scene.limited(&log.scene.app("shop"), "rate-limited");
    }
    log.replace(&files(&log.scene, &log.signer));
    let (source, copy) = (log.path("log"), log.path("copy"));
    let genuine = contents(&source);
    let (mut killed, mut unfinished) = (0, 0);
    for wait in (1..).map(|step| Duration::from_millis(step * 3)) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kmsctl"));
        command.args(["audit", "mirror"]).arg(&source).arg(&copy).args(["--key", &log.key()]);
        let mut child = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        sleep(wait);
        child.0.kill().unwrap();
        let done = child.0.wait().unwrap().success();
        let there = contents(&copy);
        // Whatever stands in its place is whole; a checkpoint stands over all that it covers.
        let placed = there.iter().filter(|(path, _)| !path.starts_with(".mirror-staging/"));
        for (path, bytes) in placed {
            assert!(genuine[path] == *bytes, "{path} after {wait:?}");
        }
        assert_eq!(there.contains_key("checkpoint"), there.len() >= genuine.len(), "after {wait:?}");
        unfinished += usize::from(!there.is_empty() && !there.contains_key("checkpoint"));
        if done {
            break;
        }
        killed += 1;
    }
    assert!(killed >= 5 && unfinished >= 2, "{killed} killed, {unfinished} of them at work");
    assert_eq!(contents(&copy), genuine);
    let [original, copy] = [source, copy].map(|place| judged(&log, place.to_str().unwrap()));
    assert_eq!(original, copy);
}

#[test]
fn mirror__should_refuse_what_is_no_source_and_no_target() {
    let log = Log::new(1);
    let source = log.path("log");
    let to = |target: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kmsctl"));
        command.args(["audit", "mirror"]).arg(&source).arg(target).args(more).env_remove("AWS_ACCESS_KEY_ID");
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (target, more) in [
        ("https://kms.example/log", &[][..]),
        ("s3://", &[]),
        ("s3://bucket/a//b", &[]),
        ("s3://key:secret@bucket/a", &[]),
        ("copy", &["--endpoint", "https://s3.example"]),
    ] {
        let (code, said) = to(target, more);
        assert!(code == 2 && said.contains("mirror-target-invalid"), "{target}: {said}");
    }
    let (code, said) = to("s3://bucket/log", &[]);
    assert!(code == 2 && said.contains("mirror-credentials-missing"), "{said}");
    let (code, said) = to("/dev/null/copy", &[]);
    assert!(code == 1 && said.contains("mirror-target-unavailable"), "{said}");
    // One at a time.
    fs::create_dir(log.path("copy")).unwrap();
    let held = fs::File::open(log.path("copy")).unwrap();
    held.lock().unwrap();
    assert!(mirror(&log, &[]).exits(1).stderr.contains("mirror-target-busy"));
    // A bundle, and nothing at all.
    let bundle = log.path("case.bundle");
    log.run("export", &["2", "--output", bundle.to_str().unwrap()]).exits(0);
    let copy = log.path("other");
    let run = kmsctl(["audit", "mirror", bundle.to_str().unwrap(), copy.to_str().unwrap()]).exits(2);
    assert!(run.stderr.contains("mirror-source-bundle"), "{}", run.stderr);
    kmsctl(["audit", "mirror", "http://127.0.0.1:1", copy.to_str().unwrap()]).exits(3);
}
