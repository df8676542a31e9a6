//! Heads that are not to be relied on: one at a time, from several providers, and over time.
//!
//! Every header comes from a real anvil, through a proxy where it is changed. For each lie the honest twin is answered.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod proxy_support;
mod reading_support;
mod scene_support;

use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Header;
use anvil_support::CHAIN_ID;
use contracts_support::{World, word};
use kms_chain::bindings::DstackApp;
use kms_chain::heads::STALL_AFTER;
use kms_chain::{
    Anchor, ChainDeny, ChainDenyCode, DevSource, Freshness, GrantAt, HeadSource, HeadWatch, Heads, Question,
    QuorumSource, Reading, read,
};
use proxy_support::{Blocks, Lie, Proxy, Reply, always, honest, results_of};
use reading_support::{ask, client, now, outcome};
use scene_support::Scene;
use serde_json::{Value, json};

/// Changes headers, and gives each the hash that it then has.
fn headers(lie: impl Fn(&mut Header) + Send + Sync + 'static) -> Lie {
    results_of("eth_getBlockByNumber", move |_, block| forge(block, &lie))
}

fn forge(block: &mut Value, lie: &impl Fn(&mut Header)) {
    let mut header: Header = serde_json::from_value(block.clone()).unwrap();
    lie(&mut header);
    *block = serde_json::to_value(&header).unwrap();
    block["hash"] = json!(header.hash_slow());
}

#[tokio::test]
async fn head__should_be_refused_when_stale_or_from_the_future() {
    let scene = Scene::new();
    let stale = headers(|header| header.timestamp -= 3600);
    // A head that nobody can read at is refused before it is judged: the provider reads at the true one.
    for (code, lie) in [
        (ChainDenyCode::HeadStale, stale),
        (ChainDenyCode::HeadFromFuture, headers(|header| header.timestamp += 3600)),
    ] {
        for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
            assert_eq!(outcome(&scene.ask(&honest(), &question).await), Ok(answer));
            let proxy =
                Proxy::start_at(scene.world.anvil.port(), Blocks::AlwaysLatest, Arc::clone(&lie)).await;
            let refused = ask(&proxy.url(), &scene.anchor, &question).await;
            assert_eq!(outcome(&refused), Err(code));
        }
    }
}

#[tokio::test]
async fn head__should_be_refused_from_another_chain() {
    let scene = Scene::new();
    let other_id = results_of("eth_chainId", |_, id| *id = json!("0x1"));
    scene.assert_refused(ChainDenyCode::ChainIdMismatch, &other_id).await;

    // A chain of someone's own with the same id, on which everything is allowed.
    let (other, app) = World::with_app();
    other.own(app, &DstackApp::addComposeHashCall { composeHash: word(2) });
    assert_eq!((other.kms, app), (scene.world.kms, scene.app));
    let block: Value = other.anvil.expect("eth_getBlockByNumber", &json!(["latest", false]));
    let number = block["number"].clone();
    let foreign_head = move |params: &Value, result: &mut Value| {
        if params[0] == number {
            *result = block.clone();
        }
    };
    // One more block here, so that both chains have that height.
    scene.world.anvil.mine(2);
    let lie = results_of("eth_getBlockByNumber", foreign_head.clone());
    let lie: Lie = with_height(lie, other.anvil.block_number());
    scene.assert_refused(ChainDenyCode::RpcError, &lie).await;
    for question in [scene.allowed(), scene.denied()] {
        let proxy = Proxy::start_at(scene.world.anvil.port(), Blocks::AlwaysLatest, Arc::clone(&lie)).await;
        let refused = ask(&proxy.url(), &scene.anchor, &question).await;
        assert_eq!(outcome(&refused), Err(ChainDenyCode::ProofNodeMissing));
    }
}

