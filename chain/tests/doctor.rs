//! The doctor, and the reader over several providers, on a real chain: what is healthy, what is not, and what is advised.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256};
use alloy::sol_types::{SolCall, SolConstructor};
use anvil_support::{Anvil, CHAIN_ID};
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy};
use kms_chain::doctor::{Check, Finding, Health, Report, examine};
use kms_chain::{
    Anchor, AppBootInfo, ChainDenyCode, ContractReader, DevSource, FeedTiming, Freshness, GrantAt, HeadFeed,
    HeadTrust, Question, Rpc, RpcLimits, Transport,
};

fn deploy_kms(anvil: &Anvil) -> Address {
    let owner = anvil.account(0);
    let app = anvil.deploy(owner, &DstackApp::BYTECODE);
    let implementation = anvil.deploy(owner, &DstackKms::BYTECODE);
    let call = DstackKms::initializeCall { initialOwner: owner, appImplementation_: app };
    let call = ERC1967Proxy::constructorCall { implementation, _data: call.abi_encode().into() };
    anvil.deploy(owner, &[&ERC1967Proxy::BYTECODE[..], &call.abi_encode()].concat())
}

fn rpc(url: &str) -> Arc<Rpc> {
    let limits = RpcLimits { request: Duration::from_secs(5), ..RpcLimits::default() };
    Arc::new(Rpc::new(url, Transport::Secure, limits).unwrap())
}

