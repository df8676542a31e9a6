//! The contracts on a real chain: every function, event, revert, reason and access rule.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used
)]

mod anvil_support;

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolConstructor, SolEvent};
use anvil_support::{Anvil, RpcError, events};
use kms_chain::AppBootInfo;
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy, TimelockController};
use serde_json::json;

const fn word(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

/// What a deployment's users have: a chain, both contracts behind proxies, and who governs them.
struct World {
    anvil: Anvil,
    governor: Address,
    owner: Address,
    stranger: Address,
    kms: Address,
    app_implementation: Address,
}

impl World {
    fn new() -> Self {
        let anvil = Anvil::start();
        let [governor, owner, stranger] = [0, 1, 2].map(|index| anvil.account(index));
        let app_implementation = anvil.deploy(governor, &DstackApp::BYTECODE);
        let implementation = anvil.deploy(governor, &DstackKms::BYTECODE);
        let initialize =
            DstackKms::initializeCall { initialOwner: governor, appImplementation_: app_implementation };
        let kms = deploy_proxy(&anvil, governor, implementation, initialize.abi_encode()).unwrap();
        Self { anvil, governor, owner, stranger, kms, app_implementation }
    }

    /// An application that allows compose hash 1 on device 1.
    fn deploy_app(&self) -> Address {
        let call = DstackKms::deployAndRegisterApp_1Call {
            initialOwner: self.owner,
            disableUpgrades: false,
            requireTcbUpToDate: false,
            allowAnyDevice: false,
            initialDeviceId: word(1),
            initialComposeHash: word(1),
        };
        self.deploy_app_by(&call)
    }

    fn deploy_app_by<C: SolCall>(&self, call: &C) -> Address {
        let receipt = self.anvil.send(self.stranger, self.kms, call).unwrap();
        let deployed: Vec<DstackKms::AppDeployedViaFactory> = events(&receipt, self.kms);
        assert_eq!(deployed[0].deployer, self.stranger);
        let registered: Vec<DstackKms::AppRegistered> = events(&receipt, self.kms);
        assert_eq!(registered[0].appId, deployed[0].appId);
        deployed[0].appId
    }

    fn govern<C: SolCall>(&self, call: &C) -> TransactionReceipt {
        self.anvil.send(self.governor, self.kms, call).unwrap()
    }

    fn own<C: SolCall>(&self, app: Address, call: &C) -> TransactionReceipt {
        self.anvil.send(self.owner, app, call).unwrap()
    }

    /// The shared contract's answer for an application.
    fn answer(&self, info: AppBootInfo) -> (bool, String) {
        let answer = self.anvil.call(self.kms, &DstackKms::isAppAllowedCall { bootInfo: info }).unwrap();
        (answer.isAllowed, answer.reason)
    }

    fn kms_answer(&self, info: AppBootInfo) -> (bool, String) {
        let answer = self.anvil.call(self.kms, &DstackKms::isKmsAllowedCall { bootInfo: info }).unwrap();
        (answer.isAllowed, answer.reason)
    }
}

fn deploy_proxy(
    anvil: &Anvil,
    from: Address,
    implementation: Address,
    call: Vec<u8>,
) -> Result<Address, RpcError> {
    let arguments = ERC1967Proxy::constructorCall { implementation, _data: call.into() }.abi_encode();
    let receipt = anvil.try_deploy(from, &[&ERC1967Proxy::BYTECODE[..], &arguments].concat())?;
    Ok(receipt.contract_address.unwrap())
}

/// Who asks: compose hash 1 on device 1, image 1.
fn asker(app: Address) -> AppBootInfo {
    AppBootInfo {
        appId: app,
        composeHash: word(1),
        instanceId: Address::ZERO,
        deviceId: word(1),
        mrAggregated: word(1),
        mrSystem: word(1),
        osImageHash: word(1),
        tcbStatus: "UpToDate".to_owned(),
        advisoryIds: vec![],
    }
}

fn denied(reason: &str) -> (bool, String) {
    (false, reason.to_owned())
}

fn allowed() -> (bool, String) {
    (true, String::new())
}

/// The one event of that type, from that contract.
fn emitted<E: SolEvent>(receipt: &TransactionReceipt, from: Address) -> E {
    let mut all = events::<E>(receipt, from);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn app__should_be_allowed_only_while_everything_is() {
    let world = World::new();
    let app = world.deploy_app();
    assert_eq!(world.answer(asker(Address::repeat_byte(9))), denied("App not registered"));
    assert_eq!(world.answer(asker(app)), denied("OS image is not allowed"));
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.answer(asker(app)), allowed());

    let other_code = AppBootInfo { composeHash: word(2), ..asker(app) };
    assert_eq!(world.answer(other_code.clone()), denied("Compose hash not allowed"));
    world.own(app, &DstackApp::addComposeHashCall { composeHash: word(2) });
    assert_eq!(world.answer(other_code.clone()), allowed());
    // A revocation bites within one block.
    let before = world.anvil.block_number();
    world.own(app, &DstackApp::removeComposeHashCall { composeHash: word(2) });
    assert_eq!(world.anvil.block_number(), before + 1);
    assert_eq!(world.answer(other_code), denied("Compose hash not allowed"));

    let other_device = AppBootInfo { deviceId: word(2), ..asker(app) };
    assert_eq!(world.answer(other_device.clone()), denied("Device not allowed"));
    world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: true });
    assert_eq!(world.answer(other_device.clone()), allowed());
    world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: false });
    assert_eq!(world.answer(other_device.clone()), denied("Device not allowed"));
    world.own(app, &DstackApp::addDeviceCall { deviceId: word(2) });
    assert_eq!(world.answer(other_device.clone()), allowed());
    world.own(app, &DstackApp::removeDeviceCall { deviceId: word(2) });
    assert_eq!(world.answer(other_device), denied("Device not allowed"));

    let out_of_date = AppBootInfo { tcbStatus: "OutOfDate".to_owned(), ..asker(app) };
    assert_eq!(world.answer(out_of_date.clone()), allowed());
    world.own(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true });
    assert_eq!(world.answer(out_of_date), denied("TCB status is not up to date"));

    world.govern(&DstackKms::removeOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.answer(asker(app)), denied("OS image is not allowed"));
}

