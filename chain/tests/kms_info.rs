//! The proven read of `kmsInfo()` on a real chain: the keys that governance published, or a refusal, whoever answers.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod proxy_support;
mod reading_support;

use std::sync::Arc;

use alloy::primitives::{Address, Bytes};
use contracts_support::{World, asker, word};
use kms_chain::bindings::DstackKms;
use kms_chain::{
    Anchor, ChainDeny, ChainDenyCode, DevSource, GrantAt, HeadSource, InfoReading, Question, Witness,
    read_kms_info, replay, replay_kms_info,
};
use proxy_support::{Lie, Proxy, Reply, always, honest, results_of};
use reading_support::{ask, client, dev_anchor, now};
use serde_json::json;

const KEY: [u8; 33] = [2; 33];
const CA: [u8; 91] = [3; 91];

fn publish(world: &World, key: &[u8], quote_bytes: usize) {
    let info = DstackKms::KmsInfo {
        k256Pubkey: Bytes::copy_from_slice(key),
        caPubkey: Bytes::copy_from_slice(&CA),
        quote: vec![7; quote_bytes].into(),
        eventlog: Bytes::from_static(b"[]"),
    };
    world.govern(&DstackKms::setKmsInfoCall { info });
}

async fn info(url: &str, anchor: &Anchor) -> Result<InfoReading, ChainDeny> {
    let rpc = client(url);
    let heads = DevSource::new(Arc::clone(&rpc))?.heads().await?;
    let finalized = (anchor.grant_at() == GrantAt::LatestAndFinalized).then_some(heads.finalized);
    read_kms_info(&rpc, anchor, heads.latest, finalized, now()).await
}

#[tokio::test]
async fn kms_info__should_be_read_with_a_witness_that_proves_it_anywhere() {
    let world = World::new();
    publish(&world, &KEY, 5006);
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    let reading = info(&world.anvil.url(), &anchor).await.unwrap();
    assert_eq!((&reading.info.k256_public_key[..], &reading.info.ca_public_key[..]), (&KEY[..], &CA[..]));
    assert_eq!((reading.info.quote.len(), &reading.info.event_log[..]), (5006, &b"[]"[..]));
    assert_eq!(reading.info.latest.number, world.anvil.block_number());
    assert!(reading.rounds <= 2, "{} rounds", reading.rounds);

    let bytes = reading.witness.encode();
    let witness = Witness::decode_recorded(&bytes, reading.witness.digest()).unwrap();
    assert_eq!(replay_kms_info(&anchor, &witness).unwrap(), reading.info);
    println!("a witness of kmsInfo with a quote of 5006 bytes: {} bytes", bytes.len());

    // It decides nothing, and what decides holds no keys.
    assert_eq!(replay(&anchor, &witness).unwrap_err().code(), ChainDenyCode::QuestionMalformed);
    let question = Question::Kms(asker(Address::ZERO));
    let decided = ask(&world.anvil.url(), &anchor, &question).await.unwrap().into_parts().1;
    let refused = replay_kms_info(&anchor, &decided).unwrap_err();
    assert_eq!(refused.code(), ChainDenyCode::WitnessOtherQuestion);
    // Nothing may be added.
    let mut more = witness;
    more.add_node(vec![0xc0].into());
    assert_eq!(replay_kms_info(&anchor, &more).unwrap_err().code(), ChainDenyCode::WitnessSlack);
}

#[tokio::test]
async fn kms_info__should_be_refused_where_there_is_none() {
    let world = World::new();
    let code = async |kms| {
        let anchor = dev_anchor(kms, GrantAt::Latest);
        info(&world.anvil.url(), &anchor).await.unwrap_err().code
    };
    assert_eq!(code(world.kms).await, ChainDenyCode::KmsInfoUnusable);
    assert_eq!(code(Address::repeat_byte(9)).await, ChainDenyCode::ContractMissing);
    // A contract without such a function: the apps' code.
    assert_eq!(code(world.app_implementation).await, ChainDenyCode::KmsInfoUnusable);
    publish(&world, &KEY, 40_000);
    assert_eq!(code(world.kms).await, ChainDenyCode::ContractStateLimit);
    publish(&world, &KEY, 30_000);
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    info(&world.anvil.url(), &anchor).await.unwrap();
}

#[tokio::test]
async fn kms_info__should_be_the_same_at_both_heads_where_policy_demands_it() {
    let world = World::new();
    let anchor = dev_anchor(world.kms, GrantAt::LatestAndFinalized);
    publish(&world, &KEY, 0);
    // One slot per epoch: what is finalized lies a few blocks behind.
    for _ in 0..4 {
        world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(9) });
    }
    info(&world.anvil.url(), &anchor).await.unwrap();
    publish(&world, &[4; 33], 0);
    let refused = info(&world.anvil.url(), &anchor).await.unwrap_err();
    assert_eq!(refused.code, ChainDenyCode::GrantNotFinal);
}

#[tokio::test]
async fn kms_info__should_not_be_what_a_provider_makes_of_it() {
    let world = World::new();
    publish(&world, &KEY, 100);
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    let through = async |lie: Lie| {
        let proxy = Proxy::start(world.anvil.port(), lie).await;
        info(&proxy.url(), &anchor).await.map(|reading| reading.info.k256_public_key)
    };
    assert_eq!(through(honest()).await.unwrap()[..], KEY);
    let value = results_of("eth_getProof", |_, proof| {
        if let Some(slots) = proof["storageProof"].as_array_mut() {
            for slot in slots {
                slot["value"] = json!("0x43");
            }
        }
    });
    assert_eq!(through(value).await.unwrap_err().code, ChainDenyCode::ProofValueMismatch);
    let code = results_of("eth_getCode", |_, code| *code = json!("0x600160005260206000f3"));
    assert_eq!(through(code).await.unwrap_err().code, ChainDenyCode::CodeMismatch);
    let down = always(|| Reply::Status(503));
    assert_eq!(through(down).await.unwrap_err().code, ChainDenyCode::RpcStatus);
}
