//! `DstackApp` on a real chain: every function, event, revert and reason.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy::sol_types::{SolCall as _, SolEvent as _};
use contracts_support::{
    World, allowed, asker, boot_info, denied, deploy_proxy, emitted, implementation_of, new_app, out_of_date,
    selector, word,
};
use kms_chain::AppBootInfo;
use kms_chain::bindings::{DstackApp, DstackKms};

const TUPLE: &str = "(address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[])";

/// The surface of the deployed contracts, written down independently of the sources.
#[test]
fn interface__should_be_that_of_deployed_contracts() {
    let is_allowed = format!("isAppAllowed({TUPLE})");
    let functions = "allowedComposeHashes(bytes32) allowedDeviceIds(bytes32) allowAnyDevice() requireTcbUpToDate() \
        initialize(address,bool,bool,bytes32,bytes32) initialize(address,bool,bool,bool,bytes32,bytes32) \
        addComposeHash(bytes32) removeComposeHash(bytes32) addDevice(bytes32) removeDevice(bytes32) \
        setAllowAnyDevice(bool) setRequireTcbUpToDate(bool) disableUpgrades() supportsInterface(bytes4) \
        owner() pendingOwner() transferOwnership(address) acceptOwnership() renounceOwnership() \
        upgradeToAndCall(address,bytes) proxiableUUID() UPGRADE_INTERFACE_VERSION()";
    let functions: Vec<&str> = functions.split_whitespace().chain([is_allowed.as_str()]).collect();
    for signature in &functions {
        assert!(DstackApp::DstackAppCalls::SELECTORS.contains(&selector(signature)), "{signature}");
    }
    assert_eq!(DstackApp::DstackAppCalls::SELECTORS.len(), functions.len());

    let events = "ComposeHashAdded(bytes32) ComposeHashRemoved(bytes32) DeviceAdded(bytes32) DeviceRemoved(bytes32) \
        AllowAnyDeviceSet(bool) RequireTcbUpToDateSet(bool) UpgradesDisabled() \
        OwnershipTransferStarted(address,address) OwnershipTransferred(address,address) Upgraded(address) \
        Initialized(uint64)";
    for signature in events.split_whitespace() {
        assert!(DstackApp::DstackAppEvents::SELECTORS.contains(&keccak256(signature).0), "{signature}");
    }
}

#[test]
fn code__should_be_allowed_between_add_and_remove() {
    let (world, app) = World::with_app();
    let update = || AppBootInfo { composeHash: word(2), ..asker(app) };
    assert_eq!(world.answer(&update()), denied("Compose hash not allowed"));
    for _ in 0..2 {
        let receipt = world.own(app, &DstackApp::addComposeHashCall { composeHash: word(2) });
        assert_eq!(emitted::<DstackApp::ComposeHashAdded>(&receipt, app).composeHash, word(2));
        assert_eq!(receipt.logs().len(), 1);
        assert_eq!(world.answer(&update()), allowed());
    }
    for _ in 0..2 {
        let receipt = world.own(app, &DstackApp::removeComposeHashCall { composeHash: word(2) });
        assert_eq!(emitted::<DstackApp::ComposeHashRemoved>(&receipt, app).composeHash, word(2));
        assert_eq!(receipt.logs().len(), 1);
        assert_eq!(world.answer(&update()), denied("Compose hash not allowed"));
    }
    assert_eq!(world.answer(&asker(app)), allowed());
}

