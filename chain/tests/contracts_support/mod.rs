//! What the tests of the contracts share: a chain with both contracts on it, and who governs, owns and watches.
#![allow(dead_code, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use alloy::primitives::{Address, B256, Bytes};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolConstructor, SolEvent, SolValue};
use kms_chain::AppBootInfo;
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy};
use serde_json::{Value, json};

use crate::anvil_support::{Anvil, RpcError, events};

/// Some hash or id.
pub(crate) const fn word(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

/// A chain with `DstackKms` on it.
pub(crate) struct World {
    pub(crate) anvil: Anvil,
    /// Owns `kms`.
    pub(crate) governor: Address,
    /// Owns the applications.
    pub(crate) owner: Address,
    /// Owns nothing.
    pub(crate) stranger: Address,
    pub(crate) kms: Address,
    pub(crate) app_implementation: Address,
}

impl World {
    pub(crate) fn new() -> Self {
        let anvil = Anvil::start();
        let [governor, owner, stranger] = [0, 1, 2].map(|index| anvil.account(index));
        let app_implementation = anvil.deploy(governor, &DstackApp::BYTECODE);
        let kms = deploy_kms(&anvil, governor, app_implementation).unwrap().contract_address.unwrap();
        Self { anvil, governor, owner, stranger, kms, app_implementation }
    }

    /// A chain on which image 1 is allowed, and an application that allows code 1 on device 1.
    pub(crate) fn with_app() -> (Self, Address) {
        let world = Self::new();
        world.govern(&DstackKms::addOsImageHashCall { osImageHash: word(1) });
        let app = world.deploy_app(&new_app(world.owner));
        (world, app)
    }

    /// Deploys an application through the factory.
    pub(crate) fn deploy_app<C: SolCall>(&self, call: &C) -> Address {
        let receipt = self.anvil.send(self.stranger, self.kms, call).unwrap();
        emitted::<DstackKms::AppDeployedViaFactory>(&receipt, self.kms).appId
    }

    pub(crate) fn govern<C: SolCall>(&self, call: &C) -> TransactionReceipt {
        self.anvil.send(self.governor, self.kms, call).unwrap()
    }

    pub(crate) fn own<C: SolCall>(&self, app: Address, call: &C) -> TransactionReceipt {
        self.anvil.send(self.owner, app, call).unwrap()
    }

    /// The shared contract's answer for an application.
    pub(crate) fn answer(&self, info: &AppBootInfo) -> (bool, String) {
        let call = DstackKms::isAppAllowedCall { bootInfo: boot_info(info) };
        let answer = self.anvil.call(self.kms, &call).unwrap();
        (answer.isAllowed, answer.reason)
    }

    /// The shared contract's answer for a node.
    pub(crate) fn node_answer(&self, info: &AppBootInfo) -> (bool, String) {
        let call = DstackKms::isKmsAllowedCall { bootInfo: boot_info(info) };
        let answer = self.anvil.call(self.kms, &call).unwrap();
        (answer.isAllowed, answer.reason)
    }

    /// An application of the first generation that allows code 1 on device 1, behind its proxy and registered.
    pub(crate) fn deploy_older_app(&self) -> Address {
        let implementation = self.anvil.deploy(self.owner, &test_contract("OlderApp"));
        // Its only form: owner, upgrades, any device, device, code.
        let call = DstackApp::initialize_0Call {
            initialOwner: self.owner,
            disableUpgrades_: false,
            allowAnyDevice_: false,
            initialDeviceId: word(1),
            initialComposeHash: word(1),
        };
        let receipt = deploy_proxy(&self.anvil, self.owner, implementation, &call).unwrap();
        let app = receipt.contract_address.unwrap();
        self.register(app);
        app
    }

    /// Registers a contract as an application, as anyone may.
    pub(crate) fn register(&self, app: Address) {
        self.anvil.send(self.stranger, self.kms, &DstackKms::registerAppCall { appId: app }).unwrap();
    }

    /// That nobody but the owner may send this call data.
    pub(crate) fn assert_only_owner(&self, contract: Address, data: &Bytes) {
        let transaction = json!({"from": self.stranger, "to": contract, "data": data});
        let refused = self.anvil.transact(&transaction).unwrap_err();
        let refused = refused.custom::<DstackApp::OwnableUnauthorizedAccount>();
        assert_eq!(refused.unwrap().account, self.stranger, "{data}");
    }

    /// The reason with which a transaction reverts.
    pub(crate) fn refusal<C: SolCall>(&self, from: Address, to: Address, call: &C) -> String {
        let error = self.anvil.send(from, to, call).unwrap_err();
        error.reason().unwrap_or_else(|| panic!("{error:?}"))
    }
}

/// An application that allows code 1 on device 1, by the newer form of the factory's call.
pub(crate) fn new_app(owner: Address) -> DstackKms::deployAndRegisterApp_1Call {
    DstackKms::deployAndRegisterApp_1Call {
        initialOwner: owner,
        disableUpgrades: false,
        requireTcbUpToDate: false,
        allowAnyDevice: false,
        initialDeviceId: word(1),
        initialComposeHash: word(1),
    }
}

pub(crate) fn deploy_kms(
    anvil: &Anvil,
    governor: Address,
    app_implementation: Address,
) -> Result<TransactionReceipt, RpcError> {
    let implementation = anvil.deploy(governor, &DstackKms::BYTECODE);
    let call = DstackKms::initializeCall { initialOwner: governor, appImplementation_: app_implementation };
    deploy_proxy(anvil, governor, implementation, &call)
}

pub(crate) fn deploy_proxy<C: SolCall>(
    anvil: &Anvil,
    from: Address,
    implementation: Address,
    call: &C,
) -> Result<TransactionReceipt, RpcError> {
    let arguments = ERC1967Proxy::constructorCall { implementation, _data: call.abi_encode().into() };
    anvil.try_deploy(from, &[&ERC1967Proxy::BYTECODE[..], &arguments.abi_encode()].concat())
}

/// The same boot in the types of one contract's bindings: each has its own.
pub(crate) fn boot_info<T: SolValue + From<<T::SolType as alloy::sol_types::SolType>::RustType>>(
    info: &AppBootInfo,
) -> T {
    T::abi_decode(&info.abi_encode()).unwrap()
}

/// The bytecode of a contract that exists for tests only.
pub(crate) fn test_contract(name: &str) -> Vec<u8> {
    let path = format!("{}/../contracts/artifacts/test/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let artifact: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value::<Bytes>(artifact["bytecode"].clone()).unwrap().to_vec()
}

/// Code 1 on device 1 under image 1, up to date.
pub(crate) fn asker(app: Address) -> AppBootInfo {
    AppBootInfo {
        appId: app,
        composeHash: word(1),
        deviceId: word(1),
        mrAggregated: word(1),
        osImageHash: word(1),
        tcbStatus: "UpToDate".to_owned(),
        ..AppBootInfo::default()
    }
}

pub(crate) fn out_of_date(info: AppBootInfo) -> AppBootInfo {
    AppBootInfo { tcbStatus: "OutOfDate".to_owned(), ..info }
}

pub(crate) fn allowed() -> (bool, String) {
    (true, String::new())
}

pub(crate) fn denied(reason: &str) -> (bool, String) {
    (false, reason.to_owned())
}

/// The one event of that type that the contract emitted in the transaction.
pub(crate) fn emitted<E: SolEvent>(receipt: &TransactionReceipt, contract: Address) -> E {
    let mut all = events::<E>(receipt, contract);
    assert_eq!(all.len(), 1, "{}", E::SIGNATURE);
    all.remove(0)
}

/// The first four bytes of each signature's hash, as they stand in call data.
pub(crate) fn selector(signature: &str) -> [u8; 4] {
    *alloy::primitives::keccak256(signature).first_chunk().unwrap()
}

/// The address from which a proxy takes its code.
pub(crate) fn implementation_of(anvil: &Anvil, proxy: Address) -> Address {
    // ERC-1967: keccak256("eip1967.proxy.implementation") - 1
    let slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
    Address::from_word(anvil.storage(proxy, slot.parse().unwrap()))
}
