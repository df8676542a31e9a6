//! A disk that is really full, files that turn read-only, a folder that is moved away: nothing is released that is not on
//! record, no record is lost, and all is well again without anybody's help.

use std::fs;
use std::path::Path;

use kms_simulator::cvm::Cvm;
use kms_tests::disk::{Disk, ReadOnly};
use kms_tests::node::Node;
use kms_tests::wire::{Wire, granted, refusal};
use kms_tests::world::World;
use serde_json::Value;

/// More records than fit into what a full disk may have left.
const MANY: usize = 20;

/// A node that keeps its state on that disk.
async fn node_on(world: &World, disk: &Disk) -> Node {
    let settings = ["ledger.reserve_mib=0"];
    let node = Node::start_on(&disk.path().join("state"), &world.chain, &world.simulated, &settings);
    node.await_serving().await;
    node
}

/// What guests were told about their releases: index and leaf hash.
#[derive(Default)]
struct Told(Vec<(u64, Vec<u8>)>);

impl Told {
    /// Asks once, which must be granted.
    async fn granted(&mut self, node: &Node, cvm: &Cvm) {
        self.note(granted(Wire::connect(node.address()).await.boot_as(cvm).await));
    }

    fn note(&mut self, response: kms_proto::v1::GetAppKeysResponse) {
        let record = response.record.unwrap();
        self.0.push((record.index, record.leaf_hash));
    }

    /// That the log holds these releases, each in its place, and no others.
    fn is_all_of(&self, node: &Node) {
        let log = node.log();
        for (index, leaf_hash) in &self.0 {
            assert_eq!(log[*index as usize].leaf_hash[..], leaf_hash[..], "record {index}");
        }
        assert_eq!(node.releases(), self.0.len());
    }
}

/// That nothing is released, and why; and that what needs no record goes on.
async fn unrecorded(node: &Node, cvm: &Cvm) {
    for _ in 0..3 {
        let mut wire = Wire::connect(node.address()).await;
        let refused = refusal(wire.boot_as(cvm).await);
        assert_eq!(
            (refused.code.as_str(), refused.grpc),
            ("record-unavailable", tonic::Code::Unavailable),
            "{refused:?}"
        );
        granted(wire.challenge().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk__should_stop_releases_until_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let world = World::shared();
    let node = node_on(&world, &disk).await;
    let cvm = world.guest(&world.app("no room"));
    world.seen_by(&node).await;
    let mut told = Told::default();

    disk.fill();
    unrecorded(&node, &cvm).await;
    disk.free();
    told.granted(&node, &cvm).await;
    disk.fill();
    // The last block of a file may have room for a little more.
    for _ in 0..MANY {
        match Wire::connect(node.address()).await.boot_as(&cvm).await {
            Ok(response) => told.note(response),
            Err(_) => break,
        }
    }
    unrecorded(&node, &cvm).await;
    disk.free();
    told.granted(&node, &cvm).await;
    told.is_all_of(&node);
}

/// Moves the folder away, and back when this is dropped.
struct Moved<'a>(&'a Path);

impl<'a> Moved<'a> {
    fn begin(folder: &'a Path) -> Self {
        fs::rename(folder, folder.with_extension("away")).unwrap();
        Self(folder)
    }
}

impl Drop for Moved<'_> {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(self.0));
        fs::rename(self.0.with_extension("away"), self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn record__should_stop_releases_while_it_is_read_only_or_elsewhere() {
    let Some(disk) = Disk::mount() else { return };
    let world = World::shared();
    let node = node_on(&world, &disk).await;
    let cvm = world.guest(&world.app("read-only"));
    world.seen_by(&node).await;
    let (state, mut told) = (disk.path().join("state"), Told::default());

    // Before the guest's platform was ever seen: that it was must be on disk too, as soon as that is possible.
    let read_only = ReadOnly::begin(&state);
    unrecorded(&node, &cvm).await;
    drop(read_only);
    told.granted(&node, &cvm).await;
    let history: Value = serde_json::from_slice(&fs::read(node.history_file()).unwrap()).unwrap();
    assert_eq!(history.as_object().unwrap().len(), 1);
    let read_only = ReadOnly::begin(&state);
    unrecorded(&node, &cvm).await;
    drop(read_only);
    told.granted(&node, &cvm).await;

    let moved = Moved::begin(&state);
    unrecorded(&node, &cvm).await;
    // Another folder in its place does not have the record.
    fs::create_dir(&state).unwrap();
    unrecorded(&node, &cvm).await;
    drop(moved);
    told.granted(&node, &cvm).await;
    told.is_all_of(&node);
}
