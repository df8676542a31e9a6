//! One transaction: simulated, priced, signed, sent, and followed until it is in a block.
//!
//! Threats: a provider that makes a sender pay absurd fees (there is a limit), one that swallows a transaction (waiting
//! is bounded, and the hash is told), and a transaction that fails (simulated first; nothing is sent that reverts).

use std::time::{Duration, Instant};

use alloy::consensus::TxEip1559;
use alloy::primitives::{Address, B256, Bytes, LogData, TxKind, U64, U256};
use kms_chain::rpc::RpcCall;
use serde::Deserialize;
use serde_json::json;

use super::args::SendingArgs;
use super::error::{Fault, OwnerError};
use super::provider::{self, Answers, At, Block, Provider};
use super::revert::Revert;
use super::signer::Signer;

/// Gas on top of what the estimate says, in percent: state may change before the block.
const GAS_MARGIN_PERCENT: u64 = 20;
/// The most gas for one transaction: the largest deployment here needs 3 million.
const MAX_GAS: u64 = 10_000_000;
/// How soon a receipt is asked for again at first, and at most: a fraction of a block's time.
const POLL: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
const WEI_PER_GWEI: u128 = 1_000_000_000;

/// What a transaction is to do.
pub(crate) struct Outgoing {
    /// None deploys.
    pub(crate) to: Option<Address>,
    pub(crate) data: Bytes,
}

/// A transaction in its block.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub(crate) transaction_hash: B256,
    pub(crate) block_number: U64,
    pub(crate) block_hash: B256,
    pub(crate) gas_used: U64,
    pub(crate) effective_gas_price: Option<U256>,
    pub(crate) contract_address: Option<Address>,
    pub(crate) logs: Vec<ReceiptLog>,
    status: U64,
}

/// What a contract emitted in it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReceiptLog {
    pub(crate) address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

impl ReceiptLog {
    /// The event, to be decoded or compared.
    pub(crate) fn event(&self) -> LogData {
        LogData::new_unchecked(self.topics.clone(), self.data.clone())
    }
}

impl Receipt {
    /// Whether that contract emitted this.
    pub(crate) fn has(&self, contract: Address, event: &LogData) -> bool {
        self.logs.iter().any(|log| log.address == contract && log.event() == *event)
    }
}

/// Sends it and waits for its block. A revert is an error before anything is sent.
pub(crate) fn send(
    provider: &Provider,
    signer: &Signer,
    outgoing: &Outgoing,
    args: &SendingArgs,
) -> Result<Receipt, OwnerError> {
    let transaction = prepare(provider, signer.address(), outgoing, args)?;
    let (raw, hash) = signer.sign(transaction)?;
    let sent = provider.ask_one(RpcCall { method: "eth_sendRawTransaction", params: json!([raw]) });
    if let Err(fault) = sent {
        // It may have arrived nevertheless.
        let fix = format!("Look for transaction {hash} first; run the command again if it is nowhere.");
        return Err(provider.fault(&fault).fixed_by(fix));
    }
    confirm(provider, hash, Duration::from_secs(args.timeout))
}

fn prepare(
    provider: &Provider,
    from: Address,
    outgoing: &Outgoing,
    args: &SendingArgs,
) -> Result<TxEip1559, OwnerError> {
    let Outgoing { to, data } = outgoing;
    let mut answers = provider.ask(&[
        provider::chain_id(),
        provider::simulate(from, *to, data),
        provider::estimate(from, *to, data),
        RpcCall { method: "eth_getTransactionCount", params: json!([from, "pending"]) },
        provider::block(At::Latest),
        RpcCall { method: "eth_maxPriorityFeePerGas", params: json!([]) },
        RpcCall { method: "eth_getBalance", params: json!([from, "latest"]) },
    ])?;
    let chain_id = provider.expect_chain(&mut answers)?;
    answers.returned()?.map_err(|revert| reverts(&revert))?;
    let gas_limit = gas(&mut answers)?;
    let nonce = answers.value::<U64>("eth_getTransactionCount")?.to();
    let (max_fee_per_gas, max_priority_fee_per_gas) = fees(&mut answers, args)?;
    let balance: U256 = answers.value("eth_getBalance")?;
    let cost = U256::from(max_fee_per_gas) * U256::from(gas_limit);
    if balance < cost {
        let (found, expected) = (format!("{from} has {balance} wei"), format!("{cost} wei"));
        return Err(OwnerError::new(Fault::InsufficientFunds, found, expected));
    }
    Ok(TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas,
        max_priority_fee_per_gas,
        to: to.map_or(TxKind::Create, TxKind::Call),
        input: data.clone(),
        ..TxEip1559::default()
    })
}

