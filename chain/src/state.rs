//! The state of the chain after one block, as far as proofs carry it.
//!
//! ```text
//! stateRoot -walk keccak(address)-> account { nonce, balance, storageRoot, codeHash }
//! storageRoot -walk keccak(slot)-> value         codeHash -> code
//! ```
//!
//! Owns the way from a state root to an account, a slot and a contract's code, and counts what is read. Never takes
//! a value from anywhere but a walk, and never guesses: what is not proven is a [`StateError::Missing`] that names
//! the item, for the reader to fetch. Called by `evm`. Threats: a provider that lies or leaves something out; a
//! contract that reads without end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::rlp::Decodable;
use alloy_trie::{KECCAK_EMPTY, TrieAccount};

use crate::deny::{ChainDeny, ChainDenyCode};
use crate::trie::{HashedBytes, TrieError, walk};

/// The most accounts that one decision may read. A genuine one reads four: two proxies and their implementations.
pub const MAX_ACCOUNTS: usize = 64;
/// The most storage slots that one decision may read. A genuine one reads about ten.
pub const MAX_SLOTS: usize = 512;

/// An item that a decision needs and no proof carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// An account, or the proof that there is none.
    Account(Address),
    /// A storage slot.
    Slot(Address, U256),
    /// The code of a contract.
    Code(Address),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(address) => write!(f, "the account {address}"),
            Self::Slot(address, slot) => write!(f, "slot {slot:#x} of {address}"),
            Self::Code(address) => write!(f, "the code of {address}"),
        }
    }
}

/// What was read of a state: accounts, each with slots.
pub(crate) type Footprint = BTreeMap<Address, BTreeSet<U256>>;

/// Why a read of the state has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateError {
    /// The evidence lacks something; with it the same read may succeed.
    #[error("{0} is not proven")]
    Missing(Missing),
    /// No further evidence would help.
    #[error(transparent)]
    Refused(#[from] ChainDeny),
}

/// The state under one root. What was used of the evidence is remembered, so that slack can be told from evidence.
pub(crate) struct ProvenState<'a> {
    root: B256,
    nodes: &'a HashedBytes,
    codes: &'a HashedBytes,
    accounts: HashMap<Address, Option<TrieAccount>>,
    slots: HashMap<(Address, U256), U256>,
    code_owners: BTreeMap<B256, Address>,
    used: HashSet<B256>,
    max_slots: usize,
}

impl<'a> ProvenState<'a> {
    pub(crate) fn new(root: B256, nodes: &'a HashedBytes, codes: &'a HashedBytes) -> Self {
        Self {
            root,
            nodes,
            codes,
            accounts: HashMap::new(),
            slots: HashMap::new(),
            code_owners: BTreeMap::new(),
            used: HashSet::new(),
            max_slots: MAX_SLOTS,
        }
    }

    /// The same state, where so many slots may be read.
    pub(crate) const fn with_max_slots(mut self, max_slots: usize) -> Self {
        self.max_slots = max_slots;
        self
    }

    /// How many slots may be read.
    pub(crate) const fn max_slots(&self) -> usize {
        self.max_slots
    }

    /// The account, or none where the trie shows that there is none.
    pub(crate) fn account(&mut self, address: Address) -> Result<Option<TrieAccount>, StateError> {
        if let Some(known) = self.accounts.get(&address) {
            return Ok(*known);
        }
        check_limit(self.accounts.len(), MAX_ACCOUNTS, "accounts")?;
        let leaf = self.walk(self.root, keccak256(address), Missing::Account(address))?;
        let account = leaf.map(read_account).transpose()?;
        if let Some(account) = account {
            self.code_owners.insert(account.code_hash, address);
        }
        self.accounts.insert(address, account);
        Ok(account)
    }

    /// The value of a slot; zero where the account or the entry is shown not to exist.
    pub(crate) fn slot(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        if let Some(known) = self.slots.get(&(address, slot)) {
            return Ok(*known);
        }
        check_limit(self.slots.len(), self.max_slots, "storage slots")?;
        let value = match self.account(address)? {
            None => U256::ZERO,
            Some(account) => {
                let key = keccak256(B256::from(slot));
                let leaf = self.walk(account.storage_root, key, Missing::Slot(address, slot))?;
                leaf.map(read_value).transpose()?.unwrap_or_default()
            }
        };
        self.slots.insert((address, slot), value);
        Ok(value)
    }

