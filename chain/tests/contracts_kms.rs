//! `DstackKms` on a real chain: every function, event, revert and reason.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy::sol_types::SolCall as _;
use anvil_support::events;
use contracts_support::{
    World, allowed, asker, denied, deploy_kms, emitted, implementation_of, new_app, out_of_date, selector,
    word,
};
use kms_chain::AppBootInfo;
use kms_chain::bindings::{DstackApp, DstackKms};

const TUPLE: &str = "(address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[])";

/// The surface of the deployed contracts, written down independently of the sources.
#[test]
fn interface__should_be_that_of_deployed_contracts() {
    let is_allowed = [format!("isAppAllowed({TUPLE})"), format!("isKmsAllowed({TUPLE})")];
    let functions = "kmsInfo() gatewayAppId() registeredApps(address) kmsAllowedAggregatedMrs(bytes32) \
        kmsAllowedDeviceIds(bytes32) allowedOsImages(bytes32) appImplementation() initialize(address,address) \
        setKmsInfo((bytes,bytes,bytes,bytes)) setKmsQuote(bytes) setKmsEventlog(bytes) setGatewayAppId(string) \
        registerApp(address) setAppImplementation(address) \
        deployAndRegisterApp(address,bool,bool,bool,bytes32,bytes32) \
        deployAndRegisterApp(address,bool,bool,bytes32,bytes32) addKmsAggregatedMr(bytes32) \
        removeKmsAggregatedMr(bytes32) addKmsDevice(bytes32) removeKmsDevice(bytes32) addOsImageHash(bytes32) \
        removeOsImageHash(bytes32) supportsInterface(bytes4) owner() pendingOwner() transferOwnership(address) \
        acceptOwnership() renounceOwnership() upgradeToAndCall(address,bytes) proxiableUUID() \
        UPGRADE_INTERFACE_VERSION()";
    let functions: Vec<&str> =
        functions.split_whitespace().chain(is_allowed.iter().map(String::as_str)).collect();
    for signature in &functions {
        assert!(DstackKms::DstackKmsCalls::SELECTORS.contains(&selector(signature)), "{signature}");
    }
    assert_eq!(DstackKms::DstackKmsCalls::SELECTORS.len(), functions.len());

    let events = "AppRegistered(address) KmsInfoSet(bytes) KmsAggregatedMrAdded(bytes32) \
        KmsAggregatedMrRemoved(bytes32) KmsDeviceAdded(bytes32) KmsDeviceRemoved(bytes32) OsImageHashAdded(bytes32) \
        OsImageHashRemoved(bytes32) GatewayAppIdSet(string) AppImplementationSet(address) \
        AppDeployedViaFactory(address,address) OwnershipTransferStarted(address,address) \
        OwnershipTransferred(address,address) Upgraded(address) Initialized(uint64)";
    for signature in events.split_whitespace() {
        assert!(DstackKms::DstackKmsEvents::SELECTORS.contains(&keccak256(signature).0), "{signature}");
    }
}

#[test]
fn app__should_be_asked_only_when_registered_deployed_and_on_an_allowed_image() {
    let world = World::new();
    let nowhere = Address::repeat_byte(9);
    assert_eq!(world.answer(&asker(nowhere)), denied("App not registered"));
    let receipt =
        world.anvil.send(world.stranger, world.kms, &DstackKms::registerAppCall { appId: nowhere }).unwrap();
    assert_eq!(emitted::<DstackKms::AppRegistered>(&receipt, world.kms).appId, nowhere);
    assert_eq!(world.answer(&asker(nowhere)), denied("OS image is not allowed"));
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.answer(&asker(nowhere)), denied("App not deployed or invalid address"));

    let app = world.deploy_app(&new_app(world.owner));
    assert_eq!(world.answer(&asker(app)), allowed());
    assert_eq!(
        world.answer(&AppBootInfo { composeHash: word(2), ..asker(app) }),
        denied("Compose hash not allowed")
    );
    world.govern(&DstackKms::removeOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.answer(&asker(app)), denied("OS image is not allowed"));
}

#[test]
fn registration__should_be_open_to_all_and_repeatable_but_not_for_zero() {
    let world = World::new();
    let call = DstackKms::registerAppCall { appId: Address::repeat_byte(9) };
    for _ in 0..2 {
        let receipt = world.anvil.send(world.stranger, world.kms, &call).unwrap();
        emitted::<DstackKms::AppRegistered>(&receipt, world.kms);
        assert_eq!(receipt.logs().len(), 1);
    }
    let zero = DstackKms::registerAppCall { appId: Address::ZERO };
    assert_eq!(world.refusal(world.governor, world.kms, &zero), "Invalid app ID");
}