#[test]
fn device__should_be_allowed_between_add_and_remove_or_when_any_is() {
    let (world, app) = World::with_app();
    let other = || AppBootInfo { deviceId: word(2), ..asker(app) };
    assert_eq!(world.answer(&other()), denied("Device not allowed"));
    for _ in 0..2 {
        let receipt = world.own(app, &DstackApp::addDeviceCall { deviceId: word(2) });
        assert_eq!(emitted::<DstackApp::DeviceAdded>(&receipt, app).deviceId, word(2));
        assert_eq!(world.answer(&other()), allowed());
    }
    for _ in 0..2 {
        let receipt = world.own(app, &DstackApp::removeDeviceCall { deviceId: word(2) });
        assert_eq!(emitted::<DstackApp::DeviceRemoved>(&receipt, app).deviceId, word(2));
        assert_eq!(world.answer(&other()), denied("Device not allowed"));
    }
    for any in [true, false] {
        let receipt = world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: any });
        assert_eq!(emitted::<DstackApp::AllowAnyDeviceSet>(&receipt, app).allowAny, any);
        assert_eq!(world.anvil.call(app, &DstackApp::allowAnyDeviceCall {}).unwrap(), any);
        assert_eq!(world.answer(&other()).0, any);
        assert_eq!(world.answer(&asker(app)), allowed());
    }
}

#[test]
fn platform__should_be_up_to_date_where_the_owner_wants_it() {
    let (world, app) = World::with_app();
    assert_eq!(world.answer(&out_of_date(asker(app))), allowed());
    for required in [true, false] {
        let receipt = world.own(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: required });
        assert_eq!(emitted::<DstackApp::RequireTcbUpToDateSet>(&receipt, app).requireUpToDate, required);
        assert_eq!(world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).unwrap(), required);
        assert_eq!(world.answer(&out_of_date(asker(app))).0, !required);
    }
}

#[test]
fn refusals__should_name_the_platform_then_the_code_then_the_device() {
    let (world, app) = World::with_app();
    world.own(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true });
    let all_wrong = AppBootInfo { composeHash: word(2), deviceId: word(2), ..out_of_date(asker(app)) };
    let up_to_date = AppBootInfo { tcbStatus: "UpToDate".to_owned(), ..all_wrong.clone() };
    let right_code = AppBootInfo { composeHash: word(1), ..up_to_date.clone() };
    for (info, reason) in [
        (all_wrong, "TCB status is not up to date"),
        (up_to_date, "Compose hash not allowed"),
        (right_code, "Device not allowed"),
    ] {
        let call = DstackApp::isAppAllowedCall { bootInfo: boot_info(&info) };
        let answer = world.anvil.call(app, &call).unwrap();
        assert_eq!((answer.isAllowed, answer.reason), denied(reason));
        assert_eq!(world.answer(&info), denied(reason));
    }
    for status in ["", "uptodate", "UpToDate ", "UpToDate\0", "UpToDateX", "SWHardeningNeeded"] {
        let info = AppBootInfo { tcbStatus: status.to_owned(), ..asker(app) };
        assert_eq!(world.answer(&info), denied("TCB status is not up to date"), "{status:?}");
    }
}

/// Zero in the factory's call means none.
#[test]
fn zero__should_not_be_allowed_by_deployment() {
    let world = World::new();
    let nothing = DstackKms::deployAndRegisterApp_1Call {
        initialDeviceId: B256::ZERO,
        initialComposeHash: B256::ZERO,
        ..new_app(world.owner)
    };
    let app = world.deploy_app(&nothing);
    assert!(
        !world.anvil.call(app, &DstackApp::allowedComposeHashesCall { composeHash: B256::ZERO }).unwrap()
    );
    assert!(!world.anvil.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: B256::ZERO }).unwrap());
}

fn newer_form(owner: Address) -> DstackApp::initialize_1Call {
    DstackApp::initialize_1Call {
        initialOwner: owner,
        disableUpgrades_: true,
        requireTcbUpToDate_: true,
        allowAnyDevice_: false,
        initialDeviceId: word(1),
        initialComposeHash: word(1),
    }
}

fn older_form(owner: Address) -> DstackApp::initialize_0Call {
    DstackApp::initialize_0Call {
        initialOwner: owner,
        disableUpgrades_: false,
        allowAnyDevice_: true,
        initialDeviceId: B256::ZERO,
        initialComposeHash: B256::ZERO,
    }
}

