//! Access rules under random sequences of calls by random callers, compared step by step with a model in Rust.
//!
//! The sequences come from a fixed seed: a failure names its round and step, and happens again.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolCall;
use anvil_support::RpcError;
use contracts_support::{World, boot_info, deploy_kms, new_app, word};
use kms_chain::AppBootInfo;
use kms_chain::bindings::{DstackApp, DstackKms};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

const ROUNDS: usize = 12;
const STEPS: usize = 60;

/// What a step may be refused with.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    NotOwner(Address),
    Reason(&'static str),
}

type Outcome = Result<(), Refusal>;

/// Ownership in two steps, as the contracts have it.
#[derive(Debug, Clone, Copy)]
enum Handover {
    Offer(Address),
    Accept,
    Renounce,
}

#[derive(Debug)]
struct Ownership {
    owner: Address,
    pending: Address,
}

impl Ownership {
    const fn of(owner: Address) -> Self {
        Self { owner, pending: Address::ZERO }
    }

    fn check(&self, caller: Address) -> Outcome {
        if caller == self.owner { Ok(()) } else { Err(Refusal::NotOwner(caller)) }
    }

    fn hand_over(&mut self, caller: Address, step: Handover) -> Outcome {
        match step {
            Handover::Offer(to) => {
                self.check(caller)?;
                self.pending = to;
            }
            Handover::Accept if caller == self.pending => *self = Self::of(caller),
            Handover::Accept => return Err(Refusal::NotOwner(caller)),
            Handover::Renounce => {
                self.check(caller)?;
                *self = Self::of(Address::ZERO);
            }
        }
        Ok(())
    }

    fn assert_is(&self, world: &World, contract: Address) {
        assert_eq!(world.anvil.call(contract, &DstackApp::ownerCall {}).unwrap(), self.owner);
        assert_eq!(world.anvil.call(contract, &DstackApp::pendingOwnerCall {}).unwrap(), self.pending);
    }
}

fn handover_call(step: Handover) -> Vec<u8> {
    match step {
        Handover::Offer(to) => DstackApp::transferOwnershipCall { newOwner: to }.abi_encode(),
        Handover::Accept => DstackApp::acceptOwnershipCall {}.abi_encode(),
        Handover::Renounce => DstackApp::renounceOwnershipCall {}.abi_encode(),
    }
}

fn handover(accounts: &[Address]) -> impl Strategy<Value = Handover> + use<> {
    prop_oneof![
        10 => select(accounts.to_vec()).prop_map(Handover::Offer),
        1 => Just(Handover::Offer(Address::ZERO)),
        10 => Just(Handover::Accept),
        1 => Just(Handover::Renounce),
    ]
}

/// A few values, so that sequences meet the same ones again; zero among them.
fn value() -> impl Strategy<Value = B256> {
    (0_u8..4).prop_map(word)
}

fn put(set: &mut BTreeSet<B256>, value: B256, present: bool) {
    if present {
        set.insert(value);
    } else {
        set.remove(&value);
    }
}

/// Sends a step's call data and reads how it ended.
fn perform(world: &World, caller: Address, contract: Address, data: Vec<u8>) -> Outcome {
    let transaction = json!({"from": caller, "to": contract, "data": Bytes::from(data)});
    world.anvil.transact(&transaction).map(drop).map_err(|error| refusal(&error))
}

fn refusal(error: &RpcError) -> Refusal {
    if let Some(not_owner) = error.custom::<DstackApp::OwnableUnauthorizedAccount>() {
        return Refusal::NotOwner(not_owner.account);
    }
    let reason = error.reason().unwrap_or_else(|| panic!("{error:?}"));
    let known = ["Upgrades are permanently disabled", "Invalid app ID"];
    Refusal::Reason(known.into_iter().find(|known| *known == reason).unwrap())
}

fn sample<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

#[derive(Debug, Clone, Copy)]
enum AppStep {
    Handover(Handover),
    Code(B256, bool),
    Device(B256, bool),
    AnyDevice(bool),
    RequireTcb(bool),
    DisableUpgrades,
    Upgrade,
}

#[derive(Debug)]
struct AppModel {
    ownership: Ownership,
    codes: BTreeSet<B256>,
    devices: BTreeSet<B256>,
    any_device: bool,
    require_tcb: bool,
    fixed: bool,
}