#[test]
fn app__should_be_denied_where_there_is_no_contract() {
    let world = World::new();
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    let nowhere = Address::repeat_byte(9);
    let receipt =
        world.anvil.send(world.stranger, world.kms, &DstackKms::registerAppCall { appId: nowhere }).unwrap();
    assert_eq!(emitted::<DstackKms::AppRegistered>(&receipt, world.kms).appId, nowhere);
    assert_eq!(world.answer(asker(nowhere)), denied("App not deployed or invalid address"));
    let zero = world
        .anvil
        .send(world.stranger, world.kms, &DstackKms::registerAppCall { appId: Address::ZERO })
        .unwrap_err();
    assert_eq!(zero.reason().unwrap(), "Invalid app ID");
}

#[test]
fn node__should_be_allowed_only_while_everything_is() {
    let world = World::new();
    let node = asker(Address::ZERO);
    let out_of_date = AppBootInfo { tcbStatus: "OutOfDate".to_owned(), ..node.clone() };
    assert_eq!(world.kms_answer(out_of_date), denied("TCB status is not up to date"));
    assert_eq!(world.kms_answer(node.clone()), denied("OS image is not allowed"));
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.kms_answer(node.clone()), denied("Aggregated MR not allowed"));
    world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(1) });
    assert_eq!(world.kms_answer(node.clone()), denied("KMS is not allowed to boot on this device"));
    world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(1) });
    assert_eq!(world.kms_answer(node.clone()), allowed());
    world.govern(&DstackKms::removeKmsDeviceCall { deviceId: word(1) });
    assert_eq!(world.kms_answer(node.clone()), denied("KMS is not allowed to boot on this device"));
    world.govern(&DstackKms::removeKmsAggregatedMrCall { mrAggregated: word(1) });
    assert_eq!(world.kms_answer(node), denied("Aggregated MR not allowed"));
}

