//! Heads that m of n providers with distinct hosts agree on, by hash, at one height.
//!
//! ```text
//! round 1   each provider: chain id, latest height, finalized height     (all at once)
//! heights   the highest that m providers have reached, less the confirmations
//! round 2   each provider: the block at both heights                     (all at once)
//! ```
//!
//! Agreement is on the hash, the rest is proven from it. Two hosts of one name are one voice. A provider that fails is
//! one voice less; two blocks at the finalized height are never outvoted but refused.
//!
//! A round ends as soon as every provider that is waited for has answered, or [`GRACE`](super::GRACE) after enough have; without enough,
//! it lasts as long as an RPC may. Who missed the grace in round 1 is still asked in round 2, and waited for only where there
//! is no quorum without it. So a silent provider costs a poll one grace, and two where it falls silent in between. What
//! holds of a second finalized block:
//!
//! - shown in time in both rounds, it is refused in that very poll;
//! - shown later, but within the time of an RPC, it is refused at the first poll that ends after it came (heads that were
//!   accepted before it came have counted until then);
//! - either way it is refused until that provider shows the agreed block, or fails: while a question to it hangs, its last
//!   word stands;
//! - never shown, it cannot be noticed. No late answer is ever a vote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::B256;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::gather::{Progress, gather};
use super::provider::{Tips, tips};
use super::voices::Voices;
use super::{HeadSource, Heads};
use crate::anchor::{DEV_CHAIN_ID, HeadEvidence, HeadTrust, MAX_HOSTS};
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::BlockHeader;
use crate::rpc::Rpc;

/// The blocks that must stand on top of the latest head, by default: an owner who has just approved an update does
/// not wait a quarter of an hour for it.
pub const CONFIRMATIONS: u64 = 1;

/// Heads by the agreement of providers.
pub struct QuorumSource {
    providers: Vec<Arc<Rpc>>,
    chain_id: u64,
    threshold: usize,
    confirmations: u64,
    voices: Mutex<Voices>,
}

impl QuorumSource {
    /// A source over providers of distinct hosts. Refused with `head-unauthenticated` where two share a host, or where
    /// the threshold is no majority.
    pub fn new(
        providers: Vec<Arc<Rpc>>,
        chain_id: u64,
        threshold: usize,
        confirmations: u64,
    ) -> Result<Self, ChainDeny> {
        let hosts: BTreeSet<&str> = providers.iter().map(|rpc| rpc.host()).collect();
        let distinct = hosts.len() == providers.len() && providers.len() <= MAX_HOSTS;
        let majority = threshold > providers.len() / 2 && threshold <= providers.len();
        if !distinct || !majority {
            let found = format!("{threshold} of {} distinct hosts", hosts.len());
            let expected = format!("a majority of at most {MAX_HOSTS} providers, each with its own host");
            return Err(ChainDeny::new(ChainDenyCode::HeadUnauthenticated, found, expected));
        }
        Ok(Self { providers, chain_id, threshold, confirmations, voices: Mutex::default() })
    }

    /// The trust that an anchor needs to accept this source's heads.
    #[must_use]
    pub fn trust(&self) -> HeadTrust {
        let hosts = self.providers.iter().map(|rpc| rpc.host().to_owned()).collect();
        HeadTrust::Quorum { hosts, threshold: self.threshold }
    }

    /// How far those have come that say so in time, by host; refused where they are fewer than the threshold.
    async fn tips(&self) -> Result<BTreeMap<String, Tips>, ChainDeny> {
        let mut tasks = JoinSet::new();
        for rpc in &self.providers {
            let (rpc, chain_id) = (Arc::clone(rpc), self.chain_id);
            tasks.spawn(async move { (rpc.host().to_owned(), tips(&rpc, chain_id).await) });
        }
        let (mut answers, mut last, mut awaited) = (BTreeMap::new(), None, self.providers.len());
        gather(&mut tasks, |(host, answer)| {
            awaited -= 1;
            match answer {
                Ok(tips) => drop(answers.insert(host, tips)),
                Err(deny) => last = Some(deny),
            }
            match answers.len() {
                found if found >= self.threshold => Progress::Enough,
                found if found + awaited >= self.threshold => Progress::Open,
                _ => Progress::Decided,
            }
        })
        .await;
        if answers.len() >= self.threshold {
            return Ok(answers);
        }
        Err(self.or_its_own(last, too_few(answers.len(), self.threshold)))
    }

    /// With one provider its own fault says more than the count.
    fn or_its_own(&self, fault: Option<ChainDeny>, deny: ChainDeny) -> ChainDeny {
        fault.filter(|_| self.providers.len() == 1).unwrap_or(deny)
    }