#[test]
fn node__should_be_allowed_only_while_everything_is() {
    let world = World::new();
    let node = || asker(Address::ZERO);
    assert_eq!(world.node_answer(&out_of_date(node())), denied("TCB status is not up to date"));
    assert_eq!(world.node_answer(&node()), denied("OS image is not allowed"));
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.node_answer(&node()), denied("Aggregated MR not allowed"));
    world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(1) });
    assert_eq!(world.node_answer(&node()), denied("KMS is not allowed to boot on this device"));
    world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(1) });
    assert_eq!(world.node_answer(&node()), allowed());
    assert_eq!(world.node_answer(&out_of_date(node())), denied("TCB status is not up to date"));
    world.govern(&DstackKms::removeKmsDeviceCall { deviceId: word(1) });
    assert_eq!(world.node_answer(&node()), denied("KMS is not allowed to boot on this device"));
    world.govern(&DstackKms::removeKmsAggregatedMrCall { mrAggregated: word(1) });
    assert_eq!(world.node_answer(&node()), denied("Aggregated MR not allowed"));
}

/// Twice each: adding what is there, and removing what is not, succeeds and emits its event.
#[test]
fn lists__should_change_with_an_event_each_time() {
    let world = World::new();
    let kms = world.kms;
    for _ in 0..2 {
        let receipt = world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(7) });
        assert_eq!(emitted::<DstackKms::OsImageHashAdded>(&receipt, kms).osImageHash, word(7));
        let receipt = world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(7) });
        assert_eq!(emitted::<DstackKms::KmsAggregatedMrAdded>(&receipt, kms).mrAggregated, word(7));
        let receipt = world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(7) });
        assert_eq!(emitted::<DstackKms::KmsDeviceAdded>(&receipt, kms).deviceId, word(7));
    }
    let image = || world.anvil.call(kms, &DstackKms::allowedOsImagesCall { osImageHash: word(7) }).unwrap();
    let mr =
        || world.anvil.call(kms, &DstackKms::kmsAllowedAggregatedMrsCall { mrAggregated: word(7) }).unwrap();
    let device = || world.anvil.call(kms, &DstackKms::kmsAllowedDeviceIdsCall { deviceId: word(7) }).unwrap();
    assert!(image() && mr() && device());
    for _ in 0..2 {
        let receipt = world.govern(&DstackKms::removeOsImageHashCall { osImageHash: word(7) });
        assert_eq!(emitted::<DstackKms::OsImageHashRemoved>(&receipt, kms).osImageHash, word(7));
        let receipt = world.govern(&DstackKms::removeKmsAggregatedMrCall { mrAggregated: word(7) });
        assert_eq!(emitted::<DstackKms::KmsAggregatedMrRemoved>(&receipt, kms).mrAggregated, word(7));
        let receipt = world.govern(&DstackKms::removeKmsDeviceCall { deviceId: word(7) });
        assert_eq!(emitted::<DstackKms::KmsDeviceRemoved>(&receipt, kms).deviceId, word(7));
    }
    assert!(!image() && !mr() && !device());
}

#[test]
fn info__should_be_kept_with_its_evidence() {
    let world = World::new();
    let info = DstackKms::KmsInfo {
        k256Pubkey: Bytes::from_static(&[2; 33]),
        caPubkey: Bytes::from_static(&[4; 65]),
        quote: Bytes::from(vec![7; 5000]),
        eventlog: Bytes::from_static(b"[]"),
    };
    let receipt = world.govern(&DstackKms::setKmsInfoCall { info: info.clone() });
    assert_eq!(emitted::<DstackKms::KmsInfoSet>(&receipt, world.kms).k256Pubkey, info.k256Pubkey);
    assert_eq!(world.anvil.call(world.kms, &DstackKms::kmsInfoCall {}).unwrap().quote, info.quote);
    world.govern(&DstackKms::setKmsQuoteCall { quote: Bytes::from_static(b"q") });
    world.govern(&DstackKms::setKmsEventlogCall { eventlog: Bytes::from_static(b"e") });
    let kept = world.anvil.call(world.kms, &DstackKms::kmsInfoCall {}).unwrap();
    assert_eq!((kept.k256Pubkey, kept.caPubkey), (info.k256Pubkey, info.caPubkey));
    assert_eq!((&kept.quote[..], &kept.eventlog[..]), (&b"q"[..], &b"e"[..]));

    let receipt = world.govern(&DstackKms::setGatewayAppIdCall { appId: "gateway".into() });
    assert_eq!(emitted::<DstackKms::GatewayAppIdSet>(&receipt, world.kms).gatewayAppId, "gateway");
    assert_eq!(world.anvil.call(world.kms, &DstackKms::gatewayAppIdCall {}).unwrap(), "gateway");
}

