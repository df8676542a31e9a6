//! A node that is killed while it releases keys: whoever got keys finds the release in its record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kms_simulator::cvm::Cvm;
use kms_tests::wire::{ClientCertificate, Wire, refusal};
use kms_tests::world::World;
use tonic_types::StatusExt as _;

/// How often the node is killed.
const KILLS: u64 = 20;
/// How many guests ask at the same time.
const GUESTS: usize = 3;

/// Asks again and again, whatever happens to the node; the records that it was told of.
async fn ask(
    address: std::net::SocketAddr,
    cvm: Cvm,
    stop: Arc<AtomicBool>,
    releases: Arc<AtomicU64>,
) -> Vec<(u64, Vec<u8>)> {
    let mut told = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        if let Ok(mut wire) = Wire::try_connect(address, &ClientCertificate::fresh()).await {
            told.extend(boot_often(&mut wire, &cvm, &stop, &releases).await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    told
}

/// Asks on one connection until something goes wrong: it broke, or the node does not know yet that it is allowed.
async fn boot_often(
    wire: &mut Wire,
    cvm: &Cvm,
    stop: &AtomicBool,
    releases: &AtomicU64,
) -> Vec<(u64, Vec<u8>)> {
    let mut told = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        match wire.boot_as(cvm).await {
            Ok(response) => {
                let reference = response.record.unwrap();
                told.push((reference.index, reference.leaf_hash));
                releases.fetch_add(1, Ordering::SeqCst);
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

#[tokio::test(flavor = "multi_thread")]
async fn record__should_hold_every_release_that_a_guest_got_though_the_node_is_killed() {
    let world = World::shared();
    let mut node = world.node(&[]).await;
    let app = world.app("killed");
    world.seen_by(&node).await;
    let (stop, releases) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let guests: Vec<_> = (0..GUESTS)
        .map(|_| {
            tokio::spawn(ask(node.address(), world.guest(&app), Arc::clone(&stop), Arc::clone(&releases)))
        })
        .collect();
    for kill in 0..KILLS {
        let before = releases.load(Ordering::SeqCst);
        while releases.load(Ordering::SeqCst) == before {
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
    let records = node.log();
    assert!(told.len() >= KILLS as usize, "{} releases", told.len());
    assert!(records.len() >= told.len(), "{} records of {} releases", records.len(), told.len());
    for (index, digest) in &told {
        let entry = &records[*index as usize];
        assert_eq!(digest[..], entry.leaf_hash[..], "record {index}");
        assert_eq!(entry.decision().unwrap()["outcome"]["verdict"], "allow");
    }
    let distinct: BTreeSet<_> = told.iter().map(|(index, _)| index).collect();
    assert_eq!(distinct.len(), told.len(), "an index that two releases share");
}
