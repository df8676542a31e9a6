//! A contract's events, in pages that a provider is willing to give, and the lists that they add up to.
//!
//! Threat: a provider that leaves events out. Nothing here is believed: `status` compares every entry with the state.

use std::collections::BTreeMap;
use std::fmt::Display;

use alloy::primitives::{Address, B256, Bytes, LogData, U64};
use alloy::sol_types::SolEvent;
use kms_chain::RpcFault;
use kms_chain::rpc::RpcCall;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::error::{Fault, OwnerError};
use super::provider::{self, At, Provider};

/// The most requests for events: at the 10,000 blocks that many providers give at once, 40 million blocks.
const MAX_PAGES: u32 = 4096;
/// The most events, so that no provider can fill the memory. An owner who changes something every minute makes half of
/// them in a year.
const MAX_EVENTS: usize = 1_000_000;

/// An event, and where it stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    transaction_hash: B256,
    log_index: U64,
}

impl Event {
    /// The event, if it is of this type.
    pub(crate) fn decode<E: SolEvent>(&self) -> Option<E> {
        E::decode_log_data(&LogData::new_unchecked(self.topics.clone(), self.data.clone())).ok()
    }

    fn is(&self, signature: B256) -> bool {
        self.topics.first() == Some(&signature)
    }

    /// The one argument, where it is a word and not indexed.
    fn word(&self) -> Option<B256> {
        B256::try_from(self.data.as_ref()).ok()
    }
}

/// An entry of a list, and what put it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry<T: Display = B256> {
    #[serde(serialize_with = "as_text")]
    pub(crate) value: T,
    pub(crate) block_number: u64,
    pub(crate) transaction: B256,
}

impl Entry {
    /// The same of the address in the word.
    pub(crate) fn into_address(self) -> Entry<Address> {
        let Self { value, block_number, transaction } = self;
        Entry { value: Address::from_word(value), block_number, transaction }
    }
}

/// An address has a checksum in this form.
fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A list that two events make: one adds a word, the other takes it away.
pub(crate) struct List {
    pub(crate) name: &'static str,
    pub(crate) added: B256,
    /// None where nothing is ever taken away.
    pub(crate) removed: Option<B256>,
    /// The selector of the getter that tells whether a word is on it.
    pub(crate) getter: [u8; 4],
}

/// A list as the events have it.
pub(crate) struct Rebuilt {
    /// What is on it, in the order in which it was added.
    pub(crate) entries: Vec<Entry>,
    /// What was on it once.
    pub(crate) gone: Vec<B256>,
}

impl List {
    /// What the events add up to. They must be in order.
    pub(crate) fn rebuild(&self, events: &[Event]) -> Rebuilt {
        let mut words: BTreeMap<B256, Option<Entry>> = BTreeMap::new();
        for event in events {
            let Some(value) = event.word() else { continue };
            if event.is(self.added) {
                let entry = Entry {
                    value,
                    block_number: event.block_number.to(),
                    transaction: event.transaction_hash,
                };
                // What is added twice stands since the first time.
                words.entry(value).or_default().get_or_insert(entry);
            } else if self.removed.is_some_and(|removed| event.is(removed)) {
                words.insert(value, None);
            }
        }
        let gone = words.iter().filter(|(_, entry)| entry.is_none()).map(|(word, _)| *word).collect();
        let mut entries: Vec<Entry> = words.into_values().flatten().collect();
        entries.sort_by_key(|entry| entry.block_number);
        Rebuilt { entries, gone }
    }
}

/// The first block that has the contract's code, found by halving. None where the provider has no state that old, or
/// says that it always had it.
pub(crate) fn deployment_block(provider: &Provider, contract: Address, latest: u64) -> Option<u64> {
    let (mut without, mut with) = (0, latest);
    if has_code_at(provider, contract, 0)? {
        return None;
    }
    while without + 1 < with {
        let middle = without + (with - without) / 2;
        if has_code_at(provider, contract, middle)? { with = middle } else { without = middle }
    }
    Some(with)
}

