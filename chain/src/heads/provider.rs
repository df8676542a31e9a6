//! What one provider says about heads. A header is rebuilt from the answer's fields and must have the announced hash.

use alloy::primitives::U64;
use serde_json::json;

use crate::answers::read_block;
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::BlockHeader;
use crate::rpc::{Rpc, RpcCall, RpcFault, RpcResult};

/// How far a provider has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tips {
    pub(crate) latest: u64,
    pub(crate) finalized: u64,
}

/// How far the provider is, if it is on this chain.
pub(crate) async fn tips(rpc: &Rpc, chain_id: u64) -> Result<Tips, ChainDeny> {
    let calls = [
        RpcCall { method: "eth_chainId", params: json!([]) },
        RpcCall { method: "eth_blockNumber", params: json!([]) },
        RpcCall { method: "eth_getBlockByNumber", params: json!(["finalized", false]) },
    ];
    let mut results = rpc.batch(&calls).await?.into_iter();
    let found = number(results.next(), "eth_chainId")?;
    if found != chain_id {
        let found = format!("chain id {found}");
        return Err(ChainDeny::new(ChainDenyCode::ChainIdMismatch, found, format!("chain id {chain_id}")));
    }
    let latest = number(results.next(), "eth_blockNumber")?;
    let finalized = block(results.next())?.number();
    Ok(Tips { latest, finalized })
}

/// The blocks at these heights.
pub(crate) async fn blocks(rpc: &Rpc, heights: [u64; 2]) -> Result<[BlockHeader; 2], ChainDeny> {
    let calls = heights.map(|height| RpcCall {
        method: "eth_getBlockByNumber",
        params: json!([format!("{height:#x}"), false]),
    });
    let mut results = rpc.batch(&calls).await?.into_iter();
    let found = [block(results.next())?, block(results.next())?];
    if found.each_ref().map(BlockHeader::number) != heights {
        return Err(RpcFault::Invalid("eth_getBlockByNumber").into());
    }
    Ok(found)
}

fn number(result: Option<RpcResult>, method: &'static str) -> Result<u64, ChainDeny> {
    let value = result.unwrap_or(Err(RpcFault::WrongId))?;
    let number: U64 = serde_json::from_value(value).map_err(|_| RpcFault::Invalid(method))?;
    Ok(number.to())
}

fn block(result: Option<RpcResult>) -> Result<BlockHeader, ChainDeny> {
    read_block(result.unwrap_or(Err(RpcFault::WrongId))?)
}
