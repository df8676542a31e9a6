//! What a node needs from others fails: nothing is released that should not be, and all is well again afterwards.

use kms_tests::asking::{until_granted, until_refused};
use kms_tests::chain::Pause;
use kms_tests::guest::{compose, compose_hash};
use kms_tests::node::{Node, Signals};
use kms_tests::simulated::COLD_HOST;
use kms_tests::wire::{Wire, granted, refusal};
use kms_tests::world::{App, World};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn chain__should_stop_releases_while_it_does_not_answer() {
    let world = World::new();
    let node = world.node(&["chain.stall_after_s=5"]).await;
    let cvm = world.guest(&world.app("cut off"));
    world.seen_by(&node).await;
    until_granted(&node, &cvm).await;
    world.chain.pause(Pause::Begin);
    let refused = until_refused(&node, &cvm).await;
    assert!(
        ["rpc-timeout", "rpc-unreachable", "feed-stalled"].contains(&refused.code.as_str()),
        "{refused:?}"
    );
    assert_eq!(refused.grpc, tonic::Code::Unavailable, "a guest may try again");
    // The chain's silence takes nothing from what needs no chain.
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.challenge().await);
    world.chain.pause(Pause::End);
    until_granted(&node, &cvm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chain__should_stop_releases_while_it_stands_still() {
    let world = World::new();
    let stalled = world.node(&["chain.stall_after_s=5"]).await;
    let stale = world.node(&["chain.latest_max_age_s=7"]).await;
    let cvm = world.guest(&world.app("frozen"));
    world.seen_by(&stalled).await;
    world.seen_by(&stale).await;
    world.chain.seconds_between_blocks(0);
    assert_eq!(until_refused(&stalled, &cvm).await.code, "feed-stalled");
    assert_eq!(until_refused(&stale, &cvm).await.code, "head-stale");
    world.chain.seconds_between_blocks(2);
    until_granted(&stalled, &cvm).await;
    until_granted(&stale, &cvm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pccs__should_be_needed_for_new_kinds_of_platforms_alone() {
    let world = World::new();
    let node = world.node(&[]).await;
    let warm = world.guest(&world.app("warm"));
    let compose = compose("cold");
    let device = world.simulated.host(COLD_HOST).device_id();
    let id = world.chain.deploy_app(compose_hash(&compose), device);
    let cold = world.guest_on(&App { id, compose }, COLD_HOST);
    world.seen_by(&node).await;
    until_granted(&node, &warm).await;
    for fault in ["connection-closed", "garbage", "expired"] {
        world.simulated.pccs_fault(fault);
        until_granted(&node, &warm).await;
        assert_eq!(until_refused(&node, &cold).await.code, "collateral-unavailable", "{fault}");
    }
    world.simulated.pccs_fault("none");
    until_granted(&node, &cold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record__should_stop_releases_while_it_cannot_be_written() {
    let world = World::shared();
    let node = world.node_with(&[], Signals::FileLimitIsAnError).await;
    let app = world.app("unrecorded");
    let (allowed, denied) = (world.guest(&app), world.guest_on(&app, 2));
    world.seen_by(&node).await;
    until_granted(&node, &allowed).await;
    assert_eq!(until_refused(&node, &denied).await.code, "contract-denied");
    let before = node.records();
    let length = std::fs::metadata(node.record_file()).unwrap().len();
    // No room at all; room for a part of a line.
    for room in [0, 100] {
        node.limit_files(Some(length + room));
        for cvm in [&allowed, &denied, &allowed] {
            let mut wire = Wire::connect(node.address()).await;
            let refused = refusal(wire.boot_as(cvm).await);
            assert_eq!(refused.code, "record-unavailable", "{refused:?}");
        }
        node.limit_files(None);
        let mut wire = Wire::connect(node.address()).await;
        let response = granted(wire.boot_as(&allowed).await);
        node.limit_files(Some(length));
        let records = node.records();
        let reference = response.record.unwrap();
        assert_eq!(reference.index as usize + 1, records.len());
        assert_eq!(&reference.digest[..], &records[reference.index as usize].0[..]);
    }
    node.limit_files(None);
    // Nothing was lost, nothing stands there that was not decided.
    let after = node.records();
    assert_eq!(after[..before.len()], before);
    let verdicts: Vec<&Value> =
        after[before.len()..].iter().map(|(_, record)| &record["outcome"]["verdict"]).collect();
    assert_eq!(verdicts, ["allow", "allow"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_not_start_without_a_place_for_its_record() {
    let world = World::shared();
    for place in ["/proc/decisions.log", "/dev/full", "/dev"] {
        let setting = format!("record.path={place}");
        let (status, said) = Node::fail_to_start(&world.chain, &world.simulated, &[&setting]);
        assert_eq!(status.code(), Some(1), "{place}: {said}");
        assert!(said.contains("start-record"), "{place}: {said}");
    }
}
