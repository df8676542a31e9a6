//! A node's log on an object store and in a folder, while guests get keys: what is left when the node is gone is enough.

use std::path::PathBuf;
use std::process::Command;

use kms_ledger::LogReader;
use kms_ledger::Source;
use kms_ledger::http::Trust;
use kms_ledger::note::LogKey;
use kms_tests::asking::until;
use kms_tests::node::Node;
use kms_tests::process::{Process, program};
use kms_tests::s3::{BUCKET, Fault, S3};
use kms_tests::wire::{Wire, granted};
use kms_tests::world::{World, info};
use serde_json::Value;
use tempfile::TempDir;

const SERVED: [&str; 2] = ["ledger.address=127.0.0.1:0", "ledger.serve_evidence=served"];

async fn key(node: &Node) -> LogKey {
    let log = info(node).await.log.unwrap();
    LogKey::new(log.origin.parse().unwrap(), log.public_key.try_into().unwrap())
}

/// A mirror of the node's served log that goes on until it is killed.
fn follow(node: &Node, key: &LogKey, target: &str, store: &S3) -> Process {
    let mut command = Command::new(program("kmsctl"));
    command.args(["audit", "mirror", &format!("http://{}", node.log_address()), target]);
    command.args(["--key", &key.to_string(), "--follow", "--every", "1"]).envs(store.variables());
    Process::start("kmsctl audit mirror", &mut command)
}

/// Waits until a copy has that many records.
async fn until_there(place: &str, key: &LogKey, size: u64) {
    until("a copy", async || {
        let source = Source::open(place, Trust::default()).unwrap();
        LogReader::open(source, key).await.ok().filter(|reader| reader.size() >= size).map(drop)
    })
    .await;
}

fn audited(command: &str, place: &str, root: &PathBuf) -> Value {
    let mut kmsctl = Command::new(program("kmsctl"));
    let output = kmsctl.args(["audit", command, place, "--json", "--root"]).arg(root).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mirror__should_have_every_release_when_the_node_is_gone() {
    let world = World::shared();
    let (mut node, store, folder) = (world.node(&SERVED).await, S3::new(), TempDir::new().unwrap());
    let key = key(&node).await;
    let copy = folder.path().join("copy");
    let bucket = format!("{}/{BUCKET}/node", store.url());
    let places = [copy.to_str().unwrap(), &bucket];
    let start = || [places[0], "s3://mirrors/node"].map(|target| follow(&node, &key, target, &store));
    let mut mirrors = start();
    let app = world.app("mirrored");
    world.seen_by(&node).await;
    let mut last = 0;
    for round in 0..12 {
        let mut wire = Wire::connect(node.address()).await;
        last = granted(wire.boot_as(&world.guest(&app)).await).record.unwrap().index;
        match round {
            // Both end in the middle of it, and go on; the store is not at its best.
            4 | 8 => {
                mirrors.iter_mut().for_each(Process::kill);
                store.fail_every(5, &[Fault::SlowDown, Fault::CutAfter, Fault::Internal, Fault::Cut]);
                mirrors = start();
            }
            _ => {}
        }
    }
    for place in places {
        until_there(place, &key, last + 1).await;
    }
    node.kill();
    mirrors.iter_mut().for_each(Process::kill);
    store.fail_every(1, &[]);
    let root = world.simulated.root_certificate();
    for place in places {
        let verified = audited("verify", place, &root);
        assert_eq!(
            (&verified["log"]["key_from"], &verified["result"]["blobs_missing"]),
            (&"quote".into(), &0.into())
        );
        assert!(verified["result"]["records"].as_u64().unwrap() > last);
        let replayed = audited("replay", place, &root);
        assert_eq!(replayed["tally"]["findings"], serde_json::json!([]));
        assert!(replayed["tally"]["answers"]["app-keys allow"].as_u64().unwrap() >= 12, "{replayed}");
    }
    // What the node left behind goes on from both: nothing in them was made up.
    let left = node.ledger_folder().join("log");
    for place in [copy.join("checkpoint"), store.objects("node/checkpoint")] {
        let mut kmsctl = Command::new(program("kmsctl"));
        kmsctl.args(["audit", "verify"]).arg(&left).arg("--since").arg(place).arg("--root").arg(&root);
        let output = kmsctl.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