#[test]
fn factory__should_deploy_register_and_say_so_in_both_forms() {
    let world = World::new();
    let older = DstackKms::deployAndRegisterApp_0Call {
        initialOwner: world.owner,
        disableUpgrades: true,
        allowAnyDevice: true,
        initialDeviceId: B256::ZERO,
        initialComposeHash: word(1),
    };
    let newer = DstackKms::deployAndRegisterApp_1Call { requireTcbUpToDate: true, ..new_app(world.owner) };
    for (data, requires_tcb) in [(older.abi_encode(), false), (newer.abi_encode(), true)] {
        let transaction = serde_json::json!(
            {"from": world.stranger, "to": world.kms, "data": Bytes::from(data)}
        );
        let receipt = world.anvil.transact(&transaction).unwrap();
        let deployed: DstackKms::AppDeployedViaFactory = emitted(&receipt, world.kms);
        assert_eq!(deployed.deployer, world.stranger);
        let app = deployed.appId;
        assert_eq!(emitted::<DstackKms::AppRegistered>(&receipt, world.kms).appId, app);
        assert!(world.anvil.call(world.kms, &DstackKms::registeredAppsCall { appId: app }).unwrap());
        assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), world.owner);
        assert_eq!(world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).unwrap(), requires_tcb);
        assert_eq!(implementation_of(&world.anvil, app), world.app_implementation);
    }
}

#[test]
fn factory__should_refuse_what_cannot_work() {
    let world = World::new();
    let nobody = new_app(Address::ZERO);
    assert_eq!(world.refusal(world.stranger, world.kms, &nobody), "Invalid owner address");
    let bare = deploy_kms(&world.anvil, world.governor, Address::ZERO).unwrap().contract_address.unwrap();
    let unset = world.refusal(world.stranger, bare, &new_app(world.owner));
    assert_eq!(unset, "DstackApp implementation not set");

    let zero = DstackKms::setAppImplementationCall { implementation: Address::ZERO };
    assert_eq!(world.refusal(world.governor, world.kms, &zero), "Invalid implementation address");
    let implementation = world.app_implementation;
    let set = DstackKms::setAppImplementationCall { implementation };
    let receipt = world.anvil.send(world.governor, bare, &set).unwrap();
    assert_eq!(emitted::<DstackKms::AppImplementationSet>(&receipt, bare).implementation, implementation);
    assert_eq!(world.anvil.call(bare, &DstackKms::appImplementationCall {}).unwrap(), implementation);
    world.anvil.send(world.stranger, bare, &new_app(world.owner)).unwrap();
}

#[test]
fn contract__should_be_initialised_once_by_its_proxy() {
    let world = World::new();
    let receipt = deploy_kms(&world.anvil, world.governor, world.app_implementation).unwrap();
    let kms = receipt.contract_address.unwrap();
    let set: DstackKms::AppImplementationSet = emitted(&receipt, kms);
    assert_eq!(set.implementation, world.app_implementation);
    assert_eq!(emitted::<DstackKms::Initialized>(&receipt, kms).version, 1);
    let receipt = deploy_kms(&world.anvil, world.governor, Address::ZERO).unwrap();
    let bare = receipt.contract_address.unwrap();
    assert!(events::<DstackKms::AppImplementationSet>(&receipt, bare).is_empty());

    let again = DstackKms::initializeCall {
        initialOwner: world.stranger,
        appImplementation_: Address::repeat_byte(3),
    };
    for contract in [kms, bare, implementation_of(&world.anvil, kms)] {
        let refused = world.anvil.send(world.stranger, contract, &again).unwrap_err();
        assert!(refused.custom::<DstackKms::InvalidInitialization>().is_some(), "{refused:?}");
    }
    let nobody = DstackKms::initializeCall { initialOwner: Address::ZERO, appImplementation_: Address::ZERO };
    let implementation = implementation_of(&world.anvil, kms);
    let refused =
        contracts_support::deploy_proxy(&world.anvil, world.governor, implementation, &nobody).unwrap_err();
    assert_eq!(refused.reason().unwrap(), "Invalid owner address");
}