#[test]
fn writes__should_emit_their_events_and_show_in_the_getters() {
    let world = World::new();
    let (app, kms) = (world.deploy_app(), world.kms);
    let receipt = world.own(app, &DstackApp::addComposeHashCall { composeHash: word(7) });
    assert_eq!(emitted::<DstackApp::ComposeHashAdded>(&receipt, app).composeHash, word(7));
    assert!(world.anvil.call(app, &DstackApp::allowedComposeHashesCall { composeHash: word(7) }).unwrap());
    let receipt = world.own(app, &DstackApp::removeComposeHashCall { composeHash: word(7) });
    assert_eq!(emitted::<DstackApp::ComposeHashRemoved>(&receipt, app).composeHash, word(7));
    assert!(!world.anvil.call(app, &DstackApp::allowedComposeHashesCall { composeHash: word(7) }).unwrap());
    let receipt = world.own(app, &DstackApp::addDeviceCall { deviceId: word(7) });
    assert_eq!(emitted::<DstackApp::DeviceAdded>(&receipt, app).deviceId, word(7));
    assert!(world.anvil.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: word(7) }).unwrap());
    let receipt = world.own(app, &DstackApp::removeDeviceCall { deviceId: word(7) });
    assert_eq!(emitted::<DstackApp::DeviceRemoved>(&receipt, app).deviceId, word(7));
    let receipt = world.own(app, &DstackApp::setAllowAnyDeviceCall { allowAny: true });
    assert!(emitted::<DstackApp::AllowAnyDeviceSet>(&receipt, app).allowAny);
    assert!(world.anvil.call(app, &DstackApp::allowAnyDeviceCall {}).unwrap());
    let receipt = world.own(app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true });
    assert!(emitted::<DstackApp::RequireTcbUpToDateSet>(&receipt, app).requireUpToDate);
    assert!(world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).unwrap());

    let receipt = world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(7) });
    assert_eq!(emitted::<DstackKms::OsImageHashAdded>(&receipt, kms).osImageHash, word(7));
    assert!(world.anvil.call(kms, &DstackKms::allowedOsImagesCall { osImageHash: word(7) }).unwrap());
    let receipt = world.govern(&DstackKms::removeOsImageHashCall { osImageHash: word(7) });
    assert_eq!(emitted::<DstackKms::OsImageHashRemoved>(&receipt, kms).osImageHash, word(7));
    let receipt = world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(7) });
    assert_eq!(emitted::<DstackKms::KmsAggregatedMrAdded>(&receipt, kms).mrAggregated, word(7));
    assert!(
        world.anvil.call(kms, &DstackKms::kmsAllowedAggregatedMrsCall { mrAggregated: word(7) }).unwrap()
    );
    let receipt = world.govern(&DstackKms::removeKmsAggregatedMrCall { mrAggregated: word(7) });
    assert_eq!(emitted::<DstackKms::KmsAggregatedMrRemoved>(&receipt, kms).mrAggregated, word(7));
    let receipt = world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(7) });
    assert_eq!(emitted::<DstackKms::KmsDeviceAdded>(&receipt, kms).deviceId, word(7));
    assert!(world.anvil.call(kms, &DstackKms::kmsAllowedDeviceIdsCall { deviceId: word(7) }).unwrap());
    let receipt = world.govern(&DstackKms::removeKmsDeviceCall { deviceId: word(7) });
    assert_eq!(emitted::<DstackKms::KmsDeviceRemoved>(&receipt, kms).deviceId, word(7));
    let receipt = world.govern(&DstackKms::setGatewayAppIdCall { appId: "gateway".into() });
    assert_eq!(emitted::<DstackKms::GatewayAppIdSet>(&receipt, kms).gatewayAppId, "gateway");
    assert_eq!(world.anvil.call(kms, &DstackKms::gatewayAppIdCall {}).unwrap(), "gateway");
    let receipt = world.govern(&DstackKms::setAppImplementationCall { implementation: app });
    assert_eq!(emitted::<DstackKms::AppImplementationSet>(&receipt, kms).implementation, app);
    assert_eq!(world.anvil.call(kms, &DstackKms::appImplementationCall {}).unwrap(), app);
}

