//! `kms-client --receipt`: what an app keeps proves its release offline, and later against the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::world::{World, info};
use serde_json::Value;

use crate::client::Guest;

fn kmsctl(receipt: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(program("kmsctl"));
    command.args(["audit", "receipt"]).arg(receipt).arg("--json").args(more);
    command.output().unwrap()
}

/// What kmsctl says of a receipt that holds.
fn held(receipt: &Path, more: &[&str]) -> Value {
    let output = kmsctl(receipt, more);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(receipt: &Path, more: &[&str]) -> String {
    let output = kmsctl(receipt, more);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{said}");
    said
}

fn beside(receipt: &Path) -> PathBuf {
    receipt.with_extension("json")
}

async fn guest(world: &World, node: &Node, app: &str) -> Guest {
    let guest = Guest::new(world, app, &world.pins(node, &[world.measurement]).await);
    world.seen_by(node).await;
    guest
}

/// Gets keys and a receipt; what the client says.
fn released(guest: &Guest, world: &World, node: &Node, receipt: &Path) -> Value {
    let words = ["--receipt", receipt.to_str().unwrap(), "--require-receipt"];
    let output = guest.ask(world, &[node.address().to_string()], &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt__should_prove_a_release_offline_and_for_as_long_as_the_log_goes_on() {
    let world = World::shared();
    let mut node = world.node(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, later) = (folder.path().join("first"), folder.path().join("later"));
    let (one, other) = (guest(&world, &node, "receipt").await, guest(&world, &node, "later").await);
    let said = released(&one, &world, &node, &first);
    assert_eq!(said["receipt"], true);
    let offline = held(&first, &[]);
    assert_eq!((&offline["index"], &offline["log"]), (&said["record"]["index"], &Value::Null));
    assert_eq!(offline["leaf_hash"], said["record"]["leaf_hash"]);
    let origin = info(&node).await.log.unwrap().origin;
    let key = offline["log_key"].as_str().unwrap();
    assert!(key.starts_with(&format!("{origin}+")), "{key}");

    // The log goes on, over a restart, and is still the one of the receipt.
    released(&other, &world, &node, &later);
    node.restart();
    node.await_serving().await;
    let size = node.log().len();
    let log = node.ledger_folder().join("log");
    let log = log.to_str().unwrap();
    for receipt in [&first, &later] {
        let found = held(receipt, &["--key", key, "--log", log]);
        assert_eq!(found["key_pinned"], true);
        assert!(found["log"]["size"].as_u64().unwrap() >= size as u64);
        assert!(found["log"]["record"].to_string().contains("allow"), "{found}");
    }

    // One receipt's proof does not prove the other's record, and no byte of either file may change.
    let (proof, told) = (fs::read(&first).unwrap(), fs::read(beside(&first)).unwrap());
    let changed = folder.path().join("changed");
    fs::write(&changed, &proof).unwrap();
    fs::copy(beside(&later), beside(&changed)).unwrap();
    assert!(refused(&changed, &[]).contains("log-proof-invalid"));
    for place in [0, proof.len() / 3, proof.len() / 2, proof.len() - 2] {
        let mut bytes = proof.clone();
        bytes[place] ^= 1;
        fs::write(&changed, &bytes).unwrap();
        fs::write(beside(&changed), &told).unwrap();
        refused(&changed, &[]);
    }
    fs::write(&changed, &proof).unwrap();
    for place in (0..told.len()).step_by(16) {
        let mut bytes = told.clone();
        bytes[place] ^= 1;
        fs::write(beside(&changed), &bytes).unwrap();
        refused(&changed, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt__should_not_hold_against_another_log() {
    let world = World::shared();
    let (node, other) = (world.node(&[]).await, world.node(&[]).await);
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("receipt");
    released(&guest(&world, &node, "two logs").await, &world, &node, &receipt);
    let log = other.ledger_folder().join("log");
    assert!(refused(&receipt, &["--log", log.to_str().unwrap()]).contains("note-unsigned"));
    let nowhere = kmsctl(&receipt, &["--log", "http://127.0.0.1:1/"]);
    assert_eq!(nowhere.status.code(), Some(3), "{}", String::from_utf8_lossy(&nowhere.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt__should_keep_keys_back_only_where_it_is_required() {
    let world = World::shared();
    let node = world.node(&["ledger.publish_every_ms=60000"]).await;
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("receipt");
    let guest = guest(&world, &node, "late receipt").await;
    let nodes = [node.address().to_string()];
    let file = ["--receipt", receipt.to_str().unwrap()];
    let required = guest.ask(&world, &nodes, &[&file[..], &["--require-receipt"]].concat());
    guest.expect(&required, 3, "receipt-unavailable");
    let without = guest.ask(&world, &nodes, &file);
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(without.status.success() && said.contains("warning: receipt-unavailable"), "{said}");
    assert!(guest.keys().join("disk.key").is_file() && !receipt.exists());
}