/// A simulation that reverted.
pub(crate) fn reverts(revert: &Revert) -> OwnerError {
    OwnerError::new(Fault::Reverts, revert.reason(), "a call that succeeds")
}

fn gas(answers: &mut Answers) -> Result<u64, OwnerError> {
    let estimate: u64 = answers.value::<U64>("eth_estimateGas")?.to();
    let limit = estimate.saturating_add(estimate / 100 * GAS_MARGIN_PERCENT);
    if limit > MAX_GAS {
        let found = format!("{estimate} gas");
        return Err(OwnerError::new(Fault::FeeTooHigh, found, format_args!("at most {MAX_GAS} gas")));
    }
    Ok(limit)
}

/// The most per unit of gas in all, and of it for the one who makes the block. Twice the base fee outlasts five full
/// blocks; what is not needed is not paid.
fn fees(answers: &mut Answers, args: &SendingArgs) -> Result<(u128, u128), OwnerError> {
    let block: Block = answers.value("eth_getBlockByNumber")?;
    let base: u128 = block.base_fee_per_gas.unwrap_or_default().saturating_to();
    let tip: u128 = answers.value::<U256>("eth_maxPriorityFeePerGas")?.saturating_to();
    let limit = u128::from(args.max_fee) * WEI_PER_GWEI;
    let needed = base.saturating_add(tip);
    if needed > limit {
        let found = format!("{needed} wei for a unit of gas");
        return Err(OwnerError::new(Fault::FeeTooHigh, found, format_args!("at most {limit} wei")));
    }
    Ok((base.saturating_mul(2).saturating_add(tip).min(limit), tip))
}

/// Waits for the transaction's block. A provider that fails for a moment is asked again.
fn confirm(provider: &Provider, hash: B256, time: Duration) -> Result<Receipt, OwnerError> {
    let end = Instant::now() + time;
    let [mut pause, longest] = POLL;
    loop {
        if let Ok(Some(receipt)) = receipt(provider, hash) {
            return judge(receipt);
        }
        if Instant::now() >= end {
            let found = format!("transaction {hash} is not in a block after {} s", time.as_secs());
            return Err(OwnerError::new(Fault::NotConfirmed, found, "a block with it"));
        }
        provider.sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// The receipt, if the block that it names is the chain's block of that height.
fn receipt(provider: &Provider, hash: B256) -> Result<Option<Receipt>, OwnerError> {
    let call = RpcCall { method: "eth_getTransactionReceipt", params: json!([hash]) };
    let Some(receipt) = provider.ask(&[call])?.value::<Option<Receipt>>("eth_getTransactionReceipt")? else {
        return Ok(None);
    };
    let at = At::Block(receipt.block_number.to());
    let block: Option<Block> = provider.ask(&[provider::block(at)])?.value("eth_getBlockByNumber")?;
    let canonical = block.is_some_and(|block| block.hash == receipt.block_hash);
    Ok(Some(receipt).filter(|receipt| canonical && receipt.transaction_hash == hash))
}

fn judge(receipt: Receipt) -> Result<Receipt, OwnerError> {
    if receipt.status == U64::from(1) {
        return Ok(receipt);
    }
    let found = format!("transaction {} failed in block {}", receipt.transaction_hash, receipt.block_number);
    Err(OwnerError::new(Fault::TransactionFailed, found, "success"))
}
