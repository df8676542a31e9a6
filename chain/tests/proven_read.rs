//! The proven read on a real chain and the real contracts: under hundreds of policies it answers as the chain's own
//! `eth_call` does, for applications and for nodes.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod reading_support;

use alloy::primitives::Address;
use contracts_support::{World, word};
use kms_chain::bindings::{DstackApp, DstackKms};
use kms_chain::{AppBootInfo, GrantAt, Question};
use reading_support::{ask, dev_anchor};

const ROUNDS: u32 = 300;

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

/// Changes one thing that the application's owner or the governor allows, at random.
fn change(world: &World, app: Address, dice: &mut Dice) {
    let value = word(dice.roll(3));
    drop(match dice.roll(12) {
        0 => world.own(app, &DstackApp::addComposeHashCall { composeHash: value }),
        1 => world.own(app, &DstackApp::removeComposeHashCall { composeHash: value }),
        2 => world.own(app, &DstackApp::addDeviceCall { deviceId: value }),
        3 => world.own(app, &DstackApp::removeDeviceCall { deviceId: value }),
        4 => world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: dice.toss() }),
        5 => world.own(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: dice.toss() }),
        6 => world.govern(&DstackKms::removeOsImageHashCall { osImageHash: value }),
        7 => world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: value }),
        8 => world.govern(&DstackKms::removeKmsAggregatedMrCall { mrAggregated: value }),
        9 => world.govern(&DstackKms::addKmsDeviceCall { deviceId: value }),
        10 => world.govern(&DstackKms::removeKmsDeviceCall { deviceId: value }),
        _ => world.govern(&DstackKms::addOsImageHashCall { osImageHash: value }),
    });
}

fn any_boot(app: Address, dice: &mut Dice) -> AppBootInfo {
    AppBootInfo {
        appId: if dice.roll(10) == 0 { Address::repeat_byte(9) } else { app },
        composeHash: word(dice.roll(3)),
        deviceId: word(dice.roll(3)),
        mrAggregated: word(dice.roll(3)),
        osImageHash: word(dice.roll(3)),
        tcbStatus: if dice.roll(4) == 0 { "OutOfDate" } else { "UpToDate" }.to_owned(),
        ..AppBootInfo::default()
    }
}

#[tokio::test]
async fn proven_read__should_answer_as_the_chain_does_under_hundreds_of_policies() {
    let (world, app) = World::with_app();
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    let mut dice = Dice(7);
    let mut allowed = [0, 0];
    for round in 0..ROUNDS {
        change(&world, app, &mut dice);
        let info = any_boot(app, &mut dice);
        let questions = [
            (Question::App(info.clone()), world.answer(&info)),
            (Question::Kms(info.clone()), world.node_answer(&info)),
        ];
        for ((question, answer), count) in questions.into_iter().zip(&mut allowed) {
            let reading = ask(&world.anvil.url(), &anchor, &question).await.unwrap();
            let (rounds, (decision, _)) = (reading.rounds(), reading.into_parts());
            assert_eq!((decision.allowed, decision.reason), answer, "round {round}: {question:?}");
            assert!(rounds <= 2, "{rounds} rounds");
            *count += u32::from(decision.allowed);
        }
    }
    assert!(allowed.iter().all(|count| *count > 15), "{allowed:?} of {ROUNDS} were allowed: too few to tell");
}
