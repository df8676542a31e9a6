//! What `status` establishes of a contract: its lists from its events, each entry checked against its state, all as of one
//! block.
//!
//! Threat: a provider whose events and state disagree, by malice, pruning or lag. That is an error of its own: neither
//! side is shown as the truth.

use alloy::primitives::{Address, B256, Bytes, b256};
use alloy::sol_types::SolEvent;
use kms_chain::bindings::DstackApp;
use serde::Serialize;

use super::error::{Fault, OwnerError};
use super::history::{self, Event, List, Rebuilt};
use super::proposal::{checksummed, checksummed_if_any};
use super::provider::{self, At, Block, Provider};

/// Where a proxy keeps the address of its code (ERC-1967).
const IMPLEMENTATION_SLOT: B256 = b256!("0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
/// The most getters in one batch: many providers take a hundred calls.
const BATCH: usize = 100;

/// What both contracts have, as of one block.
#[derive(Debug, Serialize)]
pub(crate) struct Base {
    pub(crate) chain_id: u64,
    pub(crate) block_number: u64,
    pub(crate) block_hash: B256,
    #[serde(serialize_with = "checksummed")]
    pub(crate) contract: Address,
    #[serde(serialize_with = "checksummed")]
    pub(crate) owner: Address,
    /// Null where ownership is not on offer, or the contract has no second step.
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) pending_owner: Option<Address>,
    /// The proxy's code (ERC-1967); null where the contract is no such proxy.
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) implementation: Option<Address>,
    /// The first block whose events were read.
    pub(crate) from_block: u64,
    /// Whether that is the whole history, as far as the provider tells.
    pub(crate) complete: bool,
}

/// A contract under examination.
pub(crate) struct Examination<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) base: Base,
    pub(crate) events: Vec<Event>,
    contradictions: Vec<String>,
}

impl<'a> Examination<'a> {
    /// Pins a block, and reads what both contracts have, and all events up to it.
    pub(crate) fn of(
        provider: &'a Provider,
        contract: Address,
        from_block: Option<u64>,
    ) -> Result<Self, OwnerError> {
        let mut answers = provider.ask(&[provider::chain_id(), provider::block(At::Latest)])?;
        let chain_id = provider.expect_chain(&mut answers)?;
        let block: Block = answers.value("eth_getBlockByNumber")?;
        let (number, at) = (block.number.to(), At::Block(block.number.to()));
        let mut answers = provider.ask(&[
            provider::code(contract, at),
            provider::view(contract, &DstackApp::ownerCall {}, at),
            provider::view(contract, &DstackApp::pendingOwnerCall {}, at),
            provider::storage(contract, IMPLEMENTATION_SLOT, at),
        ])?;
        if answers.value::<Bytes>("eth_getCode")?.is_empty() {
            let found = format!("no code at {contract} on chain {chain_id}");
            return Err(OwnerError::new(Fault::NotAContract, found, "a contract"));
        }
        let owner = answers.view::<DstackApp::ownerCall>()?;
        let pending = answers.view_if_any::<DstackApp::pendingOwnerCall>()?;
        let implementation = Address::from_word(answers.value("eth_getStorageAt")?);
        let from = from_block.or_else(|| history::deployment_block(provider, contract, number)).unwrap_or(0);
        let events = history::events(provider, contract, from, number)?;
        let base = Base {
            chain_id,
            block_number: number,
            block_hash: block.hash,
            contract,
            owner,
            pending_owner: pending.filter(|pending| !pending.is_zero()),
            implementation: Some(implementation).filter(|code| !code.is_zero()),
            from_block: from,
            complete: from_block.is_none(),
        };
        let mut examination = Self { provider, base, events, contradictions: Vec::new() };
        examination.check_base();
        Ok(examination)
    }

    /// The block that everything is read at.
    pub(crate) fn at(&self) -> At {
        At::Block(self.base.block_number)
    }

    /// The last event of this type.
    pub(crate) fn last<E: SolEvent>(&self) -> Option<E> {
        self.events.iter().rev().find_map(Event::decode::<E>)
    }

    /// Notes a contradiction where the last event of a setting says another thing than the state.
    pub(crate) fn compare<T: PartialEq + std::fmt::Display>(
        &mut self,
        what: &str,
        event: Option<T>,
        state: &T,
    ) {
        if let Some(event) = event.filter(|event| event != state) {
            self.contradictions.push(format!("{what}: {event} by the events, {state} by the state"));
        }
    }

    fn check_base(&mut self) {
        let owner = self.last::<DstackApp::OwnershipTransferred>().map(|event| event.newOwner);
        if self.base.complete && owner.is_none() {
            self.contradictions.push("the owner: no event by which it became that".to_owned());
        }
        self.compare("the owner", owner, &self.base.owner.clone());
        let code = self.last::<DstackApp::Upgraded>().map(|event| event.implementation);
        self.compare("the implementation", code, &self.base.implementation.unwrap_or_default());
    }

    /// A list by the events, with every word that was ever on it checked against the state.
    pub(crate) fn list(&mut self, list: &List) -> Result<Rebuilt, OwnerError> {
        let rebuilt = list.rebuild(&self.events);
        let on = rebuilt.entries.iter().map(|entry| (entry.value, true));
        let all: Vec<(B256, bool)> = on.chain(rebuilt.gone.iter().map(|word| (*word, false))).collect();
        for chunk in all.chunks(BATCH) {
            let calls: Vec<_> = chunk.iter().map(|(word, _)| self.getter(list, *word)).collect();
            let mut answers = self.provider.ask(&calls)?;
            for (word, by_events) in chunk {
                let by_state = answers.view::<DstackApp::allowAnyDeviceCall>()?;
                self.compare(&format!("{} {word}", list.name), Some(*by_events), &by_state);
            }
        }
        Ok(rebuilt)
    }

    fn getter(&self, list: &List, word: B256) -> kms_chain::rpc::RpcCall {
        let data = [&list.getter[..], &word[..]].concat().into();
        provider::view_raw(self.base.contract, &data, self.at())
    }

    /// That nothing contradicts itself, and that the block is still the chain's.
    pub(crate) fn conclude(self) -> Result<Base, OwnerError> {
        let block: Option<Block> =
            self.provider.ask(&[provider::block(self.at())])?.value("eth_getBlockByNumber")?;
        if block.is_none_or(|block| block.hash != self.base.block_hash) {
            let found = format!("another block {}", self.base.block_number);
            return Err(OwnerError::new(Fault::Reorganised, found, self.base.block_hash));
        }
        if self.contradictions.is_empty() {
            return Ok(self.base);
        }
        let found = self.contradictions.join("; ");
        Err(OwnerError::new(Fault::HistoryContradiction, found, "events that add up to the state"))
    }
}
