//! The proven read on a real chain and the real contracts: it answers as the chain's own `eth_call` does, and a witness of
//! it replays to the same decision without a network.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256};
use alloy::sol_types::{SolCall, SolConstructor};
use anvil_support::{Anvil, CHAIN_ID, events};
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy};
use kms_chain::{
    Anchor, AppBootInfo, DevSource, Freshness, GrantAt, HeadSource, HeadTrust, Question, Reading, Rpc,
    RpcLimits, Transport, Witness, read, replay,
};

const fn word(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

struct World {
    anvil: Anvil,
    rpc: Arc<Rpc>,
    anchor: Anchor,
    kms: Address,
    app: Address,
}

impl World {
    fn new() -> Self {
        let anvil = Anvil::start();
        let owner = anvil.account(0);
        let app_implementation = anvil.deploy(owner, &DstackApp::BYTECODE);
        let implementation = anvil.deploy(owner, &DstackKms::BYTECODE);
        let call = DstackKms::initializeCall { initialOwner: owner, appImplementation_: app_implementation };
        let call = ERC1967Proxy::constructorCall { implementation, _data: call.abi_encode().into() };
        let kms = anvil.deploy(owner, &[&ERC1967Proxy::BYTECODE[..], &call.abi_encode()].concat());
        let deploy = DstackKms::deployAndRegisterApp_1Call {
            initialOwner: owner,
            disableUpgrades: false,
            requireTcbUpToDate: false,
            allowAnyDevice: false,
            initialDeviceId: word(1),
            initialComposeHash: word(1),
        };
        let receipt = anvil.send(owner, kms, &deploy).unwrap();
        let app = events::<DstackKms::AppDeployedViaFactory>(&receipt, kms)[0].appId;
        let rpc = Arc::new(Rpc::new(&anvil.url(), Transport::Secure, RpcLimits::default()).unwrap());
        let anchor =
            Anchor::new(CHAIN_ID, kms, HeadTrust::Dev, GrantAt::Latest, Freshness::default()).unwrap();
        Self { anvil, rpc, anchor, kms, app }
    }

    fn send<C: SolCall>(&self, to: Address, call: &C) {
        self.anvil.send(self.anvil.account(0), to, call).unwrap();
    }

    async fn read(&self, info: &AppBootInfo) -> Reading {
        let heads = DevSource::new(Arc::clone(&self.rpc)).unwrap().heads().await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let question = Question::App(info.clone());
        read(&self.rpc, &self.anchor, &question, heads.latest, None, now).await.unwrap()
    }

    /// The chain's own answer.
    fn eth_call(&self, info: &AppBootInfo) -> (bool, String) {
        let answer =
            self.anvil.call(self.kms, &DstackKms::isAppAllowedCall { bootInfo: info.clone() }).unwrap();
        (answer.isAllowed, answer.reason)
    }
}

fn asker(app: Address, code: u8, device: u8, image: u8, up_to_date: bool) -> AppBootInfo {
    AppBootInfo {
        appId: app,
        composeHash: word(code),
        deviceId: word(device),
        osImageHash: word(image),
        tcbStatus: if up_to_date { "UpToDate" } else { "OutOfDate" }.to_owned(),
        ..AppBootInfo::default()
    }
}

/// A sequence that is the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((self.0 >> 33) % sides).unwrap()
    }

    fn toss(&mut self) -> bool {
        self.roll(2) == 1
    }
}

/// Changes one thing that is allowed, at random.
fn change(world: &World, dice: &mut Dice) {
    let (byte, app) = (dice.roll(3), world.app);
    match dice.roll(8) {
        0 => world.send(app, &DstackApp::addComposeHashCall { composeHash: word(byte) }),
        1 => world.send(app, &DstackApp::removeComposeHashCall { composeHash: word(byte) }),
        2 => world.send(app, &DstackApp::addDeviceCall { deviceId: word(byte) }),
        3 => world.send(app, &DstackApp::removeDeviceCall { deviceId: word(byte) }),
        4 => world.send(app, &DstackApp::setAllowAnyDeviceCall { allowAny: dice.toss() }),
        5 => world.send(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: dice.toss() }),
        6 => world.send(world.kms, &DstackKms::addOsImageHashCall { osImageHash: word(byte) }),
        _ => world.send(world.kms, &DstackKms::removeOsImageHashCall { osImageHash: word(byte) }),
    }
}

#[tokio::test]
async fn proven_read__should_answer_as_the_chain_does_under_hundreds_of_policies() {
    let world = World::new();
    let mut dice = Dice(7);
    let mut allowed = 0;
    for round in 0..300 {
        change(&world, &mut dice);
        let app = if dice.roll(10) == 0 { Address::repeat_byte(9) } else { world.app };
        let info = asker(app, dice.roll(3), dice.roll(3), dice.roll(3), dice.toss());
        let reading = world.read(&info).await;
        let decision = &reading.decision;
        assert_eq!((decision.allowed, decision.reason.clone()), world.eth_call(&info), "round {round}");
        assert!(reading.rounds <= 2, "{} rounds", reading.rounds);
        allowed += u32::from(decision.allowed);
    }
    assert!(allowed > 20, "{allowed} of 300 were allowed: too few to tell anything");
}

#[tokio::test]
async fn witness__should_replay_to_the_same_decision_without_a_network() {
    let world = World::new();
    world.send(world.kms, &DstackKms::addOsImageHashCall { osImageHash: word(1) });
    let reading = world.read(&asker(world.app, 1, 1, 1, true)).await;
    assert!(reading.decision.allowed);
    let bytes = reading.witness.encode();
    let World { anchor, anvil, .. } = world;
    drop(anvil);
    let witness = Witness::decode(&bytes).unwrap();
    assert_eq!(witness.encode(), bytes);
    assert_eq!(replay(&anchor, &witness).unwrap(), reading.decision);
}

#[tokio::test]
async fn revocation__should_bite_at_the_next_block() {
    let world = World::new();
    world.send(world.kms, &DstackKms::addOsImageHashCall { osImageHash: word(1) });
    let info = asker(world.app, 1, 1, 1, true);
    assert!(world.read(&info).await.decision.allowed);
    world.send(world.app, &DstackApp::removeComposeHashCall { composeHash: word(1) });
    let denied = world.read(&info).await.decision;
    assert_eq!((denied.allowed, denied.reason.as_str()), (false, "Compose hash not allowed"));
}