/// The same lie, from a provider that claims to be at this height.
fn with_height(lie: Lie, height: u64) -> Lie {
    let claim = results_of("eth_blockNumber", move |_, number| *number = json!(format!("{height:#x}")));
    Arc::new(move |request, answer| match claim(request, answer) {
        Reply::Json(answer) => lie(request, answer),
        other => other,
    })
}

#[tokio::test]
async fn head__should_be_refused_under_a_hash_that_is_not_its_own() {
    let scene = Scene::new();
    let lie = results_of("eth_getBlockByNumber", |_, block| block["stateRoot"] = json!(word(7)));
    scene.assert_refused(ChainDenyCode::HeaderHashMismatch, &lie).await;
    let junk = results_of("eth_getBlockByNumber", |_, block| *block = json!("no block"));
    scene.assert_refused(ChainDenyCode::RpcAnswerInvalid, &junk).await;
}

/// Asks a quorum of two among these providers, each a host of its own, and reads from one of them.
async fn ask_quorum(
    scene: &Scene,
    proxies: &[Proxy],
    reader: usize,
    question: &Question,
) -> Result<Reading, ChainDeny> {
    let clients = (2..).zip(proxies).map(|(host, proxy)| client(&proxy.url_of_host(host)));
    let clients: Vec<_> = clients.collect();
    let source = QuorumSource::new(clients.clone(), CHAIN_ID, 2, 0)?;
    let freshness = Freshness::default();
    let anchor = Anchor::new(CHAIN_ID, scene.anchor.contract(), source.trust(), GrantAt::Latest, freshness)?;
    let heads = source.heads().await?;
    read(&clients[reader], &anchor, question, heads.latest, None, now()).await
}

async fn proxies(scene: &Scene, lies: &[Lie]) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for lie in lies {
        proxies.push(scene.proxy(lie).await);
    }
    proxies
}

/// A chain of the liar's own, in every header: only another provider can tell.
fn forged_state() -> Lie {
    headers(|header| header.state_root = word(7))
}

/// The same in the latest header alone.
fn forged_state_at_the_tip(scene: &Scene) -> Lie {
    let latest = json!(format!("{:#x}", scene.world.anvil.block_number()));
    results_of("eth_getBlockByNumber", move |params, block| {
        if params[0] == latest {
            forge(block, &|header| header.state_root = word(7));
        }
    })
}

#[tokio::test]
async fn quorum__should_be_refused_when_two_providers_disagree() {
    let scene = Scene::new();
    for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
        let both = proxies(&scene, &[honest(), honest()]).await;
        assert_eq!(outcome(&ask_quorum(&scene, &both, 0, &question).await), Ok(answer));
        for (lie, code) in [
            (forged_state_at_the_tip(&scene), ChainDenyCode::ProvidersDisagree),
            (forged_state(), ChainDenyCode::HeadEquivocation),
        ] {
            let split = proxies(&scene, &[honest(), lie]).await;
            for reader in [0, 1] {
                let refused = ask_quorum(&scene, &split, reader, &question).await;
                assert_eq!(outcome(&refused), Err(code));
            }
        }
    }
}

#[tokio::test]
async fn quorum__should_outvote_one_liar_at_the_tip_but_never_at_the_finalized_block() {
    let scene = Scene::new();
    for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
        let tip = proxies(&scene, &[honest(), honest(), forged_state_at_the_tip(&scene)]).await;
        assert_eq!(outcome(&ask_quorum(&scene, &tip, 0, &question).await), Ok(answer));
        let everywhere = proxies(&scene, &[honest(), honest(), forged_state()]).await;
        let refused = ask_quorum(&scene, &everywhere, 0, &question).await;
        assert_eq!(outcome(&refused), Err(ChainDenyCode::HeadEquivocation));
    }
}

/// Who vouches for the head says nothing about who is read from.
#[tokio::test]
async fn quorum__should_not_make_its_readers_provider_believed() {
    let scene = Scene::new();
    let all = [honest(), honest(), results_of("eth_getCode", |_, code| *code = json!("0x00"))];
    let all = proxies(&scene, &all).await;
    for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
        assert_eq!(outcome(&ask_quorum(&scene, &all, 1, &question).await), Ok(answer));
        let refused = ask_quorum(&scene, &all, 2, &question).await;
        assert_eq!(outcome(&refused), Err(ChainDenyCode::CodeMismatch));
    }
}

