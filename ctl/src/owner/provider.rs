//! A JSON-RPC provider, asked in batches, and its answers in their types.
//!
//! Owns how answers are read. What a provider says is believed here: a person acts on it with their own key, and every
//! write is checked again by the contract. A node never believes a provider. The URL may hold a key and is not printed.

use std::cell::Cell;

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::sol_types::SolCall;
use kms_chain::rpc::{RpcCall, RpcResult};
use kms_chain::{Rpc, RpcFault, RpcLimits, Transport};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::args::ChainArgs;
use super::error::{Fault, OwnerError};
use super::revert::Revert;
use crate::error::CtlError;

/// A provider, and what it takes to wait for it.
pub(crate) struct Provider {
    rpc: Rpc,
    runtime: Runtime,
    /// The chain that `--chain-id` names, or else the first one that the provider named.
    chain: Cell<Option<u64>>,
}

/// The state as of which something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Latest,
    Block(u64),
}

impl At {
    fn param(self) -> Value {
        match self {
            Self::Latest => json!("latest"),
            Self::Block(number) => json!(format!("{number:#x}")),
        }
    }
}

/// A block, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    pub(crate) number: U64,
    pub(crate) hash: B256,
    pub(crate) timestamp: U64,
    pub(crate) base_fee_per_gas: Option<U256>,
}

impl Provider {
    /// A client; nothing is asked yet.
    pub(crate) fn new(args: &ChainArgs) -> Result<Self, CtlError> {
        let transport =
            if args.insecure_plain_http { Transport::InsecurePlainHttp } else { Transport::Secure };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(CtlError::Runtime)?;
        let rpc = Rpc::new(&args.rpc, transport, RpcLimits::default());
        let rpc = rpc.map_err(|fault| OwnerError::provider("--rpc", &fault))?;
        Ok(Self { rpc, runtime, chain: Cell::new(args.chain_id) })
    }

    /// Asks all of it in one HTTP request; the answers stand in the order of the calls.
    pub(crate) fn ask(&self, calls: &[RpcCall]) -> Result<Answers, OwnerError> {
        let results = self.runtime.block_on(self.rpc.batch(calls)).map_err(|fault| self.fault(&fault))?;
        Ok(Answers { results: results.into_iter(), host: self.rpc.host().to_owned() })
    }

    /// Asks one thing and gives what happened, unjudged.
    pub(crate) fn ask_one(&self, call: RpcCall) -> RpcResult {
        let RpcCall { method, params } = call;
        self.runtime.block_on(self.rpc.call(method, params))
    }

    /// What happened at this provider, as an error.
    pub(crate) fn fault(&self, fault: &RpcFault) -> OwnerError {
        OwnerError::provider(self.rpc.host(), fault)
    }

    /// Waits.
    pub(crate) fn sleep(&self, time: std::time::Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// The chain id of an answer, if it is the one that `--chain-id` names, or else the same as before: a provider must
    /// not show one chain and have a transaction signed for another.
    pub(crate) fn expect_chain(&self, answers: &mut Answers) -> Result<u64, OwnerError> {
        let found = answers.value::<U64>("eth_chainId")?.to::<u64>();
        match self.chain.replace(Some(found)) {
            Some(wanted) if wanted != found => {
                let (found, wanted) = (format!("chain {found}"), format!("chain {wanted}"));
                Err(OwnerError::new(Fault::WrongChain, found, wanted))
            }
            _ => Ok(found),
        }
    }
}

/// The answers to one batch, to be taken in the order of its calls.
pub(crate) struct Answers {
    results: std::vec::IntoIter<RpcResult>,
    host: String,
}

impl Answers {
    /// What happened to the next call.
    pub(crate) fn next(&mut self) -> RpcResult {
        self.results.next().unwrap_or(Err(RpcFault::WrongId))
    }

