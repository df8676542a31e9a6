//! A host that writes to the disk of a node's log: the node finds out before it signs anything, and goes on when the disk is as
//! the node left it.

use std::fs;
use std::path::PathBuf;

use kms_ledger::BlobId;
use kms_ledger::hash::TreeHash;
use kms_tests::node::Node;
use kms_tests::wire::{Wire, granted};
use kms_tests::world::World;

/// The newest segment of the journal.
fn segment(node: &Node) -> PathBuf {
    let segments = fs::read_dir(node.ledger_folder().join("journal")).unwrap();
    segments.map(|segment| segment.unwrap().path()).max().unwrap()
}

/// A record as a frame of the journal, with the right hash: docs/LEDGER.md, On disk.
fn frame(record: &[u8]) -> Vec<u8> {
    let length = u32::try_from(record.len()).unwrap().to_be_bytes();
    [&length[..], &[4], &TreeHash::leaf(record).0, record].concat()
}

/// That the node does not start, for this reason, and signs nothing.
fn refused(node: &mut Node, code: &str) {
    let checkpoint = node.ledger_folder().join("log/checkpoint");
    let before = fs::read(&checkpoint).unwrap();
    let (status, said) = node.fail_to_restart();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("start-record") && said.contains(code), "{said}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_not_start_on_a_log_that_its_host_changed_and_go_on_with_its_own() {
    let world = World::shared();
    let mut node = world.node(&[]).await;
    let guest = world.guest(&world.app("planted"));
    world.seen_by(&node).await;
    granted(Wire::connect(node.address()).await.boot_as(&guest).await);
    assert!(node.stop().success());
    let releases = node.releases();

    // The release once more: a record that the node did write, put where it did not.
    let path = segment(&node);
    let own = fs::read(&path).unwrap();
    let record = node.log().pop().unwrap().record.encode();
    fs::write(&path, [&own[..], &frame(&record)].concat()).unwrap();
    refused(&mut node, "store-forged");
    fs::write(&path, &own).unwrap();

    // Another root: the same name, and other keys.
    let root = fs::read_to_string(node.root_file()).unwrap();
    fs::write(node.root_file(), BlobId::of(b"another root").to_string()).unwrap();
    refused(&mut node, "store-key");
    fs::write(node.root_file(), root).unwrap();

    node.restart();
    node.await_serving().await;
    granted(Wire::connect(node.address()).await.boot_as(&guest).await);
    assert_eq!(node.releases(), releases + 1);
}