#[test]
fn kms_info__should_be_kept_with_its_evidence() {
    let world = World::new();
    let info = DstackKms::KmsInfo {
        k256Pubkey: Bytes::from_static(&[2; 33]),
        caPubkey: Bytes::from_static(&[4; 65]),
        quote: Bytes::from(vec![7; 5000]),
        eventlog: Bytes::from_static(b"[]"),
    };
    let receipt = world.govern(&DstackKms::setKmsInfoCall { info: info.clone() });
    assert_eq!(emitted::<DstackKms::KmsInfoSet>(&receipt, world.kms).k256Pubkey, info.k256Pubkey);
    world.govern(&DstackKms::setKmsQuoteCall { quote: Bytes::from_static(b"q") });
    world.govern(&DstackKms::setKmsEventlogCall { eventlog: Bytes::from_static(b"e") });
    let kept = world.anvil.call(world.kms, &DstackKms::kmsInfoCall {}).unwrap();
    assert_eq!((kept.k256Pubkey, kept.caPubkey), (info.k256Pubkey, info.caPubkey));
    assert_eq!((&kept.quote[..], &kept.eventlog[..]), (&b"q"[..], &b"e"[..]));
}

/// Every write with arguments, as calldata: who may send it is what is tested.
fn app_writes() -> Vec<Vec<u8>> {
    vec![
        DstackApp::addComposeHashCall { composeHash: word(3) }.abi_encode(),
        DstackApp::removeComposeHashCall { composeHash: word(3) }.abi_encode(),
        DstackApp::addDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackApp::removeDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackApp::setAllowAnyDeviceCall { allowAny: true }.abi_encode(),
        DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true }.abi_encode(),
        DstackApp::transferOwnershipCall { newOwner: Address::repeat_byte(3) }.abi_encode(),
        DstackApp::renounceOwnershipCall {}.abi_encode(),
        DstackApp::disableUpgradesCall {}.abi_encode(),
    ]
}

fn kms_writes() -> Vec<Vec<u8>> {
    let info = DstackKms::KmsInfo {
        k256Pubkey: Bytes::new(),
        caPubkey: Bytes::new(),
        quote: Bytes::new(),
        eventlog: Bytes::new(),
    };
    vec![
        DstackKms::setKmsInfoCall { info }.abi_encode(),
        DstackKms::setKmsQuoteCall { quote: Bytes::new() }.abi_encode(),
        DstackKms::setKmsEventlogCall { eventlog: Bytes::new() }.abi_encode(),
        DstackKms::setGatewayAppIdCall { appId: String::new() }.abi_encode(),
        DstackKms::setAppImplementationCall { implementation: Address::repeat_byte(3) }.abi_encode(),
        DstackKms::addKmsAggregatedMrCall { mrAggregated: word(3) }.abi_encode(),
        DstackKms::removeKmsAggregatedMrCall { mrAggregated: word(3) }.abi_encode(),
        DstackKms::addKmsDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackKms::removeKmsDeviceCall { deviceId: word(3) }.abi_encode(),
        DstackKms::addOsImageHashCall { osImageHash: word(3) }.abi_encode(),
        DstackKms::removeOsImageHashCall { osImageHash: word(3) }.abi_encode(),
        DstackKms::transferOwnershipCall { newOwner: Address::repeat_byte(3) }.abi_encode(),
        DstackKms::renounceOwnershipCall {}.abi_encode(),
    ]
}

