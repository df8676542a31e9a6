//! What anyone may register as an app's contract: every misbehaviour is a denial of that app alone, with a code of class
//! `Contract`, within bounded time, requests and evidence; an honest app beside it is answered all the while.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod proxy_support;
mod reading_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolValue as _;
use contracts_support::{World, asker, test_contract, word};
use kms_attestation::refusal::DenyClass;
use kms_chain::bindings::{DstackApp, DstackKms};
use kms_chain::reader::MAX_ROUNDS;
use kms_chain::{Anchor, AppBootInfo, ChainDenyCode, Decision, GrantAt, Question, Witness, replay};
use proxy_support::{Lie, Proxy, results_of};
use reading_support::{ask, dev_anchor, now};
use serde_json::Value;

/// Debug builds are twenty times slower than what ships; a call may burn 30 million gas a few times over.
const LONGEST: Duration = Duration::from_secs(20);
/// Far more than an honest app needs, far less than what a witness may have.
const MOST_EVIDENCE: usize = 1024 * 1024;

struct Scene {
    world: World,
    honest: Address,
    anchor: Anchor,
    proxy: Proxy,
    requests: Arc<AtomicUsize>,
}

impl Scene {
    async fn new() -> Self {
        Self::with_hints(|_| {}).await
    }

    /// A scene whose provider changes its access lists.
    async fn with_hints(change: fn(&mut Value)) -> Self {
        let (world, honest) = World::with_app();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let hints = results_of("eth_createAccessList", move |_, hint| change(hint));
        let counting: Lie = Arc::new(move |request: &Value, answer| {
            counter.fetch_add(request.as_array().unwrap().len(), Ordering::Relaxed);
            hints(request, answer)
        });
        let proxy = Proxy::start(world.anvil.port(), counting).await;
        let anchor = dev_anchor(world.kms, GrantAt::Latest);
        Self { world, honest, anchor, proxy, requests }
    }

    /// Registers a contract that exists for tests only.
    fn hostile(&self, name: &str, arguments: &[u8]) -> Address {
        let code = [&test_contract(name)[..], arguments].concat();
        let app = self.world.anvil.deploy(self.world.owner, &code);
        self.world.register(app);
        app
    }

    /// What is decided about an app, and that it costs no more than it may; then the honest app is asked about.
    async fn decide(&self, app: Address) -> Decision {
        let decision = self.decide_within_bounds(app).await;
        assert!(self.decide_within_bounds(self.honest).await.allowed, "the honest app beside it");
        decision
    }

    async fn decide_within_bounds(&self, app: Address) -> Decision {
        let (begin, before) = (Instant::now(), self.requests.load(Ordering::Relaxed));
        let reading = ask(&self.proxy.url(), &self.anchor, &Question::App(asker(app))).await.unwrap();
        let requests = self.requests.load(Ordering::Relaxed) - before;
        let evidence = reading.witness().evidence_bytes();
        println!("{:?}, {} rounds, {requests} requests, {evidence} bytes", begin.elapsed(), reading.rounds());
        assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
        assert!(reading.rounds() <= MAX_ROUNDS && requests < 300, "{requests} requests");
        assert!(evidence < MOST_EVIDENCE, "{evidence} bytes");
        let witness = Witness::decode(&reading.witness().encode()).unwrap();
        assert_eq!(replay(&self.anchor, &witness).as_ref(), Ok(reading.decision()));
        reading.into_parts().0
    }

    async fn assert_denied(&self, app: Address, code: ChainDenyCode) {
        let denial = self.decide(app).await.denial.unwrap();
        assert_eq!(denial.code, code, "{denial}");
        assert_eq!(code.class(), DenyClass::Contract);
        assert!(denial.found.len() < 1024);
    }
}

/// A callee has 63 of 64 parts of the gas: `DstackKms` is left with enough to revert.
#[tokio::test]
async fn app__should_be_denied_when_it_never_ends() {
    let scene = Scene::new().await;
    scene.assert_denied(scene.hostile("LoopingApp", &[]), ChainDenyCode::ContractReverted).await;
}

#[tokio::test]
async fn app__should_be_denied_when_it_reverts_with_a_megabyte() {
    let scene = Scene::new().await;
    scene.assert_denied(scene.hostile("RevertingApp", &[]), ChainDenyCode::ContractReverted).await;
}

#[tokio::test]
async fn app__should_be_denied_when_its_reason_is_a_megabyte() {
    let scene = Scene::new().await;
    scene.assert_denied(scene.hostile("LongReasonApp", &[]), ChainDenyCode::ContractAnswerTooLarge).await;
}

#[tokio::test]
async fn app__should_be_denied_when_it_answers_garbage_or_no_boolean() {
    let scene = Scene::new().await;
    for name in ["GarbageApp", "NonBooleanApp"] {
        scene.assert_denied(scene.hostile(name, &[]), ChainDenyCode::ContractReverted).await;
    }
}

#[tokio::test]
async fn app__should_be_denied_when_it_has_no_code() {
    let scene = Scene::new().await;
    let destroyed = scene.hostile("VanishingApp", &[]);
    let nowhere = Address::repeat_byte(9);
    scene.world.register(nowhere);
    let account = scene.world.anvil.account(5);
    scene.world.register(account);
    for app in [destroyed, nowhere, account] {
        scene.assert_denied(app, ChainDenyCode::ContractDenied).await;
        assert_eq!(scene.decide(app).await.reason, "App not deployed or invalid address");
    }
}

