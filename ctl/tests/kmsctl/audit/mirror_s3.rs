//! `kmsctl audit mirror` to an object store: a server that others wrote, and what goes wrong on the way to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::Log;
use super::folder::{files, tree_files};
use super::mirror::{contents, judged};
use crate::run::Run;
use crate::s3::{BUCKET, Fault, S3};

const TARGET: &str = "s3://mirrors/logs/a";

fn command(log: &Log, store: &S3, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kmsctl"));
    command.args(["audit", "mirror"]).arg(log.path("log")).args([TARGET, "--key", &log.key()]).args(more);
    command.envs(store.variables());
    command
}

fn run(mut command: Command) -> Run {
    Run::of(command.output().unwrap())
}

/// Where anybody reads the copy.
fn address(store: &S3) -> String {
    format!("{}/{BUCKET}/logs/a", store.url())
}

fn puts(asked: &[String]) -> usize {
    asked.iter().filter(|request| request.starts_with("PUT")).count()
}

/// The head of an answer to a GET.
fn head(store: &S3, path: &str) -> String {
    let host = store.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(stream, "GET /{BUCKET}/logs/a/{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).split("\r\n\r\n").next().unwrap().to_lowercase()
}

#[test]
fn mirror_s3__should_make_a_copy_that_anybody_can_verify_and_replay() {
    let (log, store) = (Log::new(1), S3::new());
    let first = run(command(&log, &store, &["--json"])).exits(0).json();
    assert_eq!(first["mirrored"]["sent"], log.files.len() - 1);
    assert_eq!(contents(&store.objects("logs/a")), log.files);
    let asked = store.asked();
    assert_eq!(puts(&asked), log.files.len(), "each once");
    let last = asked.iter().rposition(|request| request.starts_with("PUT")).unwrap();
    assert!(asked[last].ends_with("/logs/a/checkpoint"), "{}", asked[last]);
    assert_eq!(judged(&log, &address(&store)), judged(&log, log.path("log").to_str().unwrap()));
    let checkpoint = head(&store, "checkpoint");
    assert!(checkpoint.contains("content-type: text/plain; charset=utf-8\r\n"), "{checkpoint}");
    assert!(checkpoint.contains("cache-control: no-cache"), "{checkpoint}");
    let blob = log.files.keys().find(|path| path.starts_with("blob/")).unwrap();
    for path in [blob, "tile/0/000.p/13"] {
        let head = head(&store, path);
        assert!(head.contains("content-type: application/octet-stream"), "{head}");
        assert!(head.contains("cache-control: public, max-age=31536000, immutable"), "{head}");
    }
    store.asked();
    run(command(&log, &store, &[])).exits(0);
    assert_eq!(puts(&store.asked()), 0, "nothing is sent again");
}

#[test]
fn mirror_s3__should_carry_what_is_new_and_refuse_another_history() {
    let (mut log, store) = (Log::new(1), S3::new());
    run(command(&log, &store, &[])).exits(0);
    while log.scene.records.len() < 260 {
        log.scene.unstored();
    }
    log.scene.one_of_each();
    log.replace(&files(&log.scene, &log.signer));
    run(command(&log, &store, &["--endpoint", &store.url()])).exits(0);
    assert_eq!(contents(&store.objects("logs/a")), contents(&log.path("log")));
    let before = contents(store.folder());
    let mut entries: Vec<_> = log.scene.records.iter().map(|record| record.encode()).collect();
    entries.swap(3, 4);
    for (entries, code) in [(&entries[..], "log-forked"), (&entries[..9], "log-rolled-back")] {
        let mut other = contents(&log.path("log"));
        other.extend(tree_files(&log.scene.origin, entries, &log.signer));
        log.replace(&other);
        let run = run(command(&log, &store, &[])).exits(10);
        assert!(run.stderr.contains(code), "{}", run.stderr);
        assert_eq!(contents(store.folder()), before);
    }
}

#[test]
fn mirror_s3__should_go_on_wherever_it_was_killed() {
    let (mut log, store) = (Log::new(4), S3::new());
    while log.scene.records.len() < 300 {
        log.scene.unstored();
    }
    log.replace(&files(&log.scene, &log.signer));
    let genuine = contents(&log.path("log"));
    store.fail_every(1, &[Fault::Late(Duration::from_millis(10))]);
    let (mut killed, mut unfinished) = (0, 0);
    for wait in (1..).map(|step| Duration::from_millis(step * 40)) {
        let mut kmsctl = command(&log, &store, &[]);
        let mut child = kmsctl.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(wait);
        child.kill().unwrap();
        let done = child.wait().unwrap().success();
        // The server still does what it was asked.
        sleep(Duration::from_millis(50));
        let there = contents(&store.objects("logs/a"));
        assert_eq!(there.contains_key("checkpoint"), there.len() == genuine.len(), "after {wait:?}");
        unfinished += usize::from(!there.is_empty() && !there.contains_key("checkpoint"));
        if done {
            break;
        }
        killed += 1;
    }
    assert!(killed >= 3 && unfinished >= 2, "{killed} killed, {unfinished} of them at work");
    let puts = puts(&store.asked());
    assert!(
        puts < genuine.len() * 2,
        "{puts} for {} objects: what is there is not sent again",
        genuine.len()
    );
    store.fail_every(1, &[]);
    assert_eq!(contents(&store.objects("logs/a")), genuine);
    assert_eq!(judged(&log, &address(&store)), judged(&log, log.path("log").to_str().unwrap()));
}

#[test]
fn mirror_s3__should_get_through_a_store_that_fails_throttles_and_hangs_up() {
    let (log, store) = (Log::new(1), S3::new());
    let late = Fault::Late(Duration::from_millis(200));
    store.fail_every(3, &[Fault::Internal, Fault::SlowDown, Fault::CutAfter, Fault::Cut, late]);
    run(command(&log, &store, &[])).exits(0);
    store.fail_every(1, &[]);
    assert_eq!(contents(&store.objects("logs/a")), log.files);
    // Whatever befalls the checkpoint, put under a condition, it ends up there.
    for fault in [Fault::Internal, Fault::SlowDown, Fault::CutAfter, Fault::Cut] {
        std::fs::remove_file(store.objects("logs/a/checkpoint")).unwrap();
        store.asked();
        run(command(&log, &store, &[])).exits(0);
        let asked = store.asked();
        let last = asked.iter().rposition(|request| request.starts_with("PUT")).unwrap() + 1;
        std::fs::remove_file(store.objects("logs/a/checkpoint")).unwrap();
        store.fail_every(last, &[fault]);
        run(command(&log, &store, &[])).exits(0);
        store.fail_every(1, &[]);
        assert_eq!(contents(&store.objects("logs/a")), log.files, "{fault:?}");
    }
}

#[test]
fn mirror_s3__should_say_what_a_store_refuses_and_no_secret() {
    let (log, store) = (Log::new(1), S3::new());
    let mut wrong = command(&log, &store, &["--json"]);
    wrong.env("AWS_SECRET_ACCESS_KEY", "not-the-secret").env("AWS_SESSION_TOKEN", "a-session-token");
    let refused = run(wrong).exits(1);
    assert!(refused.stderr.contains("mirror-target-denied"), "{}", refused.stderr);
    assert!(refused.stderr.contains("SignatureDoesNotMatch"), "{}", refused.stderr);
    for secret in ["not-the-secret", "a-session-token", "an-access-key"] {
        assert!(!refused.stderr.contains(secret) && !refused.stdout.contains(secret), "{}", refused.stderr);
    }
    let mut unknown = command(&log, &store, &[]);
    unknown.env("AWS_ACCESS_KEY_ID", "nobody");
    assert!(run(unknown).exits(1).stderr.contains("mirror-target-"));
    store.fail_every(1, &[Fault::Internal]);
    let down = run(command(&log, &store, &[])).exits(1);
    assert!(down.stderr.contains("mirror-target-unavailable"), "{}", down.stderr);
    // Not over a wire that others read.
    let mut plain = command(&log, &store, &["--endpoint", "http://s3.example"]);
    plain.env_remove("AWS_ALLOW_HTTP");
    assert!(run(plain).exits(1).stderr.contains("AWS_ALLOW_HTTP"));
}