    /// The highest height that enough providers have reached.
    fn reached(&self, mut heights: Vec<u64>) -> u64 {
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.get(self.threshold - 1).copied().unwrap_or_default()
    }
}

impl HeadSource for QuorumSource {
    async fn heads(&self) -> Result<Heads, ChainDeny> {
        let all = self.tips().await?;
        let latest = self.reached(all.values().map(|tips| tips.latest).collect());
        let finalized = self.reached(all.values().map(|tips| tips.finalized).collect());
        let heights = [latest.saturating_sub(self.confirmations).max(finalized), finalized];
        let prompt: BTreeSet<String> = all.into_keys().collect();
        let mut voices = self.voices.lock().await;
        let votes = voices.votes(&self.providers, prompt, heights, self.threshold).await;
        // First what no honest pair of providers does.
        let finalized = agree(votes.finals, self.threshold, ChainDenyCode::HeadEquivocation)
            .map_err(|deny| self.or_its_own(votes.fault, deny))?;
        voices.agree(&finalized.header)?;
        let latest = agree(votes.tops, self.threshold, ChainDenyCode::ProvidersDisagree)?;
        Ok(Heads { latest, finalized })
    }
}

/// The block that enough hosts name. At the finalized height any second block is refused; at the latest, where
/// reorganisations are honest, only the lack of a quorum is.
fn agree(
    votes: Vec<(String, BlockHeader)>,
    threshold: usize,
    disagreement: ChainDenyCode,
) -> Result<HeadEvidence, ChainDeny> {
    let count = votes.len();
    let mut by_hash: BTreeMap<B256, HeadEvidence> = BTreeMap::new();
    for (host, header) in votes {
        let entry = by_hash
            .entry(header.hash())
            .or_insert_with(|| HeadEvidence { header, vouchers: BTreeSet::new() });
        entry.vouchers.insert(host);
    }
    let split = by_hash.len() > 1;
    let seen = by_hash.iter().map(|(hash, head)| format!("{hash} by {:?}", head.vouchers));
    let seen = seen.collect::<Vec<_>>().join(", ");
    let best = by_hash.into_values().max_by_key(|head| head.vouchers.len());
    match best.filter(|head| head.vouchers.len() >= threshold) {
        Some(head) if !split || disagreement == ChainDenyCode::ProvidersDisagree => Ok(head),
        _ if split => Err(ChainDeny::new(disagreement, seen, format!("{threshold} hosts with one block"))),
        _ => Err(too_few(count, threshold)),
    }
}

fn too_few(found: usize, threshold: usize) -> ChainDeny {
    let expected = format!("at least {threshold}");
    ChainDeny::new(ChainDenyCode::HeadUnauthenticated, format!("{found} usable answers"), expected)
}

/// Heads of a development chain, from one provider and vouched for by nobody.
pub struct DevSource(QuorumSource);

impl DevSource {
    /// A source over a development chain; on any other chain its heads are refused.
    pub fn new(provider: Arc<Rpc>) -> Result<Self, ChainDeny> {
        QuorumSource::new(vec![provider], DEV_CHAIN_ID, 1, 0).map(Self)
    }
}

impl HeadSource for DevSource {
    async fn heads(&self) -> Result<Heads, ChainDeny> {
        let Heads { mut latest, mut finalized } = self.0.heads().await?;
        latest.vouchers.clear();
        finalized.vouchers.clear();
        Ok(Heads { latest, finalized })
    }
}

#[cfg(test)]
mod tests {
    use alloy::consensus::Header;
    use serde_json::{Value, json};

    use super::*;
    use crate::anchor::{Anchor, Freshness, GrantAt, Level};
    use crate::rpc::{RpcLimits, Transport};
    use crate::testing::server::{Answer, Server};

    const NOW: u64 = 1_800_000_000;

    /// A chain whose blocks depend on a seed.
    fn block(seed: u8, number: u64) -> Value {
        let header = Header { number, timestamp: NOW, extra_data: vec![seed].into(), ..Header::default() };
        let hash = header.hash_slow();
        let mut value = serde_json::to_value(header).unwrap();
        value["hash"] = json!(hash);
        value["transactions"] = json!([]);
        value
    }

    fn result(call: &Value, chain_id: u64, latest: u64, seed: u8) -> Value {
        let height = call["params"][0].as_str().unwrap_or_default();
        let height = u64::from_str_radix(height.trim_start_matches("0x"), 16).unwrap_or(latest - 10);
        match call["method"].as_str().unwrap() {
            "eth_chainId" => json!(format!("{chain_id:#x}")),
            "eth_blockNumber" => json!(format!("{latest:#x}")),
            _ => block(if height > latest - 10 { seed } else { seed & 1 }, height),
        }
    }