/// What is allowed can be told from the log alone.
#[test]
fn initialisation__should_emit_all_that_it_sets() {
    let world = World::new();
    let receipt =
        deploy_proxy(&world.anvil, world.stranger, world.app_implementation, &newer_form(world.owner))
            .unwrap();
    let app = receipt.contract_address.unwrap();
    assert!(emitted::<DstackApp::RequireTcbUpToDateSet>(&receipt, app).requireUpToDate);
    assert!(!emitted::<DstackApp::AllowAnyDeviceSet>(&receipt, app).allowAny);
    assert_eq!(emitted::<DstackApp::DeviceAdded>(&receipt, app).deviceId, word(1));
    assert_eq!(emitted::<DstackApp::ComposeHashAdded>(&receipt, app).composeHash, word(1));
    assert_eq!(emitted::<DstackApp::OwnershipTransferred>(&receipt, app).newOwner, world.owner);
    emitted::<DstackApp::UpgradesDisabled>(&receipt, app);
    assert!(world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).unwrap());

    let receipt =
        deploy_proxy(&world.anvil, world.stranger, world.app_implementation, &older_form(world.owner))
            .unwrap();
    let app = receipt.contract_address.unwrap();
    assert!(emitted::<DstackApp::AllowAnyDeviceSet>(&receipt, app).allowAny);
    assert!(world.anvil.call(app, &DstackApp::allowAnyDeviceCall {}).unwrap());
    for unexpected in [
        DstackApp::DeviceAdded::SIGNATURE_HASH,
        DstackApp::ComposeHashAdded::SIGNATURE_HASH,
        DstackApp::UpgradesDisabled::SIGNATURE_HASH,
        DstackApp::RequireTcbUpToDateSet::SIGNATURE_HASH,
    ] {
        assert!(receipt.logs().iter().all(|log| log.topic0() != Some(&unexpected)));
    }
}

#[test]
fn contract__should_be_initialised_once_by_its_proxy() {
    let (world, app) = World::with_app();
    for contract in [app, world.app_implementation] {
        let newer = world.anvil.send(world.stranger, contract, &newer_form(world.stranger)).unwrap_err();
        let older = world.anvil.send(world.stranger, contract, &older_form(world.stranger)).unwrap_err();
        for refused in [newer, older] {
            assert!(refused.custom::<DstackApp::InvalidInitialization>().is_some(), "{refused:?}");
        }
    }
    let nobody = newer_form(Address::ZERO);
    let refused = deploy_proxy(&world.anvil, world.stranger, world.app_implementation, &nobody).unwrap_err();
    assert_eq!(refused.reason().unwrap(), "Invalid owner address");
}

#[test]
fn writes__should_be_refused_to_all_but_the_owner() {
    let (world, app) = World::with_app();
    let third = Address::repeat_byte(3);
    let writes = [
        DstackApp::addComposeHashCall { composeHash: word(3) }.abi_encode(),
        DstackApp::removeComposeHashCall { composeHash: word(3) }.abi_encode(),
        DstackApp::addDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackApp::removeDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackApp::setAllowAnyDeviceCall { allowAny: true }.abi_encode(),
        DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true }.abi_encode(),
        DstackApp::transferOwnershipCall { newOwner: third }.abi_encode(),
        DstackApp::acceptOwnershipCall {}.abi_encode(),
        DstackApp::renounceOwnershipCall {}.abi_encode(),
        DstackApp::disableUpgradesCall {}.abi_encode(),
        DstackApp::upgradeToAndCallCall { newImplementation: third, data: Bytes::new() }.abi_encode(),
    ];
    for data in writes {
        world.assert_only_owner(app, &data.into());
    }
    // The one who governs nodes is nobody to an application.
    let call = DstackApp::addComposeHashCall { composeHash: word(3) };
    let refused = world.anvil.send(world.governor, app, &call).unwrap_err();
    assert!(refused.custom::<DstackApp::OwnableUnauthorizedAccount>().is_some());
}