fn anchor(contract: Address, trust: HeadTrust, grant_at: GrantAt) -> Anchor {
    Anchor::new(CHAIN_ID, contract, trust, grant_at, Freshness::default()).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn finding(report: &Report, check: Check) -> &Finding {
    let alone = report.providers.iter().flat_map(|provider| &provider.findings);
    alone.chain(&report.together).find(|finding| finding.check == check).unwrap()
}

#[tokio::test]
async fn doctor__should_find_a_development_chain_healthy() {
    let anvil = Anvil::start();
    let kms = deploy_kms(&anvil);
    let anchor = anchor(kms, HeadTrust::Dev, GrantAt::LatestAndFinalized);
    let report = examine(&[rpc(&anvil.url())], &anchor, now()).await;
    assert_eq!(report.health(), Health::Good, "{report:#?}");
    assert_eq!(report.providers[0].findings.len(), 6);
    assert!(finding(&report, Check::ProvenRead).found.starts_with("2 rounds"), "{report:#?}");
}

#[tokio::test]
async fn doctor__should_say_what_is_wrong_with_a_provider_and_what_to_change() {
    let anvil = Anvil::start();
    let kms = deploy_kms(&anvil);
    let latest = |contract| anchor(contract, HeadTrust::Dev, GrantAt::Latest);
    let url = anvil.url();
    let dead = rpc("http://127.0.0.1:1");
    for (provider, anchor, clock, check, text) in [
        (dead, latest(kms), now(), Check::Chain, "rpc-unreachable"),
        (rpc(&url), latest(kms), now() + 500, Check::Clock, "head-stale"),
        (rpc(&url), latest(kms), now() - 500, Check::Clock, "head-from-future"),
        (rpc(&url), latest(kms), now() + 5000, Check::Finality, "finalized-stale"),
        (rpc(&url), latest(Address::repeat_byte(9)), now(), Check::ProvenRead, "contract-missing"),
    ] {
        let report = examine(&[provider], &anchor, clock).await;
        let finding = finding(&report, check);
        assert_eq!(report.health(), Health::Unfit);
        assert!(finding.health == Health::Unfit && finding.found.contains(text), "{report:#?}");
        assert!(finding.advice.as_ref().unwrap().ends_with('.'), "{finding:?}");
    }
}

#[tokio::test]
async fn doctor__should_measure_the_proof_window() {
    // This chain keeps the states of its last few blocks only.
    let anvil = Anvil::start_with(&["--slots-in-an-epoch", "32", "--prune-history", "10"]);
    let kms = deploy_kms(&anvil);
    anvil.mine(200);
    for (grant_at, health) in
        [(GrantAt::Latest, Health::Costly), (GrantAt::LatestAndFinalized, Health::Unfit)]
    {
        let report = examine(&[rpc(&anvil.url())], &anchor(kms, HeadTrust::Dev, grant_at), now()).await;
        let window = finding(&report, Check::ProofWindow);
        assert_eq!(window.health, health, "{report:#?}");
    }
}

#[tokio::test]
async fn doctor__should_examine_a_quorum_together() {
    let everywhere = ["--slots-in-an-epoch", "1", "--host", "0.0.0.0"];
    let (anvil, other) = (Anvil::start_with(&everywhere), Anvil::start_with(&everywhere));
    let kms = deploy_kms(&anvil);
    anvil.mine(5);
    other.mine(15);
    let at = |anvil: &Anvil, host: u8| rpc(&format!("http://127.0.0.{host}:{}", anvil.port()));
    let hosts = ["127.0.0.1", "127.0.0.2"].map(str::to_owned).into();
    let anchor = anchor(kms, HeadTrust::Quorum { hosts, threshold: 2 }, GrantAt::Latest);
    let alike = examine(&[at(&anvil, 1), at(&anvil, 2)], &anchor, now()).await;
    assert_eq!(alike.health(), Health::Good, "{alike:#?}");
    for (providers, code) in [
        (vec![at(&anvil, 1), at(&anvil, 1)], "head-unauthenticated"),
        (vec![at(&anvil, 1), at(&other, 2)], "head-equivocation"),
    ] {
        let unlike = examine(&providers, &anchor, now()).await;
        let finding = finding(&unlike, Check::Quorum);
        assert!(finding.health == Health::Unfit && finding.found.contains(code), "{finding:?}");
    }
}

#[tokio::test]
async fn reader__should_ask_another_provider_when_one_fails_and_keep_to_it() {
    let anvil = Anvil::start();
    let kms = deploy_kms(&anvil);
    let (dead, alive) = (rpc("http://127.0.0.1:1"), rpc(&anvil.url()));
    let timing = FeedTiming { poll_every: Duration::from_millis(50), ..FeedTiming::default() };
    let feed = HeadFeed::spawn(DevSource::new(Arc::clone(&alive)).unwrap(), timing);
    let anchor = anchor(kms, HeadTrust::Dev, GrantAt::LatestAndFinalized);
    let reader = ContractReader::new(anchor, feed, vec![dead, alive]).unwrap();
    let question = Question::App(AppBootInfo { appId: kms, ..AppBootInfo::default() });
    assert_eq!(reader.ask(&question, now()).await.unwrap_err().code, ChainDenyCode::HeadMissing);
    reader.feed().refreshed().await.unwrap();
    for rounds in [2, 0] {
        let reading = reader.ask(&question, now()).await.unwrap();
        assert_eq!(reading.decision().reason, "App not registered");
        assert_eq!(reading.rounds(), rounds);
    }
    let stale = reader.ask(&question, now() + 1000).await.unwrap_err();
    assert_eq!(stale.code, ChainDenyCode::HeadStale);
}

#[tokio::test]
async fn reader__should_see_a_revocation_within_one_block() {
    let anvil = Anvil::start();
    let kms = deploy_kms(&anvil);
    let owner = anvil.account(0);
    let deploy = DstackKms::deployAndRegisterApp_1Call {
        initialOwner: owner,
        disableUpgrades: false,
        requireTcbUpToDate: false,
        allowAnyDevice: true,
        initialDeviceId: B256::ZERO,
        initialComposeHash: B256::repeat_byte(1),
    };
    let receipt = anvil.send(owner, kms, &deploy).unwrap();
    let app = anvil_support::events::<DstackKms::AppDeployedViaFactory>(&receipt, kms)[0].appId;
    let image = B256::repeat_byte(3);
    anvil.send(owner, kms, &DstackKms::addOsImageHashCall { osImageHash: image }).unwrap();
    let provider = rpc(&anvil.url());
    let timing = FeedTiming { poll_every: Duration::from_millis(20), ..FeedTiming::default() };
    let feed = HeadFeed::spawn(DevSource::new(Arc::clone(&provider)).unwrap(), timing);
    let reader =
        ContractReader::new(anchor(kms, HeadTrust::Dev, GrantAt::Latest), feed, vec![provider]).unwrap();
    let composeHash = B256::repeat_byte(1);
    let info = AppBootInfo { appId: app, composeHash, osImageHash: image, ..AppBootInfo::default() };
    let ask = async || {
        reader.feed().refreshed().await.unwrap();
        reader.feed().refreshed().await.unwrap();
        reader.ask(&Question::App(info.clone()), now()).await.unwrap().into_parts().0
    };
    assert!(ask().await.allowed);
    let before = anvil.block_number();
    anvil.send(owner, app, &DstackApp::removeComposeHashCall { composeHash }).unwrap();
    let denied = ask().await;
    assert_eq!((denied.allowed, denied.latest.number), (false, before + 1));
    assert_eq!(denied.reason, "Compose hash not allowed");
    anvil.send(owner, app, &DstackApp::addComposeHashCall { composeHash }).unwrap();
    assert!(ask().await.allowed);
}
