//! The binary as a person runs it: files that verify, servers that answer, an end at SIGTERM.
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::NOW;
use kms_attestation::collateral::Collateral;
use kms_attestation::event_log::EventLog;
use kms_attestation::identity::BootIdentity;
use kms_attestation::image::OsImageManifest;
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use kms_attestation::verify::Verifier;
use serde_json::Value;

fn simulator(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kms-simulator"));
    command.args(arguments).arg(folder);
    command
}

fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn quote__should_write_evidence_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    for form in ["td10", "td15", "td15ex"] {
        let now = NOW.to_string();
        let arguments = ["quote", "--seed", "9", "--now", &now, "--form", form, "--out"];
        assert!(simulator(&arguments, folder.path()).status().unwrap().success());
        let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let verifier = Verifier::new(RootOfTrust::configured(&file("root.der")).unwrap());
        let collateral = Collateral::parse(&file("collateral.json")).unwrap();
        let collateral = verifier.check_collateral(collateral, NOW).unwrap();
        let quote =
            verifier.authenticate(&Quote::parse(&file("quote.bin")).unwrap(), &collateral, NOW).unwrap();
        let identity =
            BootIdentity::extract(&quote, &EventLog::parse(&file("event_log.json")).unwrap()).unwrap();
        OsImageManifest::parse(&file("manifest.json")).unwrap().check_runs(quote.td()).unwrap();
        let meta = read_json(folder.path().join("meta.json"));
        assert_eq!(meta["now"], NOW);
        assert_eq!(meta["app_id"], identity.app_id.to_string());
        assert_eq!(meta["device_id"], identity.device_id.to_string());
    }
}

/// A simulator that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request of HTTP/1.0 and returns the whole answer.
fn ask(mut stream: impl std::io::Read + std::io::Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn up__should_serve_until_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = simulator(&["up", "--seed", "9", "--hosts", "2", "--dir"], folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ready: "), "{line}");

    let platform = read_json(folder.path().join("platform.json"));
    assert_eq!(platform["hosts"].as_array().unwrap().len(), 2);
    assert_ne!(platform["cvms"][0]["instance_id"], platform["cvms"][1]["instance_id"]);
    let address = platform["pccs"]["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let fmspc = platform["hosts"][1]["fmspc"].as_str().unwrap();
    let request = format!("GET /tdx/certification/v4/tcb?fmspc={fmspc} HTTP/1.0\r\n\r\n");
    let answer = ask(TcpStream::connect(address).unwrap(), &request);
    assert!(answer.contains(" 200 OK") && answer.contains(r#"{"tcbInfo":{"id":"TDX""#), "{answer}");

    let socket = platform["cvms"][1]["socket"].as_str().unwrap().to_owned();
    let answer =
        ask(UnixStream::connect(&socket).unwrap(), "POST /Info HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}");
    assert!(answer.contains(platform["cvms"][1]["device_id"].as_str().unwrap()), "{answer}");

    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.0.wait().unwrap().success());
    assert!(!Path::new(&socket).exists());
}