#[test]
fn upgrade__should_be_the_owners_until_disabled() {
    let (world, app) = World::with_app();
    let newer = world.anvil.deploy(world.stranger, &DstackApp::BYTECODE);
    let upgrade = DstackApp::upgradeToAndCallCall { newImplementation: newer, data: Bytes::new() };
    let receipt = world.own(app, &upgrade);
    assert_eq!(emitted::<DstackApp::Upgraded>(&receipt, app).implementation, newer);
    assert_eq!(implementation_of(&world.anvil, app), newer);
    assert_eq!(world.answer(&asker(app)), allowed());

    let receipt = world.own(app, &DstackApp::disableUpgradesCall {});
    emitted::<DstackApp::UpgradesDisabled>(&receipt, app);
    assert_eq!(world.refusal(world.owner, app, &upgrade), "Upgrades are permanently disabled");
    // Only the code is fixed, not what it allows.
    world.own(app, &DstackApp::removeComposeHashCall { composeHash: word(1) });
    assert_eq!(world.answer(&asker(app)), denied("Compose hash not allowed"));

    let fixed = DstackKms::deployAndRegisterApp_1Call { disableUpgrades: true, ..new_app(world.owner) };
    let fixed = world.deploy_app(&fixed);
    assert_eq!(world.refusal(world.owner, fixed, &upgrade), "Upgrades are permanently disabled");
}

#[test]
fn upgrade__should_not_brick_the_contract() {
    let (world, app) = World::with_app();
    for wrong in [world.stranger, app] {
        let upgrade = DstackApp::upgradeToAndCallCall { newImplementation: wrong, data: Bytes::new() };
        assert!(world.anvil.send(world.owner, app, &upgrade).is_err());
    }
    // Not on the code behind the proxies, whoever asks.
    let upgrade =
        DstackApp::upgradeToAndCallCall { newImplementation: world.app_implementation, data: Bytes::new() };
    let refused = world.anvil.send(world.owner, world.app_implementation, &upgrade).unwrap_err();
    assert!(refused.custom::<DstackApp::UUPSUnauthorizedCallContext>().is_some());
}

/// A proxy of the first generation: read as it is, then upgraded to this code, keeping what it allows.
#[test]
fn older_app__should_be_readable_and_upgradable() {
    let world = World::new();
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    let app = world.deploy_older_app();
    assert_eq!(world.answer(&asker(app)), allowed());
    assert_eq!(world.answer(&out_of_date(asker(app))), allowed());
    assert!(world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).is_err());

    let tighten = DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true }.abi_encode();
    let upgrade =
        DstackApp::upgradeToAndCallCall { newImplementation: world.app_implementation, data: tighten.into() };
    world.own(app, &upgrade);
    assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), world.owner);
    assert_eq!(world.answer(&asker(app)), allowed());
    let other = AppBootInfo { deviceId: word(2), ..asker(app) };
    assert_eq!(world.answer(&other), denied("Device not allowed"));
    assert_eq!(world.answer(&out_of_date(asker(app))), denied("TCB status is not up to date"));
}

#[test]
fn interfaces__should_be_named() {
    let (world, app) = World::with_app();
    for (id, has) in [(0x1e07_9198_u32, true), (0x01ff_c9a7, true), (0xffff_ffff, false)] {
        let call = DstackApp::supportsInterfaceCall { interfaceId: FixedBytes(id.to_be_bytes()) };
        assert_eq!(world.anvil.call(app, &call).unwrap(), has, "{id:#x}");
    }
}

/// Where deployed contracts have their fields: upgrades in both directions find them.
#[test]
fn fields__should_stand_in_the_slots_of_deployed_contracts() {
    let (world, app) = World::with_app();
    world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: true });
    world.own(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true });
    world.own(app, &DstackApp::addDeviceCall { deviceId: word(2) });
    let slot = |slot: B256| U256::from_be_bytes(world.anvil.storage(app, slot).0);
    let entry = |key: B256, field: u8| slot(keccak256([key, B256::with_last_byte(field)].concat()));
    let one = U256::from(1);
    assert_eq!(entry(word(1), 0), one);
    assert_eq!(slot(B256::with_last_byte(1)), U256::from(0x0100));
    assert_eq!(entry(word(2), 2), one);
    assert_eq!(slot(B256::with_last_byte(3)), one);
    world.own(app, &DstackApp::disableUpgradesCall {});
    assert_eq!(slot(B256::with_last_byte(1)), U256::from(0x0101));
}
