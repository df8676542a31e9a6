//! A node that is killed while it releases keys: whoever got keys finds the release in its record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kms_simulator::cvm::Cvm;
use kms_tests::node::Node;
use kms_tests::wire::{ClientCertificate, Wire, refusal};
use kms_tests::world::World;
use tonic_types::StatusExt as _;

/// How often the node is killed.
const KILLS: u64 = 20;
/// How many guests ask at the same time.
const GUESTS: usize = 3;

/// Asks again and again, whatever happens to the node; the records that it was told of.
async fn ask(address: std::net::SocketAddr, cvm: Cvm, stop: Arc<AtomicBool>) -> Vec<(u64, Vec<u8>)> {
    let mut told = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        if let Ok(mut wire) = Wire::try_connect(address, &ClientCertificate::fresh()).await {
            told.extend(boot_often(&mut wire, &cvm, &stop).await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    told
}

/// Asks on one connection until something goes wrong: it broke, or the node does not know yet that it is allowed.
async fn boot_often(wire: &mut Wire, cvm: &Cvm, stop: &AtomicBool) -> Vec<(u64, Vec<u8>)> {
    let mut told = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        match wire.boot_as(cvm).await {
            Ok(response) => {
                let reference = response.record.unwrap();
                told.push((reference.index, reference.digest));
            }
            Err(status) => {
                let broken = status.get_error_details().error_info().is_none();
                assert!(
                    broken || refusal::<()>(Err(status.clone())).code == "node-not-allowed",
                    "{status:?}"
                );
                break;
            }
        }
    }
    told
}

/// The size of a node's record, in bytes.
fn length(node: &Node) -> u64 {
    std::fs::metadata(node.record_file()).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn record__should_hold_every_release_that_a_guest_got_though_the_node_is_killed() {
    let world = World::shared();
    let mut node = world.node(&[]).await;
    let app = world.app("killed");
    world.seen_by(&node).await;
    let stop = Arc::<AtomicBool>::default();
    let guests: Vec<_> = (0..GUESTS)
        .map(|_| tokio::spawn(ask(node.address(), world.guest(&app), Arc::clone(&stop))))
        .collect();
    for kill in 0..KILLS {
        let before = length(&node);
        while length(&node) <= before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // At no moment in particular.
        tokio::time::sleep(Duration::from_millis(kill * 7)).await;
        node.kill();
        node.restart();
        node.await_serving().await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    for guest in guests {
        told.extend(guest.await.unwrap());
    }
    let records = node.records();
    assert!(told.len() >= KILLS as usize, "{} releases", told.len());
    assert!(records.len() >= told.len(), "{} records of {} releases", records.len(), told.len());
    for (index, digest) in &told {
        let (recorded, record) = &records[*index as usize];
        assert_eq!(digest[..], recorded[..], "record {index}");
        assert_eq!(record["outcome"]["verdict"], "allow");
    }
    let distinct: BTreeSet<_> = told.iter().map(|(index, _)| index).collect();
    assert_eq!(distinct.len(), told.len(), "an index that two releases share");
}