    /// The next result, in its type.
    pub(crate) fn value<T: DeserializeOwned>(&mut self, method: &'static str) -> Result<T, OwnerError> {
        let value = self
            .next()
            .and_then(|value| serde_json::from_value(value).map_err(|_| RpcFault::Invalid(method)));
        value.map_err(|fault| OwnerError::provider(&self.host, &fault))
    }

    /// What the next view call returned, or reverted with.
    pub(crate) fn returned(&mut self) -> Result<Result<Bytes, Revert>, OwnerError> {
        let fault = match self.next() {
            Ok(value) => match serde_json::from_value(value) {
                Ok(bytes) => return Ok(Ok(bytes)),
                Err(_) => RpcFault::Invalid("eth_call"),
            },
            Err(fault) => fault,
        };
        Revert::of(&fault).map(Err).ok_or_else(|| OwnerError::provider(&self.host, &fault))
    }

    /// What the next view call returned, decoded. A contract that has no such function is another contract.
    pub(crate) fn view<C: SolCall>(&mut self) -> Result<C::Return, OwnerError> {
        self.view_if_any::<C>()?.ok_or_else(|| {
            OwnerError::new(
                Fault::NotAContract,
                "a contract without it, or none",
                format_args!("a contract with {}", C::SIGNATURE),
            )
        })
    }

    /// The same; none where the contract has no such function.
    pub(crate) fn view_if_any<C: SolCall>(&mut self) -> Result<Option<C::Return>, OwnerError> {
        let returned = self.returned()?;
        Ok(returned.ok().and_then(|bytes| C::abi_decode_returns_validate(&bytes).ok()))
    }
}

/// `eth_chainId`.
pub(crate) fn chain_id() -> RpcCall {
    RpcCall { method: "eth_chainId", params: json!([]) }
}

/// `eth_getBlockByNumber`, without its transactions.
pub(crate) fn block(at: At) -> RpcCall {
    RpcCall { method: "eth_getBlockByNumber", params: json!([at.param(), false]) }
}

/// `eth_getCode`.
pub(crate) fn code(address: Address, at: At) -> RpcCall {
    RpcCall { method: "eth_getCode", params: json!([address, at.param()]) }
}

/// `eth_getStorageAt`.
pub(crate) fn storage(address: Address, slot: B256, at: At) -> RpcCall {
    RpcCall { method: "eth_getStorageAt", params: json!([address, slot, at.param()]) }
}

/// `eth_call` of a view function.
pub(crate) fn view<C: SolCall>(to: Address, call: &C, at: At) -> RpcCall {
    view_raw(to, &call.abi_encode().into(), at)
}

/// `eth_call` of calldata.
pub(crate) fn view_raw(to: Address, data: &Bytes, at: At) -> RpcCall {
    RpcCall { method: "eth_call", params: json!([{ "to": to, "data": data }, at.param()]) }
}

/// `eth_call` as somebody.
pub(crate) fn simulate(from: Address, to: Option<Address>, data: &Bytes) -> RpcCall {
    RpcCall { method: "eth_call", params: json!([transaction(from, to, data), "latest"]) }
}

/// `eth_call` as somebody, as of a block.
pub(crate) fn simulate_at(from: Address, to: Address, data: &Bytes, at: At) -> RpcCall {
    RpcCall { method: "eth_call", params: json!([transaction(from, Some(to), data), at.param()]) }
}

/// `eth_estimateGas` as somebody.
pub(crate) fn estimate(from: Address, to: Option<Address>, data: &Bytes) -> RpcCall {
    RpcCall { method: "eth_estimateGas", params: json!([transaction(from, to, data)]) }
}

fn transaction(from: Address, to: Option<Address>, data: &Bytes) -> Value {
    let mut transaction = json!({ "from": from, "data": data });
    if let (Some(to), Some(fields)) = (to, transaction.as_object_mut()) {
        fields.insert("to".to_owned(), json!(to));
    }
    transaction
}
