//! A small chain state for tests and fuzzing, its tries built by an independent implementation (`alloy-trie`'s
//! `HashBuilder`).
//!
//! One file for three: the unit tests here, the fuzz targets, and the example that writes their seeds. Never part of the
//! library.

use std::collections::BTreeMap;

use alloy::consensus::{EMPTY_ROOT_HASH, Header};
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::proof::ProofRetainer;
use alloy_trie::{HashBuilder, KECCAK_EMPTY, Nibbles, TrieAccount};
use kms_chain::trie::HashedBytes;

#[derive(Default, Clone)]
pub(crate) struct Contract {
    pub(crate) code: Vec<u8>,
    pub(crate) slots: BTreeMap<U256, U256>,
}

impl Contract {
    pub(crate) fn storage_root(&self, nodes: &mut HashedBytes) -> B256 {
        let slots = self.slots.iter().filter(|(_, value)| !value.is_zero());
        let slots = slots.map(|(k, v)| (keccak256(B256::from(*k)), alloy::rlp::encode(v))).collect();
        trie(&slots, nodes)
    }
}

/// Contracts and their storage.
#[derive(Default, Clone)]
pub(crate) struct World {
    pub(crate) contracts: BTreeMap<Address, Contract>,
}

impl World {
    pub(crate) fn deploy(&mut self, at: Address, code: &[u8]) {
        self.contracts.entry(at).or_default().code = code.to_vec();
    }

    pub(crate) fn store(&mut self, at: Address, slot: U256, value: U256) {
        self.contracts.entry(at).or_default().slots.insert(slot, value);
    }

    /// The state root, every node of every trie, and every code.
    pub(crate) fn prove(&self) -> (B256, HashedBytes, HashedBytes) {
        let mut nodes = HashedBytes::default();
        let mut codes = HashedBytes::default();
        let mut accounts = BTreeMap::new();
        for (address, contract) in &self.contracts {
            let code_hash = if contract.code.is_empty() {
                KECCAK_EMPTY
            } else {
                codes.insert(Bytes::from(contract.code.clone()))
            };
            let account = TrieAccount {
                nonce: 1,
                balance: U256::from(5),
                storage_root: contract.storage_root(&mut nodes),
                code_hash,
            };
            accounts.insert(keccak256(address), alloy::rlp::encode(account));
        }
        (trie(&accounts, &mut nodes), nodes, codes)
    }
}

/// Builds a trie and keeps all of its nodes.
pub(crate) fn trie(entries: &BTreeMap<B256, Vec<u8>>, nodes: &mut HashedBytes) -> B256 {
    if entries.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    let all: ProofRetainer = entries.keys().map(|key| Nibbles::unpack(*key)).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(all);
    for (key, value) in entries {
        builder.add_leaf(Nibbles::unpack(*key), value);
    }
    let root = builder.root();
    for (_, node) in builder.take_proof_nodes().into_inner() {
        nodes.insert(Bytes::from(node.to_vec()));
    }
    root
}

/// A header of today's form over a state root.
pub(crate) fn header(state_root: B256, number: u64, timestamp: u64) -> Bytes {
    let header = Header {
        state_root,
        number,
        timestamp,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(B256::ZERO),
        ..Header::default()
    };
    alloy::rlp::encode(header).into()
}
