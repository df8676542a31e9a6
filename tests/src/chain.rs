//! A chain with both contracts on it: anvil, a block every two seconds and one for each transaction at once.

use alloy::primitives::{Address, B256};
use alloy::sol_types::SolCall;
use kms_attestation::ids::{AppId, ComposeHash, DeviceId, MrAggregated, OsImageHash};
use kms_chain::bindings::{DstackApp, DstackKms};
use serde_json::{Value, json};

use crate::anvil_support::Anvil;
use crate::contracts_support::{World as Contracts, deploy_kms};

/// One slot per epoch, so that blocks become final; a block now and then, so that heads are never stale.
const OPTIONS: [&str; 5] = ["--slots-in-an-epoch", "1", "--block-time", "2", "--mixed-mining"];

/// A running chain, and who governs and owns on it.
pub struct Chain {
    contracts: Contracts,
}

impl Chain {
    /// A fresh chain with `DstackKms`, which allows nothing yet.
    pub fn start() -> Self {
        let anvil = Anvil::start_with(&OPTIONS);
        let [governor, owner, stranger] = [0, 1, 2].map(|index| anvil.account(index));
        let app_implementation = anvil.deploy(governor, &DstackApp::BYTECODE);
        let deployed = deploy_kms(&anvil, governor, app_implementation).expect("DstackKms is deployed");
        let kms = deployed.contract_address.expect("an address");
        Self { contracts: Contracts { anvil, governor, owner, stranger, kms, app_implementation } }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        self.contracts.anvil.url()
    }

    /// `DstackKms`.
    pub fn kms(&self) -> Address {
        self.contracts.kms
    }

    /// The number of the newest block.
    pub fn block(&self) -> u64 {
        self.contracts.anvil.block_number()
    }

    /// An app that allows that code on that device.
    pub fn deploy_app(&self, compose: ComposeHash, device: DeviceId) -> AppId {
        let call = DstackKms::deployAndRegisterApp_1Call {
            initialOwner: self.contracts.owner,
            disableUpgrades: false,
            requireTcbUpToDate: false,
            allowAnyDevice: false,
            initialDeviceId: B256::from(device.0),
            initialComposeHash: B256::from(compose.0),
        };
        AppId(self.contracts.deploy_app(&call).into_array())
    }

    /// The owner of an app allows code.
    pub fn allow_code(&self, app: AppId, compose: ComposeHash) {
        self.own(app, &DstackApp::addComposeHashCall { composeHash: B256::from(compose.0) });
    }

    /// The owner of an app revokes code.
    pub fn revoke_code(&self, app: AppId, compose: ComposeHash) {
        self.own(app, &DstackApp::removeComposeHashCall { composeHash: B256::from(compose.0) });
    }

    /// The owner of an app allows a device.
    pub fn allow_device(&self, app: AppId, device: DeviceId) {
        self.own(app, &DstackApp::addDeviceCall { deviceId: B256::from(device.0) });
    }

    /// Governance allows an OS image.
    pub fn allow_image(&self, image: OsImageHash) {
        self.govern(&DstackKms::addOsImageHashCall { osImageHash: B256::from(image.0) });
    }

    /// Governance allows nodes of that measurement on that device.
    pub fn allow_node(&self, measurement: MrAggregated, device: DeviceId) {
        self.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: B256::from(measurement.0) });
        self.govern(&DstackKms::addKmsDeviceCall { deviceId: B256::from(device.0) });
    }

    /// Governance revokes the device of a node.
    pub fn revoke_node(&self, device: DeviceId) {
        self.govern(&DstackKms::removeKmsDeviceCall { deviceId: B256::from(device.0) });
    }

    /// Governance publishes the root public keys: the signer's, and the root CA's in DER.
    pub fn publish_root(&self, k256: &[u8], ca: &[u8]) {
        let info = DstackKms::KmsInfo {
            k256Pubkey: k256.to_vec().into(),
            caPubkey: ca.to_vec().into(),
            quote: vec![7; 5006].into(),
            eventlog: b"[]".to_vec().into(),
        };
        self.govern(&DstackKms::setKmsInfoCall { info });
    }

    /// How often there is a block by itself; 0 for never.
    pub fn seconds_between_blocks(&self, seconds: u64) {
        self.contracts.anvil.expect::<Value>("evm_setIntervalMining", &json!([seconds]));
    }

    /// Stops the process where it is, or lets it go on.
    pub fn pause(&self, pause: Pause) {
        self.contracts.anvil.signal(match pause {
            Pause::Begin => "STOP",
            Pause::End => "CONT",
        });
    }

    fn govern<C: SolCall>(&self, call: &C) {
        self.contracts.govern(call);
    }

    fn own<C: SolCall>(&self, app: AppId, call: &C) {
        self.contracts.own(Address::from(app.0), call);
    }
}

/// Whether a chain stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// From now on.
    Begin,
    /// No more.
    End,
}