    /// A provider of its own host (all of 127.0.0.0/8 is this machine).
    async fn provider(host: u8, chain_id: u64, latest: u64, seed: u8) -> Arc<Rpc> {
        let server = Server::start(move |calls| {
            let answer =
                |call: &Value| json!({ "id": call["id"], "result": result(call, chain_id, latest, seed) });
            Answer::Raw(calls.iter().map(answer).collect::<Value>().to_string().into_bytes())
        })
        .await;
        let url = server.url.replace("127.0.0.1", &format!("127.0.0.{host}"));
        Arc::new(Rpc::new(&url, Transport::Secure, RpcLimits::default()).unwrap())
    }

    async fn quorum(providers: &[(u64, u64, u8)]) -> Result<Heads, ChainDenyCode> {
        let mut all = Vec::new();
        for (host, (chain_id, latest, seed)) in (1..).zip(providers) {
            all.push(provider(host, *chain_id, *latest, *seed).await);
        }
        let source = QuorumSource::new(all, 1, 2, 1).map_err(|deny| deny.code)?;
        let heads = source.heads().await.map_err(|deny| deny.code)?;
        let anchor =
            Anchor::new(1, [7; 20].into(), source.trust(), GrantAt::Latest, Freshness::default()).unwrap();
        anchor.authenticate(Level::Latest, &heads.latest, NOW).unwrap();
        Ok(heads)
    }

    #[tokio::test]
    async fn quorum__should_take_the_height_that_enough_providers_have_reached() {
        let heads = quorum(&[(1, 100, 0), (1, 102, 0), (1, 101, 0)]).await.unwrap();
        assert_eq!((heads.latest.header.number(), heads.finalized.header.number()), (100, 91));
        assert_eq!(heads.latest.vouchers.len(), 3);
    }

    #[tokio::test]
    async fn quorum__should_do_without_a_provider_of_another_chain_but_not_without_two() {
        assert!(quorum(&[(1, 100, 0), (1, 100, 0), (5, 100, 0)]).await.is_ok());
        let refused = quorum(&[(1, 100, 0), (5, 100, 0), (5, 100, 0)]).await;
        assert_eq!(refused.unwrap_err(), ChainDenyCode::HeadUnauthenticated);
    }

    #[tokio::test]
    async fn quorum__should_refuse_providers_that_disagree() {
        // Seeds 2 and 4 differ at the tip only, 1 differs at the finalized height too.
        assert!(quorum(&[(1, 100, 2), (1, 100, 2), (1, 100, 4)]).await.is_ok());
        let refused = quorum(&[(1, 100, 0), (1, 100, 2), (1, 100, 4)]).await;
        assert_eq!(refused.unwrap_err(), ChainDenyCode::ProvidersDisagree);
        let refused = quorum(&[(1, 100, 2), (1, 100, 2), (1, 100, 1)]).await;
        assert_eq!(refused.unwrap_err(), ChainDenyCode::HeadEquivocation);
    }

    #[tokio::test]
    async fn quorum__should_count_one_host_once() {
        let twice = vec![provider(1, 1, 100, 0).await, provider(1, 1, 100, 0).await];
        let refused = QuorumSource::new(twice, 1, 2, 1).err().unwrap();
        assert_eq!(refused.code, ChainDenyCode::HeadUnauthenticated);
    }

    #[tokio::test]
    async fn dev__should_serve_the_development_chain_only() {
        let heads = DevSource::new(provider(1, DEV_CHAIN_ID, 100, 0).await).unwrap().heads().await.unwrap();
        assert!(heads.latest.vouchers.is_empty() && heads.latest.header.number() == 100);
        let refused = DevSource::new(provider(1, 1, 100, 0).await).unwrap().heads().await;
        assert_eq!(refused.unwrap_err().code, ChainDenyCode::ChainIdMismatch);
    }

    #[tokio::test]
    async fn provider__should_be_refused_with_a_header_of_another_hash() {
        let server = Server::start(|calls| {
            let answer = |call: &Value| {
                let mut result = result(call, DEV_CHAIN_ID, 100, 0);
                if result.is_object() {
                    result["timestamp"] = json!("0x1");
                }
                json!({ "id": call["id"], "result": result })
            };
            Answer::Raw(calls.iter().map(answer).collect::<Value>().to_string().into_bytes())
        })
        .await;
        let rpc = Arc::new(Rpc::new(&server.url, Transport::Secure, RpcLimits::default()).unwrap());
        let refused = DevSource::new(rpc).unwrap().heads().await.unwrap_err();
        assert_eq!(refused.code, ChainDenyCode::HeaderHashMismatch);
    }
}