impl AppModel {
    /// As [`new_app`] deploys it.
    fn new(owner: Address) -> Self {
        let listed = BTreeSet::from([word(1)]);
        Self {
            ownership: Ownership::of(owner),
            codes: listed.clone(),
            devices: listed,
            any_device: false,
            require_tcb: false,
            fixed: false,
        }
    }

    fn apply(&mut self, caller: Address, step: AppStep) -> Outcome {
        if let AppStep::Handover(step) = step {
            return self.ownership.hand_over(caller, step);
        }
        self.ownership.check(caller)?;
        match step {
            AppStep::Code(code, present) => put(&mut self.codes, code, present),
            AppStep::Device(device, present) => put(&mut self.devices, device, present),
            AppStep::AnyDevice(any) => self.any_device = any,
            AppStep::RequireTcb(required) => self.require_tcb = required,
            AppStep::DisableUpgrades => self.fixed = true,
            AppStep::Upgrade if self.fixed => {
                return Err(Refusal::Reason("Upgrades are permanently disabled"));
            }
            AppStep::Handover(_) | AppStep::Upgrade => {}
        }
        Ok(())
    }

    fn answer(&self, info: &AppBootInfo) -> (bool, String) {
        let reason = if self.require_tcb && info.tcbStatus != "UpToDate" {
            "TCB status is not up to date"
        } else if !self.codes.contains(&info.composeHash) {
            "Compose hash not allowed"
        } else if !self.any_device && !self.devices.contains(&info.deviceId) {
            "Device not allowed"
        } else {
            ""
        };
        (reason.is_empty(), reason.to_owned())
    }

    fn assert_is(&self, world: &World, app: Address) {
        self.ownership.assert_is(world, app);
        for value in (0..4).map(word) {
            let code = DstackApp::allowedComposeHashesCall { composeHash: value };
            assert_eq!(world.anvil.call(app, &code).unwrap(), self.codes.contains(&value));
            let device = DstackApp::allowedDeviceIdsCall { deviceId: value };
            assert_eq!(world.anvil.call(app, &device).unwrap(), self.devices.contains(&value));
        }
        assert_eq!(world.anvil.call(app, &DstackApp::allowAnyDeviceCall {}).unwrap(), self.any_device);
        assert_eq!(world.anvil.call(app, &DstackApp::requireTcbUpToDateCall {}).unwrap(), self.require_tcb);
    }
}

fn app_call(step: AppStep, implementation: Address) -> Vec<u8> {
    match step {
        AppStep::Handover(step) => handover_call(step),
        AppStep::Code(code, true) => DstackApp::addComposeHashCall { composeHash: code }.abi_encode(),
        AppStep::Code(code, false) => DstackApp::removeComposeHashCall { composeHash: code }.abi_encode(),
        AppStep::Device(device, true) => DstackApp::addDeviceCall { deviceId: device }.abi_encode(),
        AppStep::Device(device, false) => DstackApp::removeDeviceCall { deviceId: device }.abi_encode(),
        AppStep::AnyDevice(any) => DstackApp::setAllowAnyDeviceCall { allowAny: any }.abi_encode(),
        AppStep::RequireTcb(required) => {
            DstackApp::setRequireTcbUpToDateCall { requireUpToDate: required }.abi_encode()
        }
        AppStep::DisableUpgrades => DstackApp::disableUpgradesCall {}.abi_encode(),
        AppStep::Upgrade => {
            DstackApp::upgradeToAndCallCall { newImplementation: implementation, data: Bytes::new() }
                .abi_encode()
        }
    }
}

fn app_step(accounts: &[Address]) -> impl Strategy<Value = AppStep> + use<> {
    prop_oneof![
        20 => handover(accounts).prop_map(AppStep::Handover),
        20 => (value(), any::<bool>()).prop_map(|(code, present)| AppStep::Code(code, present)),
        20 => (value(), any::<bool>()).prop_map(|(device, present)| AppStep::Device(device, present)),
        10 => any::<bool>().prop_map(AppStep::AnyDevice),
        10 => any::<bool>().prop_map(AppStep::RequireTcb),
        2 => Just(AppStep::DisableUpgrades),
        8 => Just(AppStep::Upgrade),
    ]
}

