//! Every code of the node itself, provoked over the wire; and those that cannot be, with the reason.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kms_node::node::CHECK_EVERY;
use kms_node::refusal::NodeCode;
use kms_proto::v1::{ChallengeRequest, GetAppKeysRequest, GetNodeInfoRequest, SignAppCertificateRequest};
use kms_simulator::cvm::Cvm;
use kms_tests::chain::{Chain, Pause};
use kms_tests::guest::{compose, compose_hash};
use kms_tests::node::{Node, Signals};
use kms_tests::simulated::COLD_HOST;
use kms_tests::wire::{ClientCertificate, Refusal, Wire, granted, random, refusal};
use kms_tests::world::{App, World};
use tonic::Code;
use tonic_health::ServingStatus;

/// Codes that no test can provoke from outside, and why.
const UNPROVOKED: &[(NodeCode, &str)] = &[(
    NodeCode::Internal,
    "stands for what should not happen: no randomness, a key that cannot be derived, a job that panics",
)];

#[test]
fn node_codes__should_each_be_provoked_here_or_explained() {
    let provoked = [
        NodeCode::ClientCertificateMissing,
        NodeCode::FieldInvalid,
        NodeCode::ChallengeMissing,
        NodeCode::ChallengeExpired,
        NodeCode::KeysNotReleased,
        NodeCode::RateLimited,
        NodeCode::Overloaded,
        NodeCode::RequestTimeout,
        NodeCode::CollateralUnavailable,
        NodeCode::QuoteUnavailable,
        NodeCode::RecordUnavailable,
        NodeCode::NodeNotAllowed,
        // These two in `witnesses`.
        NodeCode::LogContradicted,
        NodeCode::LogUnwitnessed,
    ];
    let explained = UNPROVOKED.iter().map(|(code, _)| *code);
    let known: BTreeSet<_> = provoked.into_iter().chain(explained).collect();
    assert_eq!(known, NodeCode::ALL.iter().copied().collect());
}

fn expect(found: &Refusal, code: NodeCode, grpc: Code) {
    assert_eq!((found.code.as_str(), found.grpc), (code.as_str(), grpc), "{found:?}");
    assert_eq!(found.fix, code.fix());
}