    /// The code with this hash, which an account that was read before must have.
    pub(crate) fn code(&mut self, hash: B256) -> Result<Bytes, StateError> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytes::new());
        }
        let owner = self.code_owners.get(&hash).copied().unwrap_or_default();
        let code = self.codes.get(&hash).ok_or(StateError::Missing(Missing::Code(owner)))?;
        self.used.insert(hash);
        Ok(code.clone())
    }

    /// The hash of the code at an address, none where there is no code.
    pub(crate) fn code_hash(&mut self, address: Address) -> Result<Option<B256>, StateError> {
        let account = self.account(address)?;
        Ok(account.map(|account| account.code_hash).filter(|hash| *hash != KECCAK_EMPTY))
    }

    /// The hashes of the nodes and codes that the reads so far relied on.
    pub(crate) fn used(&self) -> &HashSet<B256> {
        &self.used
    }

    /// The accounts and slots that were read so far.
    pub(crate) fn footprint(&self) -> Footprint {
        let mut footprint: Footprint =
            self.accounts.keys().map(|address| (*address, BTreeSet::new())).collect();
        for (address, slot) in self.slots.keys() {
            footprint.entry(*address).or_default().insert(*slot);
        }
        footprint
    }

    fn walk(&mut self, root: B256, key: B256, item: Missing) -> Result<Option<&'a [u8]>, StateError> {
        let (nodes, used) = (self.nodes, &mut self.used);
        let found = walk(root, &key, |hash| {
            let node = nodes.get(hash)?;
            used.insert(*hash);
            Some(node.as_ref())
        });
        found.map_err(|error| match error {
            TrieError::MissingNode(_) => StateError::Missing(item),
            TrieError::Malformed(what) => malformed(what),
        })
    }
}

fn check_limit(count: usize, max: usize, what: &str) -> Result<(), StateError> {
    if count < max {
        return Ok(());
    }
    let expected = format!("at most {max} {what}");
    Err(ChainDeny::new(ChainDenyCode::ContractStateLimit, format!("more than {max} {what}"), expected).into())
}

fn read_account(mut leaf: &[u8]) -> Result<TrieAccount, StateError> {
    let account = TrieAccount::decode(&mut leaf).map_err(|_| malformed("an account that cannot be read"))?;
    if leaf.is_empty() { Ok(account) } else { Err(malformed("bytes after an account")) }
}

/// Some development chains keep entries of value zero: the walked value counts, not whether there is an entry.
fn read_value(mut leaf: &[u8]) -> Result<U256, StateError> {
    let value = U256::decode(&mut leaf).map_err(|_| malformed("a storage value that cannot be read"))?;
    if leaf.is_empty() { Ok(value) } else { Err(malformed("bytes after a storage value")) }
}

fn malformed(what: &str) -> StateError {
    ChainDeny::new(ChainDenyCode::ProofMalformed, what, "a well-formed state trie").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    const AT: Address = Address::repeat_byte(7);

    fn world() -> World {
        let mut world = World::default();
        world.deploy(AT, &[0x60, 0x00]);
        world.store(AT, U256::from(1), U256::from(42));
        world
    }

    #[test]
    fn state__should_prove_accounts_slots_code_and_their_absence() {
        let (root, nodes, codes) = world().prove();
        let mut state = ProvenState::new(root, &nodes, &codes);
        assert_eq!(state.slot(AT, U256::from(1)), Ok(U256::from(42)));
        assert_eq!(state.slot(AT, U256::from(2)), Ok(U256::ZERO));
        assert_eq!(state.account(Address::repeat_byte(9)), Ok(None));
        let hash = state.code_hash(AT).unwrap().unwrap();
        assert_eq!(state.code(hash).unwrap().as_ref(), [0x60, 0x00]);
    }

    #[test]
    fn state__should_name_what_is_missing() {
        let (root, nodes, codes) = world().prove();
        let none = HashedBytes::default();
        let mut state = ProvenState::new(root, &none, &codes);
        assert_eq!(state.account(AT), Err(StateError::Missing(Missing::Account(AT))));
        let mut state = ProvenState::new(root, &nodes, &none);
        let hash = state.code_hash(AT).unwrap().unwrap();
        assert_eq!(state.code(hash), Err(StateError::Missing(Missing::Code(AT))));
        let storage_root = state.account(AT).unwrap().unwrap().storage_root;
        let mut without = nodes.clone();
        without.retain(|hash| *hash != storage_root);
        let mut state = ProvenState::new(root, &without, &codes);
        let slot = U256::from(1);
        assert_eq!(state.slot(AT, slot), Err(StateError::Missing(Missing::Slot(AT, slot))));
    }

    #[test]
    fn state__should_bound_what_is_read() {
        let (root, nodes, codes) = world().prove();
        let mut state = ProvenState::new(root, &nodes, &codes);
        let over = (0..=MAX_SLOTS).map(|i| state.slot(AT, U256::from(i))).find_map(Result::err);
        let Some(StateError::Refused(deny)) = over else { panic!("{over:?}") };
        assert_eq!(deny.code, ChainDenyCode::ContractStateLimit);
    }
}
