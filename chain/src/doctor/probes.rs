//! What is asked of one provider. Each probe is one round of requests; the last is a whole read, as a node does it.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use serde_json::json;

use super::{Check, Finding};
use crate::abi::AppBootInfo;
use crate::anchor::{Anchor, GrantAt, HeadEvidence, HeadTrust, Level};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::BlockHeader;
use crate::heads::provider::{blocks, tips};
use crate::question::Question;
use crate::reader::{Reading, read};
use crate::rpc::{Rpc, RpcCall, RpcFault};

/// The depths at which a proof is asked for, in blocks below the latest.
const DEPTHS: [u64; 8] = [0, 2, 16, 64, 96, 128, 1024, 8192];
/// The deepest of them.
pub const MAX_PROBED_DEPTH: u64 = 8192;
/// How deep proofs must reach while the chain finalizes as it should: two epochs and half of one, in blocks.
const FINALIZED_DEPTH: u64 = 80;
/// What an operator of a provider can change.
const WIDEN: &str = "Use a provider that serves proofs further back: an archive node, or reth with \
                     --rpc.eth-proof-window, geth with --history.state.";

/// Everything there is to find at one provider.
pub(super) async fn probe(rpc: &Rpc, anchor: &Anchor, now: u64) -> Vec<Finding> {
    let (latest, finalized) = match heads(rpc, anchor.chain_id()).await {
        Ok(heads) => heads,
        Err(deny) => return vec![Finding::refused(Check::Chain, &deny)],
    };
    let found = format_args!("chain {}, block {}", anchor.chain_id(), latest.number()).to_string();
    vec![
        Finding::good(Check::Chain, found),
        age(Check::Clock, anchor, Level::Latest, &latest, now),
        finality(anchor, &latest, &finalized, now),
        access_list(rpc, anchor.contract(), &latest).await,
        proof_window(rpc, anchor, &latest, &finalized).await,
        proven_read(rpc, anchor, latest, finalized, now).await,
    ]
}

async fn heads(rpc: &Rpc, chain_id: u64) -> Result<(BlockHeader, BlockHeader), ChainDeny> {
    let tips = tips(rpc, chain_id).await?;
    let [latest, finalized] = blocks(rpc, [tips.latest, tips.finalized]).await?;
    Ok((latest, finalized))
}

/// The head's age, by this machine's clock; too old and too new have their own codes.
fn age(check: Check, anchor: &Anchor, level: Level, header: &BlockHeader, now: u64) -> Finding {
    match anchor.check_fresh(level, header.timestamp(), now) {
        Ok(()) if header.timestamp() > now => {
            Finding::good(check, format_args!("{} s in the future", header.timestamp() - now))
        }
        Ok(()) => Finding::good(check, format_args!("{} s old", now - header.timestamp())),
        Err(deny) => Finding::refused(check, &deny),
    }
}

fn finality(anchor: &Anchor, latest: &BlockHeader, finalized: &BlockHeader, now: u64) -> Finding {
    let mut finding = age(Check::Finality, anchor, Level::Finalized, finalized, now);
    let behind = latest.number().saturating_sub(finalized.number());
    finding.found = format!("{behind} blocks behind the latest, {}", finding.found);
    finding
}

async fn access_list(rpc: &Rpc, contract: Address, latest: &BlockHeader) -> Finding {
    let call = json!({ "to": contract, "data": question().call_data() });
    let params = json!([call, { "blockHash": latest.hash() }]);
    match rpc.call("eth_createAccessList", params).await {
        Ok(answer) if answer.get("accessList").is_some_and(serde_json::Value::is_array) => {
            Finding::good(Check::AccessList, "served")
        }
        outcome => {
            let found = outcome.err().unwrap_or(RpcFault::Invalid("eth_createAccessList")).to_string();
            let advice = "Use a provider that supports eth_createAccessList by block hash: without it a \
                          decision takes up to 8 rounds of requests instead of 2.";
            Finding::costly(Check::AccessList, found, advice)
        }
    }
}

/// How far back proofs are served without a gap, and whether that covers what policy reads.
async fn proof_window(rpc: &Rpc, anchor: &Anchor, latest: &BlockHeader, finalized: &BlockHeader) -> Finding {
    let depths: Vec<u64> = DEPTHS.into_iter().filter(|depth| *depth <= latest.number()).collect();
    let calls: Vec<RpcCall> = depths
        .iter()
        .map(|depth| {
            let height = format!("{:#x}", latest.number() - depth);
            RpcCall { method: "eth_getProof", params: json!([anchor.contract(), [], height]) }
        })
        .collect();
    let served = match rpc.batch(&calls).await {
        Ok(results) => {
            depths.iter().zip(results).map_while(|(depth, result)| result.is_ok().then_some(*depth))
        }
        Err(fault) => return Finding::refused(Check::ProofWindow, &ChainDeny::from(fault)),
    };
    let Some(window) = served.last() else {
        return Finding::unfit(Check::ProofWindow, "no proof, not even at the latest block", WIDEN);
    };
    let all = depths.last() == Some(&window);
    let found = format!("{}{window} blocks", if all { "at least " } else { "" });
    let needed = (latest.number() - finalized.number().min(latest.number())).max(FINALIZED_DEPTH);
    match anchor.grant_at() {
        GrantAt::LatestAndFinalized if !all && window < needed => Finding::unfit(
            Check::ProofWindow,
            format_args!("{found}; the finalized block needs {needed}"),
            WIDEN,
        ),
        _ if !all && window < 16 => Finding::costly(Check::ProofWindow, found, WIDEN),
        _ => Finding::good(Check::ProofWindow, found),
    }
}

/// A question about nobody: it touches the contract's code and state, and the answer does not matter.
fn question() -> Question {
    Question::App(AppBootInfo::default())
}

async fn proven_read(
    rpc: &Rpc,
    anchor: &Anchor,
    latest: BlockHeader,
    finalized: BlockHeader,
    now: u64,
) -> Finding {
    // Whether its heads have a quorum is another finding: here each is taken as if all hosts had vouched for it.
    let vouchers = match anchor.trust() {
        HeadTrust::Dev => BTreeSet::new(),
        HeadTrust::Quorum { hosts, .. } => hosts.clone(),
    };
    let evidence = |header| HeadEvidence { header, vouchers: vouchers.clone() };
    let finalized = (anchor.grant_at() == GrantAt::LatestAndFinalized).then(|| evidence(finalized));
    let before = rpc.bytes_received();
    match read(rpc, anchor, &question(), evidence(latest), finalized, now).await {
        Ok(reading) => cost(&reading, rpc.bytes_received() - before),
        Err(deny) => Finding::refused(Check::ProvenRead, &deny),
    }
}

fn cost(reading: &Reading, bytes: u64) -> Finding {
    let found = format!("{} rounds of requests, {bytes} bytes", reading.rounds());
    match &reading.decision().denial {
        Some(denial) if denial.code == ChainDenyCode::ContractMissing => {
            Finding::refused(Check::ProvenRead, denial)
        }
        _ if reading.rounds() > 2 => {
            let advice = "Use a provider whose access lists are complete: 2 rounds are enough.";
            Finding::costly(Check::ProvenRead, found, advice)
        }
        _ => Finding::good(Check::ProvenRead, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths__should_end_at_the_deepest_that_is_documented() {
        assert!(DEPTHS.is_sorted() && DEPTHS.last() == Some(&MAX_PROBED_DEPTH));
    }
}