#[tokio::test]
async fn app__should_be_denied_when_it_reads_a_block_hash() {
    let scene = Scene::new().await;
    scene.assert_denied(scene.hostile("BlockHashApp", &[]), ChainDenyCode::ContractReadsBlockHash).await;
}

/// Every block says when it was made, and that is proven: a grant that ends is fair.
#[tokio::test]
async fn app__should_be_answered_by_the_time_of_the_verified_block() {
    let scene = Scene::new().await;
    let later = scene.hostile("ExpiringApp", &U256::from(now() + 3600).abi_encode());
    let decision = scene.decide(later).await;
    assert!(decision.allowed && decision.latest.timestamp < now() + 3600);
    let over = scene.hostile("ExpiringApp", &U256::from(now() - 3600).abi_encode());
    scene.assert_denied(over, ChainDenyCode::ContractDenied).await;
}

#[tokio::test]
async fn app__should_be_denied_when_it_reads_more_state_than_a_decision_may() {
    let scene = Scene::new().await;
    for name in ["UnboundedReadsApp", "ManyReadsApp", "ManyAccountsApp"] {
        println!("{name}");
        scene.assert_denied(scene.hostile(name, &[]), ChainDenyCode::ContractStateLimit).await;
    }
}

/// What a contract reads is bounded where no hint says it, too.
#[tokio::test]
async fn app__should_be_denied_within_bounds_without_a_hint() {
    let scene = Scene::with_hints(|hint| *hint = Value::Null).await;
    for (name, code) in [
        ("UnboundedReadsApp", ChainDenyCode::ContractStateLimit),
        ("ManyReadsApp", ChainDenyCode::ContractStateLimit),
        ("ManyAccountsApp", ChainDenyCode::ContractStateLimit),
        ("LoopingApp", ChainDenyCode::ContractReverted),
        ("RevertingApp", ChainDenyCode::ContractReverted),
    ] {
        println!("{name}");
        scene.assert_denied(scene.hostile(name, &[]), code).await;
    }
}

/// With an honest access list reads that hang on one another cost no more rounds than others.
#[tokio::test]
async fn app__should_be_answered_when_its_reads_hang_on_one_another() {
    let scene = Scene::new().await;
    assert!(scene.decide(scene.hostile("ChainedReadsApp", &[])).await.allowed);
}

/// One app's contract may follow another's: it is answered as the other is, and can neither change nor stop it.
#[tokio::test]
async fn app__should_be_answered_from_the_state_of_another_contract() {
    let scene = Scene::new().await;
    let follower = scene.hostile("FollowingApp", &scene.honest.abi_encode());
    let decision = scene.decide(follower).await;
    assert!(decision.allowed && decision.explanation.compose_hash_allowed == Some(true));
    scene.world.own(scene.honest, &DstackApp::addComposeHashCall { composeHash: word(2) });
    let revoke = DstackApp::removeComposeHashCall { composeHash: word(1) };
    scene.world.own(scene.honest, &revoke);
    let denied = scene.decide_within_bounds(follower).await;
    assert_eq!(denied.reason, "Compose hash not allowed");

    // Nor may it hide behind the KMS contract, which then asks it again.
    scene.world.own(scene.honest, &DstackApp::addComposeHashCall { composeHash: word(1) });
    let circular = scene.hostile("FollowingApp", &scene.world.kms.abi_encode());
    scene.assert_denied(circular, ChainDenyCode::ContractReverted).await;
}

#[tokio::test]
async fn app__should_be_allowed_without_getters_which_only_explain() {
    let scene = Scene::new().await;
    let decision = scene.decide(scene.hostile("GetterlessApp", &[])).await;
    assert!(decision.allowed && decision.explanation.app_registered == Some(true));
    assert_eq!((decision.explanation.compose_hash_allowed, decision.explanation.tcb_required), (None, None));
}

/// Deployed contracts of the first generation know no `requireTcbUpToDate`: it reverts, and explains nothing.
#[tokio::test]
async fn older_app__should_be_answered_without_the_getter_that_it_lacks() {
    let scene = Scene::new().await;
    let older = scene.world.deploy_older_app();
    let decision = scene.decide(older).await;
    assert!(decision.allowed);
    let explanation = decision.explanation;
    assert_eq!((explanation.compose_hash_allowed, explanation.device_allowed), (Some(true), Some(true)));
    assert_eq!((explanation.any_device_allowed, explanation.tcb_required), (Some(false), None));
}

/// Nothing that a hostile app does reaches the questions about KMS nodes.
#[tokio::test]
async fn node__should_be_answered_beside_any_app() {
    let scene = Scene::new().await;
    scene.hostile("LoopingApp", &[]);
    scene.world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(1) });
    scene.world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(1) });
    for (device, allowed) in [(1, true), (2, false)] {
        let node = AppBootInfo { deviceId: word(device), ..asker(Address::ZERO) };
        let reading = ask(&scene.proxy.url(), &scene.anchor, &Question::Kms(node)).await.unwrap();
        assert_eq!((reading.decision().allowed, reading.rounds()), (allowed, 2));
        assert_eq!(reading.decision().explanation.kms_device_allowed, Some(allowed));
    }
}
