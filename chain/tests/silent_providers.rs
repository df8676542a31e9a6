//! Providers that are silent or slow beside others that are not: what they cost, and that what they say late is heard.
//!
//! An RPC may take eight seconds here, as in production. Whoever waits for a silent provider even once takes longer than
//! these tests allow.
#![allow(non_snake_case, missing_docs, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod proxy_support;
mod reading_support;
mod scene_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alloy::consensus::Header;
use anvil_support::CHAIN_ID;
use contracts_support::word;
use kms_chain::bindings::DstackApp;
use kms_chain::{
    Anchor, ChainDenyCode, ContractReader, FeedTiming, Freshness, GrantAt, HeadSource, Heads, QuorumSource,
    Rpc, RpcLimits, Transport,
};
use proxy_support::{Lie, Proxy, Reply, always, honest, late, results_of};
use reading_support::{now, outcome};
use scene_support::Scene;
use serde_json::json;
use tokio::time::sleep;

/// Far less than the eight seconds of an RPC, far more than the grace.
const PROMPT: Duration = Duration::from_secs(3);
/// Longer than the grace.
const SLOW: Duration = Duration::from_millis(1500);

/// Providers at hosts of their own, with the limits of production.
async fn providers(scene: &Scene, lies: &[Lie]) -> Vec<Arc<Rpc>> {
    let mut providers = Vec::new();
    for (host, lie) in (2..).zip(lies) {
        let url = Proxy::start(scene.world.anvil.port(), Arc::clone(lie)).await.url_of_host(host);
        providers.push(Arc::new(Rpc::new(&url, Transport::Secure, RpcLimits::default()).unwrap()));
    }
    providers
}

async fn quorum(scene: &Scene, lies: &[Lie]) -> QuorumSource {
    QuorumSource::new(providers(scene, lies).await, CHAIN_ID, 2, 0).unwrap()
}

/// The heads, without waiting for anyone who is silent.
async fn promptly(source: &QuorumSource) -> Result<Heads, ChainDenyCode> {
    let start = Instant::now();
    let heads = source.heads().await.map_err(|deny| deny.code);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    heads
}

fn silent() -> Lie {
    always(|| Reply::Hang)
}

/// A chain of the liar's own for as long as the switch is on.
fn forged_while(lying: &Arc<AtomicBool>) -> Lie {
    let lying = Arc::clone(lying);
    results_of("eth_getBlockByNumber", move |_, block| {
        if lying.load(Ordering::SeqCst) {
            let header: Header = serde_json::from_value(block.clone()).unwrap();
            let header = Header { state_root: word(7), ..header };
            *block = serde_json::to_value(&header).unwrap();
            block["hash"] = json!(header.hash_slow());
        }
    })
}

#[tokio::test]
async fn quorum__should_not_wait_for_a_silent_provider_at_any_poll() {
    let scene = Scene::new();
    for lies in [[silent(), honest(), honest()], [honest(), honest(), silent()]] {
        let source = quorum(&scene, &lies).await;
        for _ in 0..3 {
            scene.world.anvil.mine(1);
            let heads = promptly(&source).await.unwrap();
            assert_eq!(heads.latest.header.number(), scene.world.anvil.block_number());
            assert_eq!(heads.latest.vouchers.len(), 2);
        }
    }
}

#[tokio::test]
async fn quorum__should_not_wait_for_a_provider_that_falls_silent_between_its_answers() {
    let scene = Scene::new();
    let half = Arc::new(|request: &serde_json::Value, answer| {
        if proxy_support::calls(request, "eth_chainId") { Reply::Json(answer) } else { Reply::Hang }
    });
    let source = quorum(&scene, &[half, honest(), honest()]).await;
    for _ in 0..3 {
        promptly(&source).await.unwrap();
    }
}

#[tokio::test]
async fn quorum__should_wait_for_a_slow_provider_that_it_needs() {
    let scene = Scene::new();
    let lies = [honest(), late(SLOW, honest()), always(|| Reply::Status(500))];
    let heads = quorum(&scene, &lies).await.heads().await.unwrap();
    assert_eq!(heads.latest.vouchers.len(), 2);
}

#[tokio::test]
async fn quorum__should_hear_a_second_finalized_block_that_is_shown_late() {
    let (scene, lying) = (Scene::new(), Arc::new(AtomicBool::new(true)));
    let source = quorum(&scene, &[honest(), honest(), late(SLOW, forged_while(&lying))]).await;
    // Not there yet when it is over; there at the next poll, and held against its speaker until it says otherwise.
    promptly(&source).await.unwrap();
    sleep(SLOW).await;
    for _ in 0..3 {
        assert_eq!(promptly(&source).await, Err(ChainDenyCode::HeadEquivocation));
    }
    lying.store(false, Ordering::SeqCst);
    let end = Instant::now() + SLOW * 10;
    while promptly(&source).await.is_err() {
        assert!(Instant::now() < end, "an honest answer is heard as well");
        sleep(SLOW / 5).await;
    }
    promptly(&source).await.unwrap();
}

#[tokio::test]
async fn reader__should_see_a_revocation_in_time_beside_a_silent_provider() {
    let scene = Scene::new();
    let providers = providers(&scene, &[silent(), honest(), honest()]).await;
    let source = QuorumSource::new(providers.clone(), CHAIN_ID, 2, 0).unwrap();
    let (contract, freshness) = (scene.anchor.contract(), Freshness::default());
    let anchor = Anchor::new(CHAIN_ID, contract, source.trust(), GrantAt::Latest, freshness).unwrap();
    let timing = FeedTiming { poll_every: Duration::from_millis(100), ..FeedTiming::default() };
    let reader = ContractReader::spawn(anchor, providers, 0, timing).unwrap();
    reader.feed().refreshed().await.unwrap();
    // The silent one is asked first, and keeps the others from being asked for a while only.
    for within in [PROMPT * 2, PROMPT] {
        let start = Instant::now();
        assert_eq!(outcome(&reader.ask(&scene.allowed(), now()).await), Ok(true));
        assert!(start.elapsed() < within, "{:?}", start.elapsed());
    }
    let revoked = Instant::now();
    scene.world.own(scene.app, &DstackApp::removeComposeHashCall { composeHash: word(1) });
    while outcome(&reader.ask(&scene.allowed(), now()).await) != Ok(false) {
        assert!(revoked.elapsed() < PROMPT * 2, "the revocation is not seen");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn reader__should_take_the_answer_of_a_slow_provider_where_there_is_no_other() {
    let scene = Scene::new();
    // Longer than it is asked alone.
    let slow = late(Duration::from_secs(3), honest());
    let heads_from = scene.world.anvil.url();
    let all = providers(&scene, &[slow, always(|| Reply::Status(500))]).await;
    let limits = RpcLimits::default();
    let honest = Arc::new(Rpc::new(&heads_from, Transport::Secure, limits).unwrap());
    let source = kms_chain::DevSource::new(honest).unwrap();
    let feed = kms_chain::HeadFeed::spawn(source, FeedTiming::default());
    let reader = ContractReader::new(scene.anchor.clone(), feed, all).unwrap();
    reader.feed().refreshed().await.unwrap();
    assert_eq!(outcome(&reader.ask(&scene.allowed(), now()).await), Ok(true));
}
