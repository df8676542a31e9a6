//! Who governs: ownership in two steps, an owner that is a timelock, and how fast a change bites.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolConstructor as _};
use anvil_support::RpcError;
use contracts_support::{World, allowed, asker, boot_info, denied, emitted, new_app, word};
use kms_chain::AppBootInfo;
use kms_chain::bindings::{DstackApp, DstackKms, TimelockController};
use serde_json::json;

const TWO_DAYS: u64 = 48 * 3600;

/// The contract's answer in the state after one block.
fn answer_at(world: &World, block: B256, info: &AppBootInfo) -> (bool, String) {
    let call = DstackKms::isAppAllowedCall { bootInfo: boot_info(info) };
    let answer = world.anvil.call_at(&json!({"blockHash": block}), world.kms, &call).unwrap();
    (answer.isAllowed, answer.reason)
}

fn block(receipt: &TransactionReceipt) -> B256 {
    receipt.block_hash.unwrap()
}

#[test]
fn change__should_bite_in_its_own_block() {
    let (world, app) = World::with_app();
    let update = || AppBootInfo { composeHash: word(2), ..asker(app) };
    let before = world.own(app, &DstackApp::addDeviceCall { deviceId: word(5) });
    let added = world.own(app, &DstackApp::addComposeHashCall { composeHash: word(2) });
    let removed = world.own(app, &DstackApp::removeComposeHashCall { composeHash: word(2) });
    assert_eq!(removed.block_number.unwrap(), added.block_number.unwrap() + 1);
    assert_eq!(answer_at(&world, block(&before), &update()), denied("Compose hash not allowed"));
    assert_eq!(answer_at(&world, block(&added), &update()), allowed());
    assert_eq!(answer_at(&world, block(&removed), &update()), denied("Compose hash not allowed"));

    let other = || AppBootInfo { deviceId: word(2), ..asker(app) };
    let any = world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: true });
    let listed = world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: false });
    assert_eq!(answer_at(&world, block(&removed), &other()), denied("Device not allowed"));
    assert_eq!(answer_at(&world, block(&any), &other()), allowed());
    assert_eq!(answer_at(&world, block(&listed), &other()), denied("Device not allowed"));

    let image = world.govern(&DstackKms::removeOsImageHashCall { osImageHash: word(1) });
    assert_eq!(answer_at(&world, block(&listed), &asker(app)), allowed());
    assert_eq!(answer_at(&world, block(&image), &asker(app)), denied("OS image is not allowed"));
}

#[test]
fn owner__should_touch_no_other_app() {
    let (world, app) = World::with_app();
    let other = world.deploy_app(&new_app(world.stranger));
    let call = DstackApp::addComposeHashCall { composeHash: word(2) };
    let refused = world.anvil.send(world.owner, other, &call).unwrap_err();
    assert_eq!(refused.custom::<DstackApp::OwnableUnauthorizedAccount>().unwrap().account, world.owner);
    world.own(app, &call);
    let update = AppBootInfo { composeHash: word(2), ..asker(other) };
    assert_eq!(world.answer(&update), denied("Compose hash not allowed"));
}

/// Both contracts alike: the calls have the same selectors.
#[test]
fn ownership__should_change_hands_in_two_steps() {
    let (world, app) = World::with_app();
    for (contract, old) in [(app, world.owner), (world.kms, world.governor)] {
        let new = world.stranger;
        let owner = || world.anvil.call(contract, &DstackApp::ownerCall {}).unwrap();
        let pending = || world.anvil.call(contract, &DstackApp::pendingOwnerCall {}).unwrap();
        let offer = DstackApp::transferOwnershipCall { newOwner: new };
        let receipt = world.anvil.send(old, contract, &offer).unwrap();
        let started: DstackApp::OwnershipTransferStarted = emitted(&receipt, contract);
        assert_eq!((started.previousOwner, started.newOwner), (old, new));
        assert_eq!((owner(), pending()), (old, new));

        // The old owner still owns, cannot accept for the new one, and may take the offer back.
        let accept = DstackApp::acceptOwnershipCall {};
        let refused = world.anvil.send(old, contract, &accept).unwrap_err();
        assert!(refused.custom::<DstackApp::OwnableUnauthorizedAccount>().is_some());
        let withdraw = DstackApp::transferOwnershipCall { newOwner: Address::ZERO };
        world.anvil.send(old, contract, &withdraw).unwrap();
        assert!(world.anvil.send(new, contract, &accept).is_err());

        world.anvil.send(old, contract, &offer).unwrap();
        let receipt = world.anvil.send(new, contract, &accept).unwrap();
        let transferred: DstackApp::OwnershipTransferred = emitted(&receipt, contract);
        assert_eq!((transferred.previousOwner, transferred.newOwner), (old, new));
        assert_eq!((owner(), pending()), (new, Address::ZERO));
        assert!(world.anvil.send(old, contract, &offer).is_err());
    }
}