#[tokio::test(flavor = "multi_thread")]
async fn session__should_refuse_requests_out_of_order_or_form() {
    let world = World::shared();
    let node = world.node(&["limits.nonce_lifetime_s=5"]).await;
    let app = world.app("out of order");
    world.seen_by(&node).await;
    let cvm = world.guest(&app);

    let mut anonymous = Wire::connect_as(node.address(), &ClientCertificate::None).await;
    let missing = |found| expect(&found, NodeCode::ClientCertificateMissing, Code::Unauthenticated);
    missing(refusal(anonymous.challenge().await));
    missing(refusal(anonymous.keys(GetAppKeysRequest::default()).await));
    granted(anonymous.public.get_node_info(GetNodeInfoRequest {}).await);

    let mut late = Wire::connect(node.address()).await;
    let opened = granted(late.challenge().await);
    assert_eq!(opened.response.nonce_lifetime_seconds, 5);
    let answered = Instant::now();

    let mut wire = Wire::connect(node.address()).await;
    for length in [0, 31, 33, 64] {
        let request = ChallengeRequest { client_nonce: vec![7; length], fresh: false };
        let refused = refusal(wire.boot.challenge(request).await);
        expect(&refused, NodeCode::FieldInvalid, Code::InvalidArgument);
    }
    let unasked = refusal(wire.keys(GetAppKeysRequest::default()).await);
    expect(&unasked, NodeCode::ChallengeMissing, Code::FailedPrecondition);
    let certificate = refusal(wire.boot.sign_app_certificate(SignAppCertificateRequest::default()).await);
    expect(&certificate, NodeCode::KeysNotReleased, Code::FailedPrecondition);

    // A challenge serves once: the same evidence again is refused, though it was just accepted.
    let opened_once = granted(wire.challenge().await);
    let evidence = kms_tests::guest::evidence(&cvm, &wire.ends.app_binding(&opened_once));
    granted(wire.keys(evidence.clone()).await);
    let again = refusal(wire.keys(evidence.clone()).await);
    expect(&again, NodeCode::ChallengeMissing, Code::FailedPrecondition);
    granted(wire.challenge().await);
    assert_eq!(refusal(wire.keys(evidence).await).code, "binding-mismatch");

    tokio::time::sleep_until((answered + Duration::from_millis(5100)).into()).await;
    let evidence = kms_tests::guest::evidence(&cvm, &late.ends.app_binding(&opened));
    let expired = refusal(late.keys(evidence).await);
    expect(&expired, NodeCode::ChallengeExpired, Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_say_when_it_has_done_enough_for_now() {
    let world = World::shared();
    let limits = ["limits.releases_per_app_per_minute=1", "limits.fresh_quotes_per_minute=1"];
    let node = world.node(&limits).await;
    let (app, other) = (world.app("eager"), world.app("patient"));
    world.seen_by(&node).await;
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.boot_as(&world.guest(&app)).await);
    let limited = refusal(wire.boot_as(&world.guest(&app)).await);
    expect(&limited, NodeCode::RateLimited, Code::ResourceExhausted);
    assert!(
        limited.retry_after.is_some_and(|pause| !pause.is_zero() && pause.as_secs() <= 60),
        "{limited:?}"
    );
    granted(wire.boot_as(&world.guest(&other)).await);

    let fresh = || ChallengeRequest { client_nonce: random().to_vec(), fresh: true };
    granted(wire.boot.challenge(fresh()).await);
    let overloaded = refusal(wire.boot.challenge(fresh()).await);
    expect(&overloaded, NodeCode::Overloaded, Code::ResourceExhausted);
    assert!(overloaded.retry_after.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_release_nothing_before_it_is_allowed() {
    let world = World::shared();
    let chain = Chain::start();
    chain.allow_image(world.simulated.image().hash());
    let cvm = world.guest(&world.app("early"));
    let node = Node::start(&chain, &world.simulated, &[]);
    // From its first moment on; and it says so to whoever balances load.
    assert_eq!(node.health().await, Some(ServingStatus::NotServing));
    let mut wire = Wire::connect(node.address()).await;
    expect(&refusal(wire.boot_as(&cvm).await), NodeCode::NodeNotAllowed, Code::Unavailable);
    assert_eq!(node.releases(), 0);
    chain.allow_node(world.measurement, world.simulated.node_device());
    node.await_serving().await;
    assert_eq!(refusal(wire.boot_as(&cvm).await).code, "contract-denied", "not registered on this chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_release_nothing_once_it_finds_itself_revoked() {
    let world = World::shared();
    let (chain, device) = (Chain::start(), world.simulated.node_device());
    chain.allow_image(world.simulated.image().hash());
    chain.allow_node(world.measurement, device);
    let node = Node::start(&chain, &world.simulated, &[]);
    node.await_serving().await;
    chain.revoke_node(device);
    let end = Instant::now() + CHECK_EVERY + Duration::from_secs(15);
    while node.health().await != Some(ServingStatus::NotServing) {
        assert!(Instant::now() < end, "still serving");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut wire = Wire::connect(node.address()).await;
    let refused = refusal(wire.boot_as(&world.guest(&world.app("late"))).await);
    expect(&refused, NodeCode::NodeNotAllowed, Code::Unavailable);
    assert!(refused.found.contains("KMS is not allowed to boot on this device"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_name_what_it_lacks() {
    let world = World::new();
    let node = world.node_with(&[], Signals::FileLimitIsAnError).await;
    let app = world.app("unlucky");
    world.seen_by(&node).await;
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.boot_as(&world.guest(&app)).await);

    let fresh = || ChallengeRequest { client_nonce: random().to_vec(), fresh: true };
    for fault in ["status500", "garbage", "wrong-report-data"] {
        world.simulated.agent_fault(fault);
        let refused = refusal(wire.boot.challenge(fresh()).await);
        expect(&refused, NodeCode::QuoteUnavailable, Code::Unavailable);
        granted(wire.boot_as(&world.guest(&app)).await);
    }
    world.simulated.agent_fault("none");
    granted(wire.boot.challenge(fresh()).await);

    node.limit_files(Some(0));
    let refused = refusal(wire.boot_as(&world.guest(&app)).await);
    expect(&refused, NodeCode::RecordUnavailable, Code::Unavailable);
    node.limit_files(None);
    granted(wire.boot_as(&world.guest(&app)).await);

    let deaf = r#"attestation.pccs=[{url="http://127.0.0.1:1",kind="pccs"}]"#;
    let deaf = Node::start(&world.chain, &world.simulated, &[deaf]);
    let mut wire = Wire::connect(deaf.address()).await;
    let refused = refusal(wire.challenge().await);
    expect(&refused, NodeCode::CollateralUnavailable, Code::Unavailable);
    let refused = refusal(wire.public.get_node_info(GetNodeInfoRequest {}).await);
    expect(&refused, NodeCode::CollateralUnavailable, Code::Unavailable);
}

/// Asks until it is released; for what was slow, and is no more.
async fn until_granted(node: &Node, cvm: &Cvm) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Err(status) = Wire::connect(node.address()).await.boot_as(cvm).await {
        assert!(Instant::now() < end, "still refused: {:?}", refusal::<()>(Err(status)));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// That a request ends with its time, which is two seconds here.
async fn expect_timeout(wire: &mut Wire, cvm: &Cvm) {
    let begin = Instant::now();
    let refused = refusal(wire.boot_as(cvm).await);
    let took = begin.elapsed();
    expect(&refused, NodeCode::RequestTimeout, Code::Unavailable);
    assert!(refused.retry_after.is_some_and(|pause| !pause.is_zero()), "{refused:?}");
    assert!((2..8).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn node__should_end_requests_that_take_too_long() {
    let world = World::new();
    let node = world.node(&["limits.request_timeout_ms=2000", "limits.handshake_timeout_ms=2000"]).await;
    let compose = compose("in a hurry");
    let device = world.simulated.host(COLD_HOST).device_id();
    let app = App { id: world.chain.deploy_app(compose_hash(&compose), device), compose };
    world.chain.allow_device(app.id, world.simulated.host(1).device_id());
    let (warm, cold) = (world.guest(&app), world.guest_on(&app, COLD_HOST));
    world.seen_by(&node).await;
    until_granted(&node, &warm).await;
    let mut wire = Wire::connect(node.address()).await;

    world.simulated.pccs_slow(Duration::from_secs(4));
    expect_timeout(&mut wire, &cold).await;
    world.simulated.pccs_fault("none");
    until_granted(&node, &cold).await;

    let releases = node.releases();
    world.chain.pause(Pause::Begin);
    expect_timeout(&mut wire, &warm).await;
    // What was not decided is not recorded, and the connection is none the worse for it.
    assert_eq!(node.releases(), releases);
    granted(wire.challenge().await);
    world.chain.pause(Pause::End);
    until_granted(&node, &warm).await;
}
