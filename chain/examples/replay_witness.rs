//! Replays a recorded witness: reads two files, prints one line of JSON, and needs neither a network nor a clock.
//!
//! ```text
//! replay_witness <witness> <anchor.json>
//! { "chain_id": 1, "contract": "0x..", "grant_at": "latest", "hosts": ["rpc.one", "rpc.two", "rpc.three"], "threshold": 2 }
//! ```
//!
//! Without hosts the anchor is that of a development chain. Shows an auditor's whole job with this crate; the tests run it
//! as a process of its own. Exits with 1 and the refusal where the witness proves nothing under the anchor.

use std::collections::BTreeSet;
use std::env;
use std::fs;

use alloy::primitives::{Address, B256};
use anyhow::Context as _;
use kms_chain::{Anchor, Decision, Freshness, GrantAt, HeadTrust, Witness, replay};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorFile {
    chain_id: u64,
    contract: Address,
    grant_at: GrantAt,
    #[serde(default)]
    hosts: BTreeSet<String>,
    #[serde(default)]
    threshold: usize,
}

impl AnchorFile {
    fn anchor(self) -> anyhow::Result<Anchor> {
        let Self { chain_id, contract, grant_at, hosts, threshold } = self;
        let quorum = HeadTrust::Quorum { hosts, threshold };
        let trust = if threshold == 0 { HeadTrust::Dev } else { quorum };
        Ok(Anchor::new(chain_id, contract, trust, grant_at, Freshness::default())?)
    }
}

/// What is recorded of a decision, and the digest of the witness that it was made from.
fn report(decision: &Decision, digest: B256) -> Value {
    json!({
        "allowed": decision.allowed,
        "denial": decision.denial,
        "reason": decision.reason,
        "explanation": decision.explanation,
        "latest": decision.latest,
        "finalized": decision.finalized,
        "clock": decision.clock,
        "witness": digest,
    })
}

fn main() -> anyhow::Result<()> {
    let mut paths = env::args().skip(1);
    let mut file =
        || fs::read(paths.next().context("two files: a witness and an anchor")?).context("reading");
    let (witness, anchor) = (file()?, file()?);
    let anchor = serde_json::from_slice::<AnchorFile>(&anchor)?.anchor()?;
    let witness = Witness::decode(&witness)?;
    println!("{}", report(&replay(&anchor, &witness)?, witness.digest()));
    Ok(())
}