#[test]
fn writes__should_be_refused_to_all_but_the_owner() {
    let world = World::new();
    let app = world.deploy_app();
    let height = world.anvil.block_number();
    for (contract, writes) in [(app, app_writes()), (world.kms, kms_writes())] {
        for data in writes {
            let call = json!({"from": world.stranger, "to": contract, "data": Bytes::from(data.clone())});
            let refused = world.anvil.request("eth_call", &json!([call, "latest"])).unwrap_err();
            let refused = refused.custom::<DstackApp::OwnableUnauthorizedAccount>();
            assert_eq!(refused.unwrap().account, world.stranger, "{}", Bytes::from(data));
        }
    }
    assert_eq!(world.anvil.block_number(), height);
}

#[test]
fn ownership__should_change_hands_in_two_steps() {
    let world = World::new();
    let app = world.deploy_app();
    world.own(app, &DstackApp::transferOwnershipCall { newOwner: world.stranger });
    assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), world.owner);
    assert_eq!(world.anvil.call(app, &DstackApp::pendingOwnerCall {}).unwrap(), world.stranger);
    assert!(world.anvil.send(world.governor, app, &DstackApp::acceptOwnershipCall {}).is_err());
    world.anvil.send(world.stranger, app, &DstackApp::acceptOwnershipCall {}).unwrap();
    assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), world.stranger);
    assert!(world.anvil.send(world.owner, app, &DstackApp::addDeviceCall { deviceId: word(1) }).is_err());
}

#[test]
fn contracts__should_be_initialised_once_and_never_in_place() {
    let world = World::new();
    let app = world.deploy_app();
    let initialize = DstackApp::initialize_0Call {
        initialOwner: world.stranger,
        disableUpgrades_: false,
        allowAnyDevice_: true,
        initialDeviceId: B256::ZERO,
        initialComposeHash: B256::ZERO,
    };
    for contract in [app, world.app_implementation] {
        let refused = world.anvil.send(world.stranger, contract, &initialize).unwrap_err();
        assert!(refused.custom::<DstackApp::InvalidInitialization>().is_some(), "{refused:?}");
    }
    let again = DstackKms::initializeCall { initialOwner: world.stranger, appImplementation_: Address::ZERO };
    assert!(world.anvil.send(world.stranger, world.kms, &again).is_err());
}

#[test]
fn factory__should_serve_the_older_form_and_refuse_what_cannot_work() {
    let world = World::new();
    let older = |owner| DstackKms::deployAndRegisterApp_0Call {
        initialOwner: owner,
        disableUpgrades: true,
        allowAnyDevice: true,
        initialDeviceId: B256::ZERO,
        initialComposeHash: word(1),
    };
    let app = world.deploy_app_by(&older(world.owner));
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    assert_eq!(world.answer(asker(app)), allowed());
    assert!(!world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).unwrap());
    assert!(!world.anvil.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: B256::ZERO }).unwrap());
    assert!(world.anvil.call(world.kms, &DstackKms::registeredAppsCall { appId: app }).unwrap());
    let nobody = world.anvil.send(world.stranger, world.kms, &older(Address::ZERO)).unwrap_err();
    assert_eq!(nobody.reason().unwrap(), "Invalid owner address");
    let zero = DstackKms::setAppImplementationCall { implementation: Address::ZERO };
    let zero = world.anvil.send(world.governor, world.kms, &zero).unwrap_err();
    assert_eq!(zero.reason().unwrap(), "Invalid implementation address");

    let implementation = world.anvil.deploy(world.governor, &DstackKms::BYTECODE);
    let bare = DstackKms::initializeCall { initialOwner: world.governor, appImplementation_: Address::ZERO };
    let bare = deploy_proxy(&world.anvil, world.governor, implementation, bare.abi_encode()).unwrap();
    let unset = world.anvil.send(world.stranger, bare, &older(world.owner)).unwrap_err();
    assert_eq!(unset.reason().unwrap(), "DstackApp implementation not set");
}