fn any_boot() -> impl Strategy<Value = AppBootInfo> {
    (value(), value(), value(), value(), select(vec!["UpToDate", "OutOfDate", ""])).prop_map(
        |(code, device, image, mr, status)| AppBootInfo {
            composeHash: code,
            deviceId: device,
            osImageHash: image,
            mrAggregated: mr,
            tcbStatus: status.to_owned(),
            ..AppBootInfo::default()
        },
    )
}

/// Callers: mostly whoever owns the contract, so that half of the steps change something.
fn caller(owner: Address, accounts: &[Address]) -> impl Strategy<Value = Address> + use<> {
    let owner = if owner.is_zero() { accounts[0] } else { owner };
    prop_oneof![Just(owner), select(accounts.to_vec())]
}

#[test]
fn app__should_obey_nobody_but_its_owner() {
    let world = World::new();
    let accounts = [1, 2, 3, 4].map(|index| world.anvil.account(index));
    let steps = app_step(&accounts);
    let mut runner = TestRunner::deterministic();
    for round in 0..ROUNDS {
        let app = world.deploy_app(&new_app(world.owner));
        let mut model = AppModel::new(world.owner);
        for number in 0..STEPS {
            let caller = sample(&mut runner, &caller(model.ownership.owner, &accounts));
            let step = sample(&mut runner, &steps);
            let outcome = perform(&world, caller, app, app_call(step, world.app_implementation));
            assert_eq!(outcome, model.apply(caller, step), "{round}.{number}: {caller} {step:?}");
            model.assert_is(&world, app);
            let info = sample(&mut runner, &any_boot());
            let call = DstackApp::isAppAllowedCall { bootInfo: boot_info(&info) };
            let answer = world.anvil.call(app, &call).unwrap();
            assert_eq!((answer.isAllowed, answer.reason), model.answer(&info), "{round}.{number}: {info:?}");
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum KmsStep {
    Handover(Handover),
    Mr(B256, bool),
    Device(B256, bool),
    Image(B256, bool),
    Register(Address),
    Upgrade,
}

#[derive(Debug)]
struct KmsModel {
    ownership: Ownership,
    mrs: BTreeSet<B256>,
    devices: BTreeSet<B256>,
    images: BTreeSet<B256>,
    apps: BTreeSet<Address>,
}

impl KmsModel {
    const fn new(owner: Address) -> Self {
        Self {
            ownership: Ownership::of(owner),
            mrs: BTreeSet::new(),
            devices: BTreeSet::new(),
            images: BTreeSet::new(),
            apps: BTreeSet::new(),
        }
    }

    fn apply(&mut self, caller: Address, step: KmsStep) -> Outcome {
        match step {
            KmsStep::Handover(step) => return self.ownership.hand_over(caller, step),
            KmsStep::Register(Address::ZERO) => return Err(Refusal::Reason("Invalid app ID")),
            // The one write that is open to all.
            KmsStep::Register(app) => drop(self.apps.insert(app)),
            KmsStep::Mr(mr, present) => {
                self.ownership.check(caller)?;
                put(&mut self.mrs, mr, present);
            }
            KmsStep::Device(device, present) => {
                self.ownership.check(caller)?;
                put(&mut self.devices, device, present);
            }
            KmsStep::Image(image, present) => {
                self.ownership.check(caller)?;
                put(&mut self.images, image, present);
            }
            KmsStep::Upgrade => self.ownership.check(caller)?,
        }
        Ok(())
    }

    fn node_answer(&self, info: &AppBootInfo) -> (bool, String) {
        let reason = if info.tcbStatus != "UpToDate" {
            "TCB status is not up to date"
        } else if !self.images.contains(&info.osImageHash) {
            "OS image is not allowed"
        } else if !self.mrs.contains(&info.mrAggregated) {
            "Aggregated MR not allowed"
        } else if !self.devices.contains(&info.deviceId) {
            "KMS is not allowed to boot on this device"
        } else {
            ""
        };
        (reason.is_empty(), reason.to_owned())
    }

    /// None of the registered addresses has code.
    fn app_answer(&self, info: &AppBootInfo) -> (bool, String) {
        let reason = if !self.apps.contains(&info.appId) {
            "App not registered"
        } else if !self.images.contains(&info.osImageHash) {
            "OS image is not allowed"
        } else {
            "App not deployed or invalid address"
        };
        (false, reason.to_owned())
    }

    fn assert_is(&self, world: &World, kms: Address) {
        self.ownership.assert_is(world, kms);
        for value in (0..4).map(word) {
            let mr = DstackKms::kmsAllowedAggregatedMrsCall { mrAggregated: value };
            assert_eq!(world.anvil.call(kms, &mr).unwrap(), self.mrs.contains(&value));
            let device = DstackKms::kmsAllowedDeviceIdsCall { deviceId: value };
            assert_eq!(world.anvil.call(kms, &device).unwrap(), self.devices.contains(&value));
            let image = DstackKms::allowedOsImagesCall { osImageHash: value };
            assert_eq!(world.anvil.call(kms, &image).unwrap(), self.images.contains(&value));
        }
    }
}

fn kms_call(step: KmsStep, implementation: Address) -> Vec<u8> {
    match step {
        KmsStep::Handover(step) => handover_call(step),
        KmsStep::Mr(mr, true) => DstackKms::addKmsAggregatedMrCall { mrAggregated: mr }.abi_encode(),
        KmsStep::Mr(mr, false) => DstackKms::removeKmsAggregatedMrCall { mrAggregated: mr }.abi_encode(),
        KmsStep::Device(device, true) => DstackKms::addKmsDeviceCall { deviceId: device }.abi_encode(),
        KmsStep::Device(device, false) => DstackKms::removeKmsDeviceCall { deviceId: device }.abi_encode(),
        KmsStep::Image(image, true) => DstackKms::addOsImageHashCall { osImageHash: image }.abi_encode(),
        KmsStep::Image(image, false) => DstackKms::removeOsImageHashCall { osImageHash: image }.abi_encode(),
        KmsStep::Register(app) => DstackKms::registerAppCall { appId: app }.abi_encode(),
        KmsStep::Upgrade => {
            DstackKms::upgradeToAndCallCall { newImplementation: implementation, data: Bytes::new() }
                .abi_encode()
        }
    }
}

/// Addresses without code, and zero.
fn nowhere() -> impl Strategy<Value = Address> {
    select(vec![0_u8, 0xa1, 0xa2, 0xa3]).prop_map(Address::repeat_byte)
}

fn kms_step(accounts: &[Address]) -> impl Strategy<Value = KmsStep> + use<> {
    prop_oneof![
        20 => handover(accounts).prop_map(KmsStep::Handover),
        15 => (value(), any::<bool>()).prop_map(|(mr, present)| KmsStep::Mr(mr, present)),
        15 => (value(), any::<bool>()).prop_map(|(device, present)| KmsStep::Device(device, present)),
        15 => (value(), any::<bool>()).prop_map(|(image, present)| KmsStep::Image(image, present)),
        20 => nowhere().prop_map(KmsStep::Register),
        5 => Just(KmsStep::Upgrade),
    ]
}

#[test]
fn kms__should_obey_nobody_but_its_owner() {
    let world = World::new();
    let accounts = [1, 2, 3, 4].map(|index| world.anvil.account(index));
    let implementation = world.anvil.deploy(world.governor, &DstackKms::BYTECODE);
    let steps = kms_step(&accounts);
    let mut runner = TestRunner::deterministic();
    for round in 0..ROUNDS {
        let kms = deploy_kms(&world.anvil, accounts[0], Address::ZERO).unwrap().contract_address.unwrap();
        let mut model = KmsModel::new(accounts[0]);
        for number in 0..STEPS {
            let caller = sample(&mut runner, &caller(model.ownership.owner, &accounts));
            let step = sample(&mut runner, &steps);
            let outcome = perform(&world, caller, kms, kms_call(step, implementation));
            assert_eq!(outcome, model.apply(caller, step), "{round}.{number}: {caller} {step:?}");
            model.assert_is(&world, kms);
            let info = sample(&mut runner, &any_boot());
            let info = AppBootInfo { appId: sample(&mut runner, &nowhere()), ..info };
            let call = DstackKms::isKmsAllowedCall { bootInfo: boot_info(&info) };
            let answer = world.anvil.call(kms, &call).unwrap();
            assert_eq!((answer.isAllowed, answer.reason), model.node_answer(&info), "{round}.{number}");
            let call = DstackKms::isAppAllowedCall { bootInfo: boot_info(&info) };
            let answer = world.anvil.call(kms, &call).unwrap();
            assert_eq!((answer.isAllowed, answer.reason), model.app_answer(&info), "{round}.{number}");
        }
    }
}
