//! What the tests of the proven read share: an anchor, a clock, and one question asked from the first request to the
//! decision, heads included.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy::primitives::Address;
use kms_chain::{
    Anchor, ChainDeny, ChainDenyCode, DevSource, Freshness, GrantAt, HeadSource, HeadTrust, Question,
    Reading, Rpc, RpcLimits, Transport, read,
};

use crate::anvil_support::CHAIN_ID;

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn dev_anchor(kms: Address, grant_at: GrantAt) -> Anchor {
    Anchor::new(CHAIN_ID, kms, HeadTrust::Dev, grant_at, Freshness::default()).unwrap()
}

/// A client that waits two seconds for an answer: a provider that hangs must not make the tests slow.
pub(crate) fn client(url: &str) -> Arc<Rpc> {
    let limits = RpcLimits { request: Duration::from_secs(2), ..RpcLimits::default() };
    Arc::new(Rpc::new(url, Transport::Secure, limits).unwrap())
}

/// Asks a provider of a development chain everything, heads included.
pub(crate) async fn ask(url: &str, anchor: &Anchor, question: &Question) -> Result<Reading, ChainDeny> {
    let rpc = client(url);
    let heads = DevSource::new(Arc::clone(&rpc))?.heads().await?;
    let finalized = (anchor.grant_at() == GrantAt::LatestAndFinalized).then_some(heads.finalized);
    read(&rpc, anchor, question, heads.latest, finalized, now()).await
}

/// Whether a decision was made, and which; otherwise why not.
pub(crate) fn outcome(result: &Result<Reading, ChainDeny>) -> Result<bool, ChainDenyCode> {
    result.as_ref().map(|reading| reading.decision().allowed).map_err(|deny| deny.code)
}
