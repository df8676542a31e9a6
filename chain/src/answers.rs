//! The answers of a provider, read strictly and not yet believed.
//!
//! Owns the form of what `eth_createAccessList`, `eth_getProof`, `eth_getCode` and `eth_getBlockByNumber` return. Never judges:
//! `reader` keeps of it only bytes whose hash the chain names, `heads` only what enough hosts agree on. Threat: a
//! provider that answers anything.

use alloy::consensus::Header;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, TrieAccount};
use serde::Deserialize;
use serde_json::Value;

use crate::deny::ChainDeny;
use crate::header::BlockHeader;
use crate::rpc::RpcFault;

/// What a provider says that a call will touch: a hint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessList {
    /// The accounts, as often as the provider names them.
    pub access_list: Vec<AccessListItem>,
}

/// One account of an access list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessListItem {
    /// The account.
    pub address: Address,
    /// Its slots.
    pub storage_keys: Vec<B256>,
}

impl AccessList {
    /// Reads a result of `eth_createAccessList`.
    pub fn read(result: Value) -> Result<Self, RpcFault> {
        serde_json::from_value(result).map_err(|_| RpcFault::Invalid("eth_createAccessList"))
    }
}

/// What a provider claims of an account, and the trie nodes that should show it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountProof {
    /// The account.
    pub address: Address,
    /// The nodes from the state root to the account.
    pub account_proof: Vec<Bytes>,
    /// The claimed hash of its code.
    pub code_hash: B256,
    /// The claimed root of its storage.
    pub storage_hash: B256,
    /// Its slots.
    pub storage_proof: Vec<SlotProof>,
}

/// What a provider claims of a storage slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SlotProof {
    /// The slot, as the provider writes it.
    pub key: String,
    /// Its claimed value.
    pub value: U256,
    /// The nodes from the storage root to the slot.
    pub proof: Vec<Bytes>,
}

impl SlotProof {
    /// The slot. Providers write it with and without leading zeros.
    #[must_use]
    pub fn key(&self) -> Option<U256> {
        U256::from_str_radix(self.key.strip_prefix("0x")?, 16).ok()
    }
}

impl AccountProof {
    /// Reads a result of `eth_getProof`.
    pub fn read(result: Value) -> Result<Self, RpcFault> {
        serde_json::from_value(result).map_err(|_| RpcFault::Invalid("eth_getProof"))
    }

    /// Whether the provider claims that there is no such account, or an empty one.
    #[must_use]
    pub fn claims_no_account(&self) -> bool {
        [B256::ZERO, KECCAK_EMPTY].contains(&self.code_hash)
            && [B256::ZERO, EMPTY_ROOT_HASH].contains(&self.storage_hash)
    }

    /// Whether the claims are those of the account that the proof shows.
    pub(crate) fn agrees(&self, proven: Option<&TrieAccount>) -> bool {
        proven.map_or(self.claims_no_account(), |account| {
            account.code_hash == self.code_hash && account.storage_root == self.storage_hash
        })
    }
}

/// Reads a result of `eth_getCode`.
pub fn read_code(result: Value) -> Result<Bytes, RpcFault> {
    serde_json::from_value(result).map_err(|_| RpcFault::Invalid("eth_getCode"))
}

/// Reads a result of `eth_getBlockByNumber`: a header that has the announced hash. Fields of a later fork that are not
/// known here change the hash and are refused.
pub fn read_block(result: Value) -> Result<BlockHeader, ChainDeny> {
    #[derive(Deserialize)]
    struct Announced {
        hash: B256,
    }
    let invalid = |_| RpcFault::Invalid("eth_getBlockByNumber");
    let Announced { hash } = Announced::deserialize(&result).map_err(invalid)?;
    let header: Header = serde_json::from_value(result).map_err(invalid)?;
    BlockHeader::parse(Bytes::from(alloy::rlp::encode(header)))?.expect_hash(hash)
}