#[tokio::test]
async fn quorum__should_do_without_one_broken_provider_but_not_without_two() {
    let scene = Scene::new();
    let question = scene.allowed();
    for broken in
        [|| Reply::Hang, || Reply::Status(500), || Reply::Raw(vec![b' '; 10_000_000])] as [fn() -> Reply; 3]
    {
        let one = proxies(&scene, &[honest(), honest(), always(broken)]).await;
        assert_eq!(outcome(&ask_quorum(&scene, &one, 0, &question).await), Ok(true));
        let two = proxies(&scene, &[honest(), always(broken), always(broken)]).await;
        let refused = ask_quorum(&scene, &two, 0, &question).await;
        assert_eq!(outcome(&refused), Err(ChainDenyCode::HeadUnauthenticated));
    }
}

async fn heads_of(world: &World) -> Heads {
    DevSource::new(client(&world.anvil.url())).unwrap().heads().await.unwrap()
}

fn snapshot(world: &World) -> Value {
    world.anvil.expect("evm_snapshot", &json!([]))
}

fn revert(world: &World, snapshot: &Value) {
    assert!(world.anvil.expect::<bool>("evm_revert", &json!([snapshot])));
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn watch__should_refuse_a_chain_that_falls_back() {
    let (world, _) = World::with_app();
    let before = snapshot(&world);
    world.anvil.mine(1);
    let mut watch = HeadWatch::new(STALL_AFTER, SECOND);
    watch.accept(&heads_of(&world).await, SECOND).unwrap();
    revert(&world, &before);
    let refused = watch.accept(&heads_of(&world).await, SECOND).unwrap_err();
    assert_eq!(refused.code, ChainDenyCode::HeadRegressed);
    // A reorganisation above the finalized block is honest.
    world.anvil.mine(3);
    watch.accept(&heads_of(&world).await, SECOND).unwrap();
}

#[tokio::test]
async fn watch__should_halt_when_a_finalized_block_is_replaced() {
    let (world, app) = World::with_app();
    let before = snapshot(&world);
    world.anvil.mine(4);
    let mut watch = HeadWatch::new(STALL_AFTER, SECOND);
    let first = heads_of(&world).await;
    watch.accept(&first, SECOND).unwrap();
    revert(&world, &before);
    world.own(app, &DstackApp::addComposeHashCall { composeHash: word(2) });
    world.anvil.mine(3);
    let second = heads_of(&world).await;
    assert_eq!(second.finalized.header.number(), first.finalized.header.number());
    for heads in [&second, &first] {
        let refused = watch.accept(heads, SECOND).unwrap_err();
        assert_eq!(refused.code, ChainDenyCode::HeadEquivocation);
    }
    let kept = watch.equivocation().unwrap();
    assert_eq!((&kept.first, &kept.second), (&first.finalized.header, &second.finalized.header));
}

#[tokio::test]
async fn watch__should_notice_a_feed_that_is_held_back() {
    let scene = Scene::new();
    // A host that freezes what the node sees: every answer is the first one.
    let frozen = heads_of(&scene.world).await;
    let mut watch = HeadWatch::new(STALL_AFTER, SECOND);
    watch.accept(&frozen, SECOND).unwrap();
    watch.accept(&frozen, SECOND + STALL_AFTER).unwrap();
    let refused = watch.accept(&frozen, SECOND * 2 + STALL_AFTER).unwrap_err();
    assert_eq!(refused.code, ChainDenyCode::FeedStalled);
    scene.world.anvil.mine(1);
    watch.accept(&heads_of(&scene.world).await, SECOND * 3 + STALL_AFTER).unwrap();
}