#[test]
fn upgrades__should_be_the_owners_until_they_are_disabled() {
    let world = World::new();
    let app = world.deploy_app();
    let newer = world.anvil.deploy(world.stranger, &DstackApp::BYTECODE);
    let upgrade = DstackApp::upgradeToAndCallCall { newImplementation: newer, data: Bytes::new() };
    assert!(world.anvil.send(world.stranger, app, &upgrade).is_err());
    world.own(app, &upgrade);
    assert!(world.anvil.call(app, &DstackApp::allowedComposeHashesCall { composeHash: word(1) }).unwrap());
    let receipt = world.own(app, &DstackApp::disableUpgradesCall {});
    emitted::<DstackApp::UpgradesDisabled>(&receipt, app);
    let refused = world.anvil.send(world.owner, app, &upgrade).unwrap_err();
    assert_eq!(refused.reason().unwrap(), "Upgrades are permanently disabled");
}

#[test]
fn contracts__should_name_their_interfaces() {
    let world = World::new();
    let app = world.deploy_app();
    for contract in [app, world.kms] {
        for (id, has) in [(0x1e07_9198_u32, true), (0x01ff_c9a7, true), (0xffff_ffff, false)] {
            let call = DstackApp::supportsInterfaceCall { interfaceId: FixedBytes(id.to_be_bytes()) };
            assert_eq!(world.anvil.call(contract, &call).unwrap(), has, "{id:#x}");
        }
    }
}

#[test]
fn timelock_owner__should_schedule_wait_and_execute() {
    let world = World::new();
    let app = world.deploy_app();
    world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
    let arguments = TimelockController::constructorCall {
        minDelay: U256::from(48 * 3600),
        proposers: vec![world.owner],
        executors: vec![Address::ZERO],
        admin: Address::ZERO,
    };
    let init_code = [&TimelockController::BYTECODE[..], &arguments.abi_encode()].concat();
    let timelock = world.anvil.deploy(world.governor, &init_code);

    let schedule_and_execute = |data: Vec<u8>| {
        let data = Bytes::from(data);
        let (predecessor, salt) = (B256::ZERO, B256::ZERO);
        let schedule = TimelockController::scheduleCall {
            target: app,
            value: U256::ZERO,
            data: data.clone(),
            predecessor,
            salt,
            delay: U256::from(48 * 3600),
        };
        let execute = TimelockController::executeCall {
            target: app,
            value: U256::ZERO,
            payload: data,
            predecessor,
            salt,
        };
        assert!(world.anvil.send(world.stranger, timelock, &schedule).is_err(), "not a proposer");
        world.anvil.send(world.owner, timelock, &schedule).unwrap();
        assert!(world.anvil.send(world.stranger, timelock, &execute).is_err(), "too early");
        world.anvil.increase_time(48 * 3600 + 1);
        world.anvil.send(world.stranger, timelock, &execute).unwrap();
    };
    world.own(app, &DstackApp::transferOwnershipCall { newOwner: timelock });
    schedule_and_execute(DstackApp::acceptOwnershipCall {}.abi_encode());
    assert_eq!(world.anvil.call(app, &DstackApp::ownerCall {}).unwrap(), timelock);

    let update = AppBootInfo { composeHash: word(2), ..asker(app) };
    assert!(
        world.anvil.send(world.owner, app, &DstackApp::addComposeHashCall { composeHash: word(2) }).is_err()
    );
    assert_eq!(world.answer(update.clone()), denied("Compose hash not allowed"));
    schedule_and_execute(DstackApp::addComposeHashCall { composeHash: word(2) }.abi_encode());
    assert_eq!(world.answer(update), allowed());
}
