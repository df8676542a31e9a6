//! `grant_at = "latest+finalized"`: a grant waits until it cannot be undone, its revocation waits for nothing.

use kms_simulator::cvm::Cvm;
use kms_tests::asking::until_granted;
use kms_tests::chain::Chain;
use kms_tests::guest::{compose, compose_hash};
use kms_tests::node::Node;
use kms_tests::wire::{Wire, refusal};
use kms_tests::world::{App, World, seen};

#[tokio::test(flavor = "multi_thread")]
async fn grant__should_wait_to_be_final_and_its_revocation_should_not() {
    let world = World::shared();
    let chain = Chain::start();
    chain.allow_image(world.simulated.image().hash());
    chain.allow_node(world.measurement, world.simulated.node_device());
    let node = Node::start(&chain, &world.simulated, &["chain.grant_at=latest+finalized"]);
    node.await_serving().await;
    let ask = async |cvm: Cvm| Wire::connect(node.address()).await.boot_as(&cvm).await;

    chain.blocks_for_transactions_alone();
    let code = compose("final");
    let id = chain.deploy_app(compose_hash(&code), world.simulated.host(1).device_id());
    let app = App { id, compose: code };
    let cvm = world.guest(&app);
    seen(&chain, &node).await;
    let refused = refusal(ask(cvm.clone()).await);
    assert_eq!(
        (refused.code.as_str(), refused.grpc),
        ("grant-not-final", tonic::Code::PermissionDenied),
        "{refused:?}"
    );
    chain.mine(2);
    seen(&chain, &node).await;
    until_granted(&node, &cvm).await;

    // An update of the app waits as well, and takes nothing from what is allowed.
    let update = App { id, compose: compose("final, version 2") };
    chain.allow_code(id, compose_hash(&update.compose));
    seen(&chain, &node).await;
    assert_eq!(refusal(ask(world.guest(&update)).await).code, "grant-not-final");
    until_granted(&node, &cvm).await;

    // The final block still allows what the latest one revokes.
    chain.revoke_code(id, compose_hash(&app.compose));
    seen(&chain, &node).await;
    assert_eq!(refusal(ask(cvm.clone()).await).code, "contract-denied");

    let verdicts: Vec<_> =
        node.records().into_iter().map(|(_, record)| record["outcome"]["code"].clone()).collect();
    let denied = |code: &str| verdicts.iter().filter(|found| **found == code).count();
    assert_eq!((denied("grant-not-final"), denied("contract-denied")), (2, 1));
}
