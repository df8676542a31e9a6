//! The node's certificate: renewed by itself, with a new key and a quote that is bound to it, and nobody is cut off.

use kms_attestation::Quote;
use kms_attestation::ratls::{report_data_for_spki, subject_public_key_info};
use kms_tests::asking::until;
use kms_tests::node::Node;
use kms_tests::wire::{Wire, granted};
use kms_tests::world::World;

/// A connection that is shown another certificate than that one.
async fn renewed(node: &Node, old: &Wire) -> Wire {
    until("another certificate", async || {
        let wire = Wire::connect(node.address()).await;
        (wire.ends.node_spki != old.ends.node_spki).then_some(wire)
    })
    .await
}

/// That the node shows a quote of the key that it proved to have on this very connection.
async fn shows_a_quote_of_its_key(wire: &mut Wire) {
    let shown = granted(wire.challenge().await).response.node.unwrap();
    let spki = subject_public_key_info(&wire.chain[0]).unwrap();
    let quote = Quote::parse(&shown.quote).unwrap();
    assert_eq!(quote.td().report_data, report_data_for_spki(&spki));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate__should_be_renewed_by_itself_and_cut_nobody_off() {
    let world = World::new();
    let node = world.node(&["certificates.node_renewal_s=5"]).await;
    let cvm = world.guest(&world.app("renewed"));
    world.seen_by(&node).await;
    let mut old = Wire::connect(node.address()).await;
    let mut new = renewed(&node, &old).await;
    assert_eq!(old.chain[1], new.chain[1], "the same root CA");
    for wire in [&mut old, &mut new] {
        shows_a_quote_of_its_key(wire).await;
        granted(wire.boot_as(&cvm).await);
    }

    // Without a quote there is no new certificate, and the last one goes on.
    world.simulated.agent_fault("status500");
    let failures = || node.process().said().matches("no new certificate").count();
    until("a renewal that fails, twice", async || (failures() >= 2).then_some(())).await;
    let mut last = Wire::connect(node.address()).await;
    shows_a_quote_of_its_key(&mut last).await;
    granted(last.boot_as(&cvm).await);
    world.simulated.agent_fault("none");
    let mut again = renewed(&node, &last).await;
    shows_a_quote_of_its_key(&mut again).await;
    granted(again.boot_as(&cvm).await);
}
