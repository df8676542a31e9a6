//! Platforms that fall out of date: those that were seen up to date have their time of grace, and no restart begins it anew.

use kms_simulator::cvm::Cvm;
use kms_tests::asking::{until, until_granted, until_refused};
use kms_tests::guest::{booted, instance};
use kms_tests::node::Node;
use kms_tests::wire::{Wire, refusal};
use kms_tests::world::{App, World};
use serde_json::{Value, json};

/// The time of grace, in seconds: longer than a machine takes from the first sight of it to the last release within it.
const GRACE: u64 = 45;
/// What passes on the chain's clock, in seconds: more than the grace, and with what its blocks are ahead at most as much as
/// a head may be.
const PASSED: u64 = 50;
/// How far a head may be ahead of the node's clock, in seconds: the most that can be configured.
const MAX_FUTURE: u64 = 60;

/// A guest on another host of the same kind as host 1.
fn guest_on_its_like(world: &World, app: &App) -> Cvm {
    let mut platform = world.simulated.platform();
    let fmspc = platform.host(1).unwrap().fmspc();
    let host = platform.host_mut(2).unwrap();
    host.pck.fmspc = fmspc;
    world.chain.allow_device(app.id, host.device_id());
    booted(host, world.simulated.image(), app.id, &app.compose, instance(0x33))
}

/// Since when the last release's platform is recorded to be out of date.
fn out_of_date_since(node: &Node) -> Option<u64> {
    node.decisions().pop().and_then(|(_, record)| record["out_of_date_since"].as_u64())
}

#[tokio::test(flavor = "multi_thread")]
async fn platform__should_have_its_grace_once_and_only_if_it_was_seen_up_to_date() {
    let world = World::new();
    let (grace, max_future) =
        (format!("policy.platform.grace_secs={GRACE}"), format!("chain.max_future_s={MAX_FUTURE}"));
    let mut node = world.node(&[&grace, &max_future]).await;
    let app = world.app("ageing");
    let (seen, unseen) = (world.guest(&app), guest_on_its_like(&world, &app));
    world.seen_by(&node).await;
    until_granted(&node, &seen).await;
    assert_eq!(out_of_date_since(&node), None);

    // Intel demands more of such platforms. A node asks for collateral anew once a day, and when it starts.
    let fmspc = world.simulated.host(1).fmspc();
    world.simulated.pccs_plan(&json!({ "kind": "out-of-date", "fmspc": fmspc }));
    node.restart();
    node.await_serving().await;
    let since = until("collateral that says so", async || {
        until_granted(&node, &seen).await;
        out_of_date_since(&node)
    })
    .await;
    let refused = refusal(Wire::connect(node.address()).await.boot_as(&unseen).await);
    assert_eq!(refused.code, "tcb-status-not-accepted", "{refused:?}");

    // Killed, and started again: it was written down before the first answer that relied on it.
    node.restart();
    node.await_serving().await;
    until_granted(&node, &seen).await;
    assert_eq!(out_of_date_since(&node), Some(since));

    // It is never earlier than a head says that is not too far ahead.
    world.chain.pass(PASSED);
    let refused = until_refused(&node, &seen).await;
    assert_eq!(
        (refused.code.as_str(), refused.grpc),
        ("tcb-grace-expired", tonic::Code::PermissionDenied),
        "{refused:?}"
    );
    let (_, record) = node.decisions().pop().unwrap();
    assert_eq!(record["out_of_date_since"], Value::from(since));
}
