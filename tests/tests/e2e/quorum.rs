//! Heads that several providers vouch for: two of three are enough, none is believed alone, and nobody is believed who
//! shows another chain.

use std::time::{Duration, Instant};

use kms_tests::asking::{until, until_granted, until_refused, until_refused_with};
use kms_tests::chain::{Chain, Finality, Fork, Since};
use kms_tests::guest::compose_hash;
use kms_tests::node::Node;
use kms_tests::provider::{Provider, Route};
use kms_tests::wire::{Wire, granted};
use kms_tests::world::World;
use tonic_health::ServingStatus;

/// As many blocks as no chain reaches during a test: what is ahead is not passed over for being behind.
const AHEAD: u64 = 100;
/// How long the latest head may stand still.
const STALL: Duration = Duration::from_secs(6);
/// Less than one RPC may take: who waits for a silent provider takes longer.
const SOON: Duration = Duration::from_secs(7);

/// A chain behind three providers.
struct Scene {
    world: World,
    providers: [Provider; 3],
}

impl Scene {
    /// On this chain nothing but the first block is ever final: forks of it differ from then on, and at no final block.
    async fn new() -> Self {
        let world = World::on(Chain::start_with(Finality::Never));
        let home = Route::To(world.chain.address());
        let providers =
            [Provider::start(2, home).await, Provider::start(3, home).await, Provider::start(4, home).await];
        Self { world, providers }
    }

    async fn node(&self) -> Node {
        let urls = self.providers.each_ref().map(Provider::url);
        let rpc = format!("chain.rpc={urls:?}");
        let stall = format!("chain.stall_after_s={}", STALL.as_secs());
        let settings = ["chain.insecure_dev_chain=false", "chain.quorum=2", stall.as_str(), rpc.as_str()];
        self.world.node(&settings).await
    }

    fn lead(&self, provider: usize, route: Route) {
        self.providers[provider].lead(route);
    }

    fn lead_home(&self, provider: usize) {
        self.lead(provider, Route::To(self.world.chain.address()));
    }

    /// That a node started like this does not serve, and why; and that it does by itself once a provider is well.
    async fn refuses_from_the_start(&self, node: &mut Node, code: &str, provider: usize) {
        node.restart();
        assert_eq!(node.health().await, Some(ServingStatus::NotServing));
        let cvm = self.world.guest(&self.world.app(code));
        until(code, async || {
            let refused = until_refused_with(node, &cvm, "node-not-allowed").await;
            refused.found.contains(code).then_some(())
        })
        .await;
        assert_eq!(node.health().await, Some(ServingStatus::NotServing));
        self.lead_home(provider);
        node.await_serving().await;
        until_granted(node, &cvm).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quorum__should_release_while_two_of_three_providers_answer() {
    let scene = Scene::new().await;
    let mut node = scene.node().await;
    let cvm = scene.world.guest(&scene.world.app("voices"));
    scene.world.seen_by(&node).await;
    until_granted(&node, &cvm).await;

    // The one that is asked first: heads go on without it, and another one is read from.
    scene.lead(0, Route::Nowhere);
    scene.world.seen_by(&node).await;
    until_granted(&node, &cvm).await;

    scene.lead(1, Route::Nowhere);
    let refused = until_refused(&node, &cvm).await;
    assert_eq!(
        (refused.code.as_str(), refused.grpc),
        ("feed-stalled", tonic::Code::Unavailable),
        "{refused:?}"
    );
    granted(Wire::connect(node.address()).await.challenge().await);
    scene.lead_home(1);
    until_granted(&node, &cvm).await;

    scene.lead(1, Route::Nowhere);
    scene.refuses_from_the_start(&mut node, "head-unauthenticated", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quorum__should_see_a_revocation_in_time_beside_a_provider_that_is_silent() {
    let scene = Scene::new().await;
    let node = scene.node().await;
    let app = scene.world.app("silence");
    let cvm = scene.world.guest(&app);
    scene.world.seen_by(&node).await;
    until_granted(&node, &cvm).await;

    // The one that is asked first, for heads and for proofs.
    scene.lead(0, Route::Silence);
    scene.world.seen_by(&node).await;
    until_granted(&node, &cvm).await;
    scene.world.chain.revoke_code(app.id, compose_hash(&app.compose));
    let revoked = Instant::now();
    let refused = until_refused(&node, &cvm).await;
    assert_eq!(refused.code, "contract-denied", "{refused:?}");
    assert!(revoked.elapsed() < SOON, "{:?}", revoked.elapsed());

    // Heads of a quorum go on while it is silent, without a pause in which the feed would count as stalled.
    scene.world.chain.allow_code(app.id, compose_hash(&app.compose));
    until_granted(&node, &cvm).await;
    let start = Instant::now();
    while start.elapsed() < STALL * 2 {
        granted(Wire::connect(node.address()).await.boot_as(&cvm).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quorum__should_believe_no_provider_on_a_fork() {
    let scene = Scene::new().await;
    let mut node = scene.node().await;
    let chain = &scene.world.chain;
    let app = scene.world.app("forked");
    let cvm = scene.world.guest(&app);
    let [one, other] = [0, 1].map(|_| Fork::of(chain, Since::TheFirstBlock, AHEAD));
    let stranger = Fork::of(chain, Since::Ever, AHEAD);

    // One is outvoted, though it is ahead, and is asked first.
    scene.lead(0, Route::To(one.address()));
    scene.world.seen_by(&node).await;
    until_granted(&node, &cvm).await;
    let (_, record) = node.decisions().pop().unwrap();
    let block = &record["outcome"]["latest"];
    let found = chain.block_hash(block["number"].as_u64().unwrap());
    assert_eq!(format!("0x{}", block["hash"].as_str().unwrap()), found);

    // Nobody outvotes anybody about what is final.
    scene.lead(0, Route::To(stranger.address()));
    let refused = until_refused(&node, &cvm).await;
    assert_eq!(refused.code, "head-equivocation", "{refused:?}");
    scene.lead(0, Route::To(one.address()));
    until_granted(&node, &cvm).await;

    // No two agree.
    scene.lead(1, Route::To(other.address()));
    let refused = until_refused(&node, &cvm).await;
    assert_eq!(
        (refused.code.as_str(), refused.grpc),
        ("feed-stalled", tonic::Code::Unavailable),
        "{refused:?}"
    );
    scene.refuses_from_the_start(&mut node, "providers-disagree", 1).await;
}
