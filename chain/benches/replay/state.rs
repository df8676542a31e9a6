//! The chain that is measured: the real contracts on a real anvil, among hundreds of other accounts and slots.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolConstructor};
use kms_chain::answers::{AccessList, AccountProof};
use kms_chain::bindings::{DstackApp, DstackKms, ERC1967Proxy};
use kms_chain::trie::HashedBytes;
use kms_chain::{AppBootInfo, Question, abi};
use revm::database::{CacheDB, EmptyDB};
use revm::state::{AccountInfo, Bytecode};
use revm::{Context, MainBuilder, MainContext, SystemCallEvm};
use serde_json::{Value, json};

use crate::anvil_support::{Anvil, events};

/// Accounts that have nothing to do with it.
const OTHER_ACCOUNTS: u64 = 400;
/// Slots of each contract that have nothing to do with it.
const OTHER_SLOTS: u64 = 200;

pub(crate) struct Chain {
    pub(crate) anvil: Anvil,
    pub(crate) kms: Address,
    pub(crate) info: AppBootInfo,
}

/// What a decision reads: the nodes, and where each value stands (root, key).
pub(crate) struct Proof {
    pub(crate) nodes: HashedBytes,
    pub(crate) items: Vec<(B256, B256)>,
}

impl Chain {
    pub(crate) fn start() -> Self {
        let anvil = Anvil::start();
        let owner = anvil.account(0);
        let app_implementation = anvil.deploy(owner, &DstackApp::BYTECODE);
        let implementation = anvil.deploy(owner, &DstackKms::BYTECODE);
        let call = DstackKms::initializeCall { initialOwner: owner, appImplementation_: app_implementation };
        let call = ERC1967Proxy::constructorCall { implementation, _data: call.abi_encode().into() };
        let kms = anvil.deploy(owner, &[&ERC1967Proxy::BYTECODE[..], &call.abi_encode()].concat());
        let word = B256::repeat_byte;
        let deploy = DstackKms::deployAndRegisterApp_1Call {
            initialOwner: owner,
            disableUpgrades: false,
            requireTcbUpToDate: true,
            allowAnyDevice: false,
            initialDeviceId: word(1),
            initialComposeHash: word(2),
        };
        let receipt = anvil.send(owner, kms, &deploy).unwrap();
        let app = events::<DstackKms::AppDeployedViaFactory>(&receipt, kms)[0].appId;
        anvil.send(owner, kms, &DstackKms::addOsImageHashCall { osImageHash: word(3) }).unwrap();
        let info = AppBootInfo {
            appId: app,
            deviceId: word(1),
            composeHash: word(2),
            osImageHash: word(3),
            tcbStatus: "UpToDate".to_owned(),
            ..AppBootInfo::default()
        };
        let chain = Self { anvil, kms, info };
        chain.crowd();
        // Past the finalized head too.
        chain.anvil.mine(4);
        chain
    }

    fn crowd(&self) {
        let set = |method, params: Value| drop(self.anvil.request(method, &params).unwrap());
        for i in 0..OTHER_ACCOUNTS {
            let address = Address::from_slice(&keccak256(i.to_be_bytes())[..20]);
            set("anvil_setBalance", json!([address, "0x1"]));
        }
        for (i, contract) in (0..OTHER_SLOTS).flat_map(|i| [(i, self.kms), (i, self.info.appId)]) {
            let slot = keccak256(i.to_be_bytes());
            set("anvil_setStorageAt", json!([contract, slot, B256::with_last_byte(1)]));
        }
    }

    /// The decisive call, and the getters that explain it.
    fn calls(&self) -> Vec<(Address, Bytes)> {
        let (kms, app, info) = (self.kms, self.info.appId, &self.info);
        let compose = abi::allowedComposeHashesCall { composeHash: info.composeHash };
        [
            (kms, Question::App(info.clone()).call_data().to_vec()),
            (kms, abi::allowedOsImagesCall { osImageHash: info.osImageHash }.abi_encode()),
            (kms, abi::registeredAppsCall { appId: app }.abi_encode()),
            (app, compose.abi_encode()),
            (app, abi::allowedDeviceIdsCall { deviceId: info.deviceId }.abi_encode()),
            (app, abi::allowAnyDeviceCall {}.abi_encode()),
            (app, abi::requireTcbUpToDateCall {}.abi_encode()),
        ]
        .map(|(to, data)| (to, data.into()))
        .to_vec()
    }

    /// What the calls read, as anvil says.
    fn touched(&self) -> BTreeMap<Address, BTreeSet<B256>> {
        let mut touched = BTreeMap::from([(self.kms, BTreeSet::new()), (self.info.appId, BTreeSet::new())]);
        for (to, data) in self.calls() {
            let call = json!([{ "to": to, "data": data }, "latest"]);
            let list = AccessList::read(self.anvil.expect("eth_createAccessList", &call)).unwrap();
            for item in list.access_list {
                touched.entry(item.address).or_default().extend(item.storage_keys);
            }
        }
        touched
    }

    pub(crate) fn proof(&self) -> Proof {
        let block: Value = self.anvil.expect("eth_getBlockByNumber", &json!(["latest", false]));
        let state_root: B256 = serde_json::from_value(block["stateRoot"].clone()).unwrap();
        let mut proof = Proof { nodes: HashedBytes::default(), items: Vec::new() };
        for (address, slots) in self.touched() {
            let result = self.anvil.expect("eth_getProof", &json!([address, slots, "latest"]));
            let answer = AccountProof::read(result).unwrap();
            proof.items.push((state_root, keccak256(address)));
            proof.items.extend(slots.iter().map(|slot| (answer.storage_hash, keccak256(slot))));
            let of_slots = answer.storage_proof.into_iter().flat_map(|slot| slot.proof);
            for node in answer.account_proof.into_iter().chain(of_slots) {
                proof.nodes.insert(node);
            }
        }
        proof
    }

    pub(crate) fn revm(&self) -> Floor {
        let mut state = CacheDB::new(EmptyDB::default());
        for (address, slots) in self.touched() {
            let code: Bytes = self.anvil.expect("eth_getCode", &json!([address, "latest"]));
            state.insert_account_info(address, AccountInfo::from_bytecode(Bytecode::new_raw(code)));
            for slot in slots {
                let value = self.anvil.storage(address, slot).into();
                state.insert_account_storage(address, slot.into(), value).unwrap();
            }
        }
        Floor { state, calls: self.calls() }
    }
}

/// The same calls with nothing to prove: a plain map, code analysed beforehand.
pub(crate) struct Floor {
    state: CacheDB<EmptyDB>,
    calls: Vec<(Address, Bytes)>,
}

impl Floor {
    pub(crate) fn run(&mut self) {
        for (to, data) in &self.calls {
            let mut evm = Context::mainnet().with_db(&mut self.state).build_mainnet();
            let result = evm.system_call_with_caller(Address::ZERO, *to, data.clone()).unwrap().result;
            let word = U256::from_be_slice(&result.output().unwrap()[..32]);
            assert_eq!(word, U256::from(u8::from(!is_any_device(data))));
        }
    }
}

/// The one getter that answers no here.
fn is_any_device(data: &Bytes) -> bool {
    data.starts_with(&abi::allowAnyDeviceCall::SELECTOR)
}
