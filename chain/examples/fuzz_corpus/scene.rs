//! The scene of the fuzz targets `witness` and `contract`: an anchor, a question, and two contracts whose code the caller
//! chooses, over a small state. Shared with the example that writes the seeds, so that seeds replay.
#![allow(dead_code)]

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, U256, hex};
use kms_chain::anchor::DEV_CHAIN_ID;
use kms_chain::{
    Anchor, AppBootInfo, BlockHeader, ChainDeny, Freshness, GrantAt, HeadEvidence, HeadTrust, Question,
    ReplayError, Witness, prune,
};
use world::World;

#[path = "../../src/testing/world.rs"]
pub(crate) mod world;

const KMS: Address = Address::repeat_byte(0xaa);
const APP: Address = Address::repeat_byte(0xbb);
const NOW: u64 = 1_800_000_000;
/// Long call data: `(sload(0), "")`. Short call data, a getter: `sload(argument)`.
pub(crate) const HONEST: &[u8] = &hex!("3661010010601257600435545f5260205ff3 5b5f545f5260406020526060 5ff3");
/// Passes the call on to the app, and returns what it returns or reverts with.
pub(crate) const ASKS_APP: &[u8] = &hex!(
    "365f5f37 5f5f365f5f 73bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 5af1 3d5f5f3e 602a57 3d5ffd 5b3d5ff3"
);

/// The anchor that the scene's witnesses are made under.
pub(crate) fn anchor(grant_at: GrantAt) -> Anchor {
    Anchor::new(DEV_CHAIN_ID, KMS, HeadTrust::Dev, grant_at, Freshness::default())
        .expect("a development anchor")
}

/// What is asked.
pub(crate) fn question() -> Question {
    Question::App(AppBootInfo {
        appId: APP,
        composeHash: B256::repeat_byte(1),
        deviceId: B256::repeat_byte(2),
        osImageHash: B256::repeat_byte(3),
        tcbStatus: "UpToDate".to_owned(),
        advisoryIds: vec!["INTEL-SA-00001".to_owned()],
        ..AppBootInfo::default()
    })
}

/// Both contracts, with some storage each.
pub(crate) fn world(kms: &[u8], app: &[u8]) -> World {
    let mut world = World::default();
    world.deploy(KMS, kms);
    world.deploy(APP, app);
    for slot in 0..8 {
        world.store(KMS, U256::from(slot), U256::from(1));
        world.store(APP, U256::from(slot), U256::from(1));
    }
    world
}

fn head(root: B256, number: u64, timestamp: u64) -> Result<HeadEvidence, ChainDeny> {
    let header = BlockHeader::parse(world::header(root, number, timestamp))?;
    Ok(HeadEvidence { header, vouchers: BTreeSet::new() })
}

/// The witness of a decision over one state, or over a latest and a finalized one.
pub(crate) fn witness(anchor: &Anchor, worlds: &[World]) -> Result<Witness, ReplayError> {
    let proofs: Vec<_> = worlds.iter().map(World::prove).collect();
    let mut heads = proofs.iter().zip([(100, NOW - 10), (90, NOW - 900)]);
    let mut next = || heads.next().map(|((root, ..), (number, time))| head(*root, number, time)).transpose();
    let latest = next()?.expect("a state");
    let mut witness = Witness::new(anchor, &question(), latest, next()?, NOW);
    for (_, nodes, codes) in &proofs {
        nodes.iter().for_each(|(_, node)| witness.add_node(node.clone()));
        for (_, code) in codes.iter() {
            witness.add_code(code.clone());
        }
    }
    prune(anchor, &mut witness)?;
    Ok(witness)
}
