//! Following a log, from a web server too, and witnessing it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::Log;
use super::folder::{Signer, files, tree_files};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watch__should_tell_of_new_releases_once_and_of_those_of_an_app() {
    let mut log = Log::new(1);
    let state = log.path("seen");
    let watch = |log: &Log, more: &[&str]| {
        let args = [&["--once", "--json", "--state", state.to_str().unwrap()], more].concat();
        let run = log.run("watch", &args).exits(0);
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let first = watch(&log, &[]);
    let indices: Vec<_> = first.iter().map(|line| line["release"]["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [2, 3]);
    assert!(watch(&log, &[]).is_empty());
    let shop = log.scene.app("shop");
    log.scene.boot(&shop);
    log.replace(&files(&log.scene, &log.signer));
    let (theirs, other) = ("bb".repeat(20), "cc".repeat(20));
    assert_eq!(watch(&log, &["--app", &theirs]).len(), 1);
    std::fs::remove_file(&state).unwrap();
    assert!(watch(&log, &["--app", &other]).is_empty());
}

#[test]
fn watch__should_end_at_a_rollback_and_a_fork_and_keep_both_checkpoints() {
    let log = Log::new(1);
    let (state, conflict) = (log.path("seen"), log.path("seen.conflict"));
    let args = ["--once", "--key", &log.key(), "--state", state.to_str().unwrap()];
    log.run("watch", &args).exits(0);
    let mut entries: Vec<_> = log.scene.records.iter().map(|record| record.encode()).collect();
    entries.swap(3, 4);
    for (entries, code) in [(&entries[..], "log-forked"), (&entries[..9], "log-rolled-back")] {
        let mut other = log.files.clone();
        other.extend(tree_files(&log.scene.origin, entries, &log.signer));
        log.replace(&other);
        let run = log.run("watch", &args).exits(10);
        assert!(run.stdout.contains(code), "{}", run.stdout);
        assert_eq!(std::fs::read(&state).unwrap(), log.files["checkpoint"]);
        assert_eq!(std::fs::read(&conflict).unwrap(), other["checkpoint"]);
    }
    std::fs::remove_dir_all(log.path("log")).unwrap();
    std::fs::create_dir_all(log.path("log/checkpoint")).unwrap();
    log.run("watch", &args).exits(3);
}

#[test]
fn witness__should_cosign_over_http_what_continues() {
    let log = Log::new(1);
    let key_file = log.path("witness.key");
    std::fs::write(&key_file, hex::encode([9; 32])).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kmsctl"));
    command.args([
        "audit",
        "witness",
        "--listen",
        "127.0.0.1:0",
        "--name",
        "witness.example",
        "--log",
        &log.key(),
    ]);
    command.arg("--key-file").arg(&key_file).arg("--state").arg(log.path("witness"));
    let open = Command::new(env!("CARGO_BIN_EXE_kmsctl")).args(command.get_args()).output().unwrap();
    assert_eq!(open.status.code(), Some(2), "a key that others may read");
    std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let witness = kms_ledger::note::WitnessKey::new(
        "witness.example".parse().unwrap(),
        *Signer::new(9).log_key("a").public_key(),
    );
    let address = line.trim().strip_prefix(&format!("witness {witness} on ")).unwrap();
    let checkpoint = String::from_utf8(log.files["checkpoint"].clone()).unwrap();
    let answer = post(address, &format!("old 0\n\n{checkpoint}"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\u{2014} witness.example "), "{answer}");
    let again = post(address, &format!("old 0\n\n{checkpoint}"));
    assert!(again.starts_with("HTTP/1.1 409"), "{again}");
}

fn post(address: &str, body: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /add-checkpoint HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn web__should_serve_a_log_as_a_folder_does() {
    let log = Log::new(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served =
        kms_ledger::serve::serve_log(listener, None, log.path("log"), kms_ledger::serve::Blobs::Served);
    runtime.spawn(served);
    let root = log.path("root.der");
    let run = |command: &str| {
        crate::run::kmsctl(["audit", command, &url, "--json", "--root", root.to_str().unwrap()])
            .exits(0)
            .json()
    };
    assert_eq!(run("verify")["verified"], true);
    assert_eq!(run("replay")["tally"]["records"], 13);
    drop(runtime);
    // Nobody answers: that says nothing about the log.
    crate::run::kmsctl(["audit", "verify", &url]).exits(3);
}