#[test]
fn renounced_contract__should_never_change_again() {
    let (world, app) = World::with_app();
    world.own(app, &DstackApp::transferOwnershipCall { newOwner: world.stranger });
    world.own(app, &DstackApp::renounceOwnershipCall {});
    assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), Address::ZERO);
    assert!(world.anvil.send(world.stranger, app, &DstackApp::acceptOwnershipCall {}).is_err());
    let call = DstackApp::removeComposeHashCall { composeHash: word(1) };
    assert!(world.anvil.send(world.owner, app, &call).is_err());
    assert_eq!(world.answer(&asker(app)), allowed());
}

/// An OpenZeppelin timelock to which one account may propose, and from which anyone may execute.
struct Timelock<'a> {
    world: &'a World,
    address: Address,
    proposer: Address,
}

impl<'a> Timelock<'a> {
    fn deploy(world: &'a World, proposer: Address) -> Self {
        let arguments = TimelockController::constructorCall {
            minDelay: U256::from(TWO_DAYS),
            proposers: vec![proposer],
            executors: vec![Address::ZERO],
            admin: Address::ZERO,
        };
        let init_code = [&TimelockController::BYTECODE[..], &arguments.abi_encode()].concat();
        Self { world, address: world.anvil.deploy(world.stranger, &init_code), proposer }
    }

    fn schedule<C: SolCall>(
        &self,
        from: Address,
        target: Address,
        call: &C,
    ) -> Result<TransactionReceipt, RpcError> {
        let schedule = TimelockController::scheduleCall {
            target,
            value: U256::ZERO,
            data: call.abi_encode().into(),
            predecessor: B256::ZERO,
            salt: B256::ZERO,
            delay: U256::from(TWO_DAYS),
        };
        self.world.anvil.send(from, self.address, &schedule)
    }

    fn execute<C: SolCall>(&self, target: Address, call: &C) -> Result<TransactionReceipt, RpcError> {
        let execute = TimelockController::executeCall {
            target,
            value: U256::ZERO,
            payload: call.abi_encode().into(),
            predecessor: B256::ZERO,
            salt: B256::ZERO,
        };
        self.world.anvil.send(self.world.stranger, self.address, &execute)
    }

    fn schedule_wait_execute<C: SolCall>(&self, target: Address, call: &C) -> TransactionReceipt {
        self.schedule(self.proposer, target, call).unwrap();
        self.world.anvil.increase_time(TWO_DAYS);
        self.execute(target, call).unwrap()
    }
}

#[test]
fn timelock__should_own_an_app_schedule_wait_and_allow() {
    let (world, app) = World::with_app();
    let timelock = Timelock::deploy(&world, world.owner);
    world.own(app, &DstackApp::transferOwnershipCall { newOwner: timelock.address });
    timelock.schedule_wait_execute(app, &DstackApp::acceptOwnershipCall {});
    assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), timelock.address);

    let update = || AppBootInfo { composeHash: word(2), ..asker(app) };
    let add = DstackApp::addComposeHashCall { composeHash: word(2) };
    assert!(world.anvil.send(world.owner, app, &add).is_err(), "the proposer owns nothing any more");
    assert!(timelock.schedule(world.stranger, app, &add).is_err(), "a stranger cannot propose");
    timelock.schedule(world.owner, app, &add).unwrap();
    world.anvil.increase_time(TWO_DAYS - 60);
    let early = timelock.execute(app, &add).unwrap_err();
    assert!(early.custom::<TimelockController::TimelockUnexpectedOperationState>().is_some(), "{early:?}");
    assert_eq!(world.answer(&update()), denied("Compose hash not allowed"));

    world.anvil.increase_time(60);
    let receipt = timelock.execute(app, &add).unwrap();
    assert_eq!(emitted::<DstackApp::ComposeHashAdded>(&receipt, app).composeHash, word(2));
    assert_eq!(world.answer(&update()), allowed());
    timelock.schedule_wait_execute(app, &DstackApp::removeComposeHashCall { composeHash: word(2) });
    assert_eq!(world.answer(&update()), denied("Compose hash not allowed"));
}

#[test]
fn timelock__should_govern_nodes() {
    let world = World::new();
    let timelock = Timelock::deploy(&world, world.governor);
    world.govern(&DstackKms::transferOwnershipCall { newOwner: timelock.address });
    timelock.schedule_wait_execute(world.kms, &DstackKms::acceptOwnershipCall {});
    let add = DstackKms::addOsImageHashCall { osImageHash: word(1) };
    assert!(world.anvil.send(world.governor, world.kms, &add).is_err());
    timelock.schedule_wait_execute(world.kms, &add);
    let call = DstackKms::allowedOsImagesCall { osImageHash: word(1) };
    assert!(world.anvil.call(world.kms, &call).unwrap());

    let newer = world.anvil.deploy(world.stranger, &DstackKms::BYTECODE);
    let upgrade = DstackKms::upgradeToAndCallCall { newImplementation: newer, data: Bytes::new() };
    timelock.schedule_wait_execute(world.kms, &upgrade);
    assert_eq!(contracts_support::implementation_of(&world.anvil, world.kms), newer);
}
