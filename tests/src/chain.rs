//! A chain with both contracts on it: anvil, a block every two seconds and one for each transaction at once. And others,
//! for providers that are on a chain of their own.

use std::net::{Ipv4Addr, SocketAddr};

use std::net::TcpStream;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::sol_types::{SolCall, SolValue as _};
use kms_attestation::ids::{AppId, ComposeHash, DeviceId, MrAggregated, OsImageHash};
use kms_chain::bindings::{DstackApp, DstackKms};
use serde_json::{Value, json};

use crate::anvil_support::Anvil;
use crate::contracts_support::{World as Contracts, deploy_kms};

/// A block now and then, so that heads are never stale.
const OPTIONS: [&str; 3] = ["--block-time", "2", "--mixed-mining"];

/// When a block is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// When two more stand on it.
    Soon,
    /// Not while a test runs: the first block alone is.
    Never,
}

impl Finality {
    /// Two epochs of that many slots.
    const fn slots(self) -> &'static str {
        match self {
            Self::Soon => "1",
            Self::Never => "4096",
        }
    }
}

/// The slot of `DstackKms.registeredApps`, as the contract's layout has it.
const REGISTERED_APPS_SLOT: U256 = U256::from_limbs([5, 0, 0, 0]);
/// How many slots one request to anvil writes.
const WRITES_AT_ONCE: usize = 5_000;

/// A running chain, and who governs and owns on it.
pub struct Chain {
    contracts: Contracts,
}

impl Chain {
    /// A fresh chain with `DstackKms`, which allows nothing yet.
    pub fn start() -> Self {
        Self::start_with(Finality::Soon)
    }

    /// The same, with another finality.
    pub fn start_with(finality: Finality) -> Self {
        let anvil = Anvil::start_with(&[&OPTIONS[..], &["--slots-in-an-epoch", finality.slots()]].concat());
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        listening(&self.contracts.anvil)
    }

    /// `DstackKms`.
    pub fn kms(&self) -> Address {
        self.contracts.kms
    }

    /// The number of the newest block.
    pub fn block(&self) -> u64 {
        self.contracts.anvil.block_number()
    }

    /// The hash of the block of that number, in hexadecimal.
    pub fn block_hash(&self, number: u64) -> String {
        block(&self.contracts.anvil, number)["hash"].as_str().expect("a hash").to_owned()
    }

    /// Makes so many blocks at once.
    pub fn mine(&self, blocks: u64) {
        self.contracts.anvil.mine(blocks);
    }

    /// Moves the chain's time forward, and makes a block at that time.
    pub fn pass(&self, seconds: u64) {
        self.contracts.anvil.increase_time(seconds);
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

    /// From now on a block for each transaction, and none by itself.
    pub fn blocks_for_transactions_alone(&self) {
        self.contracts.anvil.expect::<Value>("evm_setAutomine", &json!([true]));
    }

    /// Makes the contract's state what it would be if so many further apps had been registered: their entries are written
    /// where the contract keeps them. They have no code and are never asked about.
    pub fn assume_registered(&self, apps: u32) {
        let app = |number: u32| Address::left_padding_from(&[&[0xff][..], &number.to_be_bytes()].concat());
        let numbers: Vec<u32> = (0..apps).collect();
        for some in numbers.chunks(WRITES_AT_ONCE) {
            let write = |number: &u32| {
                let slot = keccak256((app(*number), REGISTERED_APPS_SLOT).abi_encode());
                let params = json!([self.contracts.kms, slot, B256::with_last_byte(1)]);
                json!({"jsonrpc": "2.0", "id": number, "method": "anvil_setStorageAt", "params": params})
            };
            let batch: Value = some.iter().map(write).collect();
            let stream = TcpStream::connect(("127.0.0.1", self.contracts.anvil.port())).expect("anvil");
            crate::http::post(stream, "/", &batch);
        }
        self.mine(1);
        let call = |number| DstackKms::registeredAppsCall { appId: app(number) };
        let registered = |number| self.contracts.anvil.call(self.contracts.kms, &call(number));
        assert!(apps == 0 || registered(apps - 1).expect("an answer"), "the slots are the contract's");
        assert!(!registered(apps).expect("an answer"), "and no others");
    }

    /// How often there is a block by itself; 0 for never, not even for a transaction.
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

/// Another chain with the same id, which only a provider follows that is wrong or lies.
pub struct Fork {
    anvil: Anvil,
}

/// Where a fork begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After the first block, which both chains have.
    TheFirstBlock,
    /// Before it.
    Ever,
}

impl Fork {
    /// A fork of a chain, of so many blocks that no other fork has.
    pub fn of(chain: &Chain, since: Since, blocks: u64) -> Self {
        let timestamp = block(&chain.contracts.anvil, 0)["timestamp"].as_str().expect("a time").to_owned();
        let timestamp = u64::from_str_radix(timestamp.trim_start_matches("0x"), 16).expect("a number");
        let timestamp = match since {
            Since::TheFirstBlock => timestamp,
            Since::Ever => timestamp - 1,
        };
        let options = ["--slots-in-an-epoch", Finality::Never.slots(), "--timestamp", &timestamp.to_string()];
        let anvil = Anvil::start_with(&options);
        assert_eq!(block(&anvil, 0) == block(&chain.contracts.anvil, 0), since == Since::TheFirstBlock);
        let miner = Address::from_slice(&crate::wire::random()[..20]);
        anvil.expect::<Value>("anvil_setCoinbase", &json!([miner]));
        anvil.mine(blocks);
        Self { anvil }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        listening(&self.anvil)
    }
}

fn listening(anvil: &Anvil) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, anvil.port()).into()
}

fn block(anvil: &Anvil, number: u64) -> Value {
    anvil.expect("eth_getBlockByNumber", &json!([format!("{number:#x}"), false]))
}

/// Whether a chain stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// From now on.
    Begin,
    /// No more.
    End,
}