#[test]
fn writes__should_be_refused_to_all_but_the_owner() {
    let world = World::new();
    let empty = Bytes::new;
    let info =
        DstackKms::KmsInfo { k256Pubkey: empty(), caPubkey: empty(), quote: empty(), eventlog: empty() };
    let third = Address::repeat_byte(3);
    let writes = [
        DstackKms::setKmsInfoCall { info }.abi_encode(),
        DstackKms::setKmsQuoteCall { quote: empty() }.abi_encode(),
        DstackKms::setKmsEventlogCall { eventlog: empty() }.abi_encode(),
        DstackKms::setGatewayAppIdCall { appId: String::new() }.abi_encode(),
        DstackKms::setAppImplementationCall { implementation: third }.abi_encode(),
        DstackKms::addKmsAggregatedMrCall { mrAggregated: word(3) }.abi_encode(),
        DstackKms::removeKmsAggregatedMrCall { mrAggregated: word(3) }.abi_encode(),
        DstackKms::addKmsDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackKms::removeKmsDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackKms::addOsImageHashCall { osImageHash: word(3) }.abi_encode(),
        DstackKms::removeOsImageHashCall { osImageHash: word(3) }.abi_encode(),
        DstackKms::transferOwnershipCall { newOwner: third }.abi_encode(),
        DstackKms::acceptOwnershipCall {}.abi_encode(),
        DstackKms::renounceOwnershipCall {}.abi_encode(),
        DstackKms::upgradeToAndCallCall { newImplementation: third, data: empty() }.abi_encode(),
    ];
    for data in writes {
        world.assert_only_owner(world.kms, &data.into());
    }
}

#[test]
fn upgrade__should_be_the_owners_and_keep_what_is_allowed() {
    let (world, app) = World::with_app();
    let newer = world.anvil.deploy(world.stranger, &DstackKms::BYTECODE);
    let upgrade = DstackKms::upgradeToAndCallCall { newImplementation: newer, data: Bytes::new() };
    let receipt = world.govern(&upgrade);
    assert_eq!(emitted::<DstackKms::Upgraded>(&receipt, world.kms).implementation, newer);
    assert_eq!(implementation_of(&world.anvil, world.kms), newer);
    assert_eq!(world.answer(&asker(app)), allowed());

    let no_contract = DstackKms::upgradeToAndCallCall { newImplementation: app, data: Bytes::new() };
    let refused = world.anvil.send(world.governor, world.kms, &no_contract).unwrap_err();
    assert!(refused.custom::<DstackKms::ERC1967InvalidImplementation>().is_some(), "{refused:?}");
}

#[test]
fn interfaces__should_be_named() {
    let world = World::new();
    for (id, has) in
        [(0x1e07_9198_u32, true), (0x01ff_c9a7, true), (0x8fd3_7527, false), (0xffff_ffff, false)]
    {
        let call = DstackKms::supportsInterfaceCall { interfaceId: FixedBytes(id.to_be_bytes()) };
        assert_eq!(world.anvil.call(world.kms, &call).unwrap(), has, "{id:#x}");
    }
}

/// Where deployed contracts have their fields: upgrades in both directions find them.
#[test]
fn fields__should_stand_in_the_slots_of_deployed_contracts() {
    let (world, app) = World::with_app();
    world.govern(&DstackKms::setGatewayAppIdCall { appId: "any".into() });
    world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(2) });
    world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(3) });
    world.govern(&DstackKms::setKmsQuoteCall { quote: Bytes::from_static(b"quote") });
    let slot = |slot: B256| world.anvil.storage(world.kms, slot);
    let entry = |key: B256, field: u64| slot(keccak256([key, B256::from(U256::from(field))].concat()));
    let yes = B256::with_last_byte(1);
    assert_eq!(&slot(B256::with_last_byte(2))[..5], b"quote");
    assert_eq!(&slot(B256::with_last_byte(4))[..3], b"any");
    assert_eq!(entry(app.into_word(), 5), yes);
    assert_eq!(entry(word(2), 6), yes);
    assert_eq!(entry(word(3), 7), yes);
    assert_eq!(entry(word(1), 8), yes);
    assert_eq!(Address::from_word(slot(B256::with_last_byte(9))), world.app_implementation);
}