fn has_code_at(provider: &Provider, contract: Address, block: u64) -> Option<bool> {
    let code = provider.ask_one(provider::code(contract, At::Block(block))).ok()?;
    Some(!serde_json::from_value::<Bytes>(code).ok()?.is_empty())
}

/// All of a contract's events from one block to another, in order. Where a page is refused, half of it is asked for.
pub(crate) fn events(
    provider: &Provider,
    contract: Address,
    from: u64,
    to: u64,
) -> Result<Vec<Event>, OwnerError> {
    let (mut events, mut next, mut size) = (Vec::new(), from, to.saturating_sub(from) + 1);
    for _ in 0..MAX_PAGES {
        if events.len() > MAX_EVENTS {
            let found = format!("{} events up to block {next}", events.len());
            let expected = format!("at most {MAX_EVENTS}");
            return Err(OwnerError::new(Fault::HistoryUnavailable, found, expected));
        }
        if next > to {
            events.sort_by_key(|event: &Event| (event.block_number, event.log_index));
            return Ok(events);
        }
        let end = next.saturating_add(size - 1).min(to);
        match page(provider, contract, next, end) {
            Ok(page) => {
                events.extend(page);
                next = end + 1;
                // By little: the size that a provider refuses is often just above.
                size = size.saturating_add(size / 8 + 1);
            }
            Err(fault) if end > next && is_too_much(&fault) => size = (end - next + 1).div_ceil(2),
            Err(fault) => return Err(provider.fault(&fault)),
        }
    }
    let found = format!("{MAX_PAGES} requests, and block {next} of {to} is not reached");
    Err(OwnerError::new(Fault::HistoryUnavailable, found, "larger pages"))
}

/// Whether a smaller page may help: providers limit blocks, results, bytes and time, each in its own words.
fn is_too_much(fault: &RpcFault) -> bool {
    matches!(
        fault,
        RpcFault::Error { .. } | RpcFault::TooLarge(_) | RpcFault::Timeout | RpcFault::Status(400 | 413)
    )
}

fn page(provider: &Provider, contract: Address, from: u64, to: u64) -> Result<Vec<Event>, RpcFault> {
    let filter = json!({
        "address": contract,
        "fromBlock": format!("{from:#x}"),
        "toBlock": format!("{to:#x}"),
    });
    let value = provider.ask_one(RpcCall { method: "eth_getLogs", params: json!([filter]) })?;
    let invalid = RpcFault::Invalid("eth_getLogs");
    let events: Vec<Event> = serde_json::from_value(value).map_err(|_| invalid.clone())?;
    let asked =
        |event: &Event| event.address == contract && (from..=to).contains(&event.block_number.to::<u64>());
    if events.iter().all(asked) { Ok(events) } else { Err(invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List =
        List { name: "x", added: B256::repeat_byte(1), removed: Some(B256::repeat_byte(2)), getter: [0; 4] };

    fn event(signature: u8, value: u8, block: u64) -> Event {
        Event {
            address: Address::ZERO,
            topics: vec![B256::repeat_byte(signature)],
            data: B256::repeat_byte(value).into(),
            block_number: U64::from(block),
            transaction_hash: B256::repeat_byte(9),
            log_index: U64::ZERO,
        }
    }

    #[test]
    fn rebuild__should_keep_what_was_added_and_not_removed_since() {
        let events = [
            event(1, 7, 1),
            event(1, 8, 2),
            event(1, 7, 3),
            event(2, 8, 4),
            event(2, 9, 5),
            event(3, 6, 6),
            event(1, 5, 7),
            event(2, 5, 8),
            event(1, 5, 9),
        ];
        let rebuilt = LIST.rebuild(&events);
        let entries: Vec<_> =
            rebuilt.entries.iter().map(|entry| (entry.value[0], entry.block_number)).collect();
        assert_eq!(entries, [(7, 1), (5, 9)]);
        assert_eq!(rebuilt.gone, [B256::repeat_byte(8), B256::repeat_byte(9)]);
    }
}
