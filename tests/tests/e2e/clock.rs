//! Whose time it is: a head moves a node's time a little, and one that is far ahead of its clock is refused. To the node a
//! clock that its host has set back looks the same.

use kms_tests::asking::{until, until_granted, until_refused_with};
use kms_tests::chain::{Chain, Finality};
use kms_tests::provider::{Provider, Route};
use kms_tests::simulated::unix_now;
use kms_tests::world::World;
use tonic_health::ServingStatus;

/// In seconds: further than any head may be ahead.
const FAR: u64 = 3600;

#[tokio::test(flavor = "multi_thread")]
async fn node__should_refuse_a_quorum_whose_head_is_far_ahead_of_its_clock() {
    let world = World::on(Chain::start_with(Finality::Never));
    let home = Route::To(world.chain.address());
    let providers =
        [Provider::start(2, home).await, Provider::start(3, home).await, Provider::start(4, home).await];
    let rpc = format!("chain.rpc={:?}", providers.each_ref().map(Provider::url));
    let mut node = world.node(&["chain.insecure_dev_chain=false", "chain.quorum=2", &rpc]).await;
    let cvm = world.guest(&world.app("tomorrow"));
    world.seen_by(&node).await;
    until_granted(&node, &cvm).await;

    world.chain.pass(FAR);
    let refused = until_refused_with(&node, &cvm, "head-from-future").await;
    assert_eq!(refused.grpc, tonic::Code::Unavailable, "{refused:?}");
    // The time of the decision is the node's own.
    let entry = node.log().pop().expect("a record");
    assert_eq!(entry.decision().expect("a decision")["outcome"]["code"], "head-from-future");
    assert!(entry.record.time < unix_now() + FAR / 2, "{entry:?}");

    // One that starts like this does not serve, and says why.
    node.restart();
    until("head-from-future", async || {
        let refused = until_refused_with(&node, &cvm, "node-not-allowed").await;
        refused.found.contains("head-from-future").then_some(())
    })
    .await;
    assert_eq!(node.health().await, Some(ServingStatus::NotServing));
}
