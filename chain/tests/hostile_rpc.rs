//! One provider, one lie each: none of them changes an answer, and each is refused with its own code.
//!
//! A real proxy stands before a real anvil. For every lie the same question is asked through an honest proxy first, once
//! where the chain allows and once where it denies, so that a refusal shows the lie and nothing else.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod proxy_support;
mod reading_support;
mod scene_support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, U256, hex, keccak256};
use contracts_support::{asker, out_of_date, test_contract, word};
use kms_attestation::refusal::DenyClass;
use kms_chain::bindings::DstackApp;
use kms_chain::{ChainDenyCode, ContractReader, DevSource, FeedTiming, HeadFeed, Question};
use proxy_support::{Lie, Reply, always, answers_to, calls, honest, results_of};
use reading_support::{client, now, outcome};
use scene_support::Scene;
use serde_json::{Value, json};

/// The slot of an entry in one of the contracts' mappings.
fn entry(key: B256, field: u8) -> U256 {
    keccak256([key, B256::with_last_byte(field)].concat()).into()
}

/// Changes what is said about one slot: its answer, and the whole proof that holds it.
fn about_slot(slot: U256, lie: impl Fn(&mut Value, &mut Value) + Send + Sync + 'static) -> Lie {
    results_of("eth_getProof", move |_, proof| {
        let slots = proof["storageProof"].as_array().unwrap();
        let is_it = |answer: &Value| answer["key"].as_str().unwrap().parse() == Ok(slot);
        if let Some(at) = slots.iter().position(is_it) {
            let mut answer = proof["storageProof"][at].take();
            lie(&mut answer, proof);
            proof["storageProof"][at] = answer;
        }
    })
}

/// A leaf that is a trie of its own.
fn forged_leaf(slot: U256, value: u64) -> Bytes {
    let path = [&[0x20][..], keccak256(B256::from(slot)).as_slice()].concat();
    alloy::rlp::encode(vec![Bytes::from(path), alloy::rlp::encode(value).into()]).into()
}

#[tokio::test]
async fn read__should_refuse_a_changed_value() {
    let scene = Scene::new();
    for (question, answer, code) in [(scene.allowed(), true, 1), (scene.denied(), false, 2)] {
        let claimed = json!(if answer { "0x0" } else { "0x1" });
        let lie = about_slot(entry(word(code), 0), move |slot, _| slot["value"] = claimed.clone());
        let refused = ChainDenyCode::ProofValueMismatch;
        scene.assert_refused_for(&question, answer, refused, &lie).await;
    }
}

#[tokio::test]
async fn read__should_refuse_a_value_that_is_changed_in_its_leaf_too() {
    let scene = Scene::new();
    let revoked = about_slot(entry(word(1), 0), |slot, _| {
        slot["value"] = json!("0x0");
        *slot["proof"].as_array_mut().unwrap().last_mut().unwrap() = json!(forged_leaf(entry(word(1), 0), 0));
    });
    let code = ChainDenyCode::ProofTruncated;
    scene.assert_refused_for(&scene.allowed(), true, code, &revoked).await;
    // Nothing points at the forged leaf; that there is no entry is still shown.
    let granted = about_slot(entry(word(2), 0), |slot, _| {
        slot["value"] = json!("0x1");
        slot["proof"].as_array_mut().unwrap().push(json!(forged_leaf(entry(word(2), 0), 1)));
    });
    let code = ChainDenyCode::ProofValueMismatch;
    scene.assert_refused_for(&scene.denied(), false, code, &granted).await;
}

#[tokio::test]
async fn read__should_refuse_a_value_that_is_changed_up_to_the_accounts_leaf() {
    let scene = Scene::new();
    let granted = about_slot(entry(word(2), 0), |slot, proof| {
        let leaf = forged_leaf(entry(word(2), 0), 1);
        (slot["value"], slot["proof"]) = (json!("0x1"), json!([leaf]));
        let (old, new) =
            (proof["storageHash"].as_str().unwrap()[2..].to_owned(), hex::encode(keccak256(leaf)));
        let last = proof["accountProof"].as_array_mut().unwrap().last_mut().unwrap();
        *last = json!(last.as_str().unwrap().replace(&old, &new));
        proof["storageHash"] = json!(format!("0x{new}"));
    });
    let code = ChainDenyCode::ProofNodeMissing;
    scene.assert_refused_for(&scene.denied(), false, code, &granted).await;
}

/// The lie that a proof of absence invites: to end it early, and say that there is nothing.
#[tokio::test]
async fn read__should_refuse_a_truncated_exclusion_proof() {
    let scene = Scene::new();
    let hidden = |slot: U256| {
        about_slot(slot, |slot, _| {
            slot["value"] = json!("0x0");
            slot["proof"].as_array_mut().unwrap().truncate(1);
        })
    };
    let code = ChainDenyCode::ProofTruncated;
    scene.assert_refused_for(&scene.allowed(), true, code, &hidden(entry(word(1), 0))).await;
    // Here it would turn a denial into a grant: that the platform must be up to date is hidden.
    scene.world.own(scene.app, &DstackApp::setRequireTcbUpToDateCall { requireUpToDate: true });
    let question = Question::App(out_of_date(asker(scene.app)));
    scene.assert_refused_for(&question, false, code, &hidden(U256::from(3))).await;
}

#[tokio::test]
async fn read__should_refuse_an_account_that_is_said_not_to_exist() {
    let scene = Scene::new();
    let lie = results_of("eth_getProof", |_, proof| {
        proof["accountProof"].as_array_mut().unwrap().truncate(1);
        (proof["codeHash"], proof["storageHash"]) = (json!(B256::ZERO), json!(B256::ZERO));
    });
    scene.assert_refused(ChainDenyCode::ProofTruncated, &lie).await;
}

#[tokio::test]
async fn read__should_refuse_a_proof_that_lacks_a_node() {
    let scene = Scene::new();
    let no_leaf = results_of("eth_getProof", |_, proof| {
        proof["accountProof"].as_array_mut().unwrap().pop();
    });
    scene.assert_refused(ChainDenyCode::ProofNodeMissing, &no_leaf).await;
    let no_root = results_of("eth_getProof", |_, proof| {
        proof["accountProof"].as_array_mut().unwrap().remove(0);
    });
    scene.assert_refused(ChainDenyCode::ProofNodeMissing, &no_root).await;
}

#[tokio::test]
async fn read__should_refuse_the_proof_of_another_account() {
    let scene = Scene::new();
    let params = json!([scene.world.kms, [], "latest"]);
    let other: Value = scene.world.anvil.expect("eth_getProof", &params);
    let app = json!(scene.app);
    let openly = {
        let (app, other) = (app.clone(), other.clone());
        results_of("eth_getProof", move |params, proof| {
            if params[0] == app {
                *proof = other.clone();
            }
        })
    };
    scene.assert_refused(ChainDenyCode::ProofWrongAccount, &openly).await;
    let under_its_name = results_of("eth_getProof", move |params, proof| {
        if params[0] == app {
            for field in ["accountProof", "codeHash", "storageHash"] {
                proof[field] = other[field].clone();
            }
        }
    });
    scene.assert_refused(ChainDenyCode::ProofNodeMissing, &under_its_name).await;
}

#[tokio::test]
async fn read__should_refuse_the_code_of_another_contract() {
    let scene = Scene::new();
    let generous = json!(Bytes::from(test_contract("GetterlessApp")));
    let lie = results_of("eth_getCode", move |_, code| *code = generous.clone());
    scene.assert_refused(ChainDenyCode::CodeMismatch, &lie).await;
}

#[tokio::test]
async fn provider__should_cost_bounded_time_and_an_answer_when_broken() {
    let scene = Scene::new();
    for (code, lie) in [
        (ChainDenyCode::RpcTimeout, always(|| Reply::Hang)),
        (ChainDenyCode::RpcStatus, always(|| Reply::Status(500))),
        (ChainDenyCode::RpcTooLarge, always(|| Reply::Raw(vec![b' '; 10_000_000]))),
        (ChainDenyCode::RpcNotJson, always(|| Reply::Raw(b"<html>busy</html>".to_vec()))),
    ] {
        let begin = Instant::now();
        scene.assert_refused(code, &lie).await;
        assert!(begin.elapsed() < Duration::from_secs(8), "{code}: {:?}", begin.elapsed());
    }
}

/// Batches are a convenience: without them a provider costs more requests, and no more time or bytes.
#[tokio::test]
async fn provider__should_serve_without_batches() {
    let scene = Scene::new();
    let no_batches: Lie = Arc::new(|request, answer| {
        let error = json!({ "code": -32600, "message": "batches are not supported" });
        let refused = json!({ "jsonrpc": "2.0", "id": null, "error": error });
        Reply::Json(if request.is_array() { refused } else { answer })
    });
    for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
        let reading = scene.ask(&no_batches, &question).await.unwrap();
        assert_eq!((reading.decision().allowed, reading.rounds()), (answer, 2));
    }
}

/// The same faults, once the heads are there: in the middle of gathering the witness.
#[tokio::test]
async fn provider__should_be_typed_when_it_breaks_between_rounds() {
    let scene = Scene::new();
    for (code, reply) in [
        (ChainDenyCode::RpcTimeout, (|| Reply::Hang) as fn() -> Reply),
        (ChainDenyCode::RpcStatus, || Reply::Status(503)),
        (ChainDenyCode::RpcTooLarge, || Reply::Raw(vec![b'['; 10_000_000])),
        (ChainDenyCode::RpcNotJson, || Reply::Raw(b"\0".to_vec())),
        (ChainDenyCode::RpcWrongId, || Reply::Json(json!([]))),
    ] {
        let lie: Lie = Arc::new(
            move |request, answer| {
                if calls(request, "eth_getProof") { reply() } else { Reply::Json(answer) }
            },
        );
        scene.assert_refused(code, &lie).await;
    }
}

/// Undoes the last block when a reply to such a request is on its way, and mines others.
fn reorganising(scene: &Scene, method: &'static str) -> Lie {
    let world = Arc::clone(&scene.world);
    let done = Mutex::new(false);
    Arc::new(move |request, answer| {
        let mut done = done.lock().unwrap();
        if calls(request, method) && !*done {
            *done = true;
            world.anvil.expect::<Value>("anvil_reorg", &json!([1, []]));
        }
        Reply::Json(answer)
    })
}

#[tokio::test]
async fn read__should_refuse_a_mixture_of_two_chains() {
    let scene = Scene::new();
    for method in ["eth_chainId", "eth_getBlockByNumber", "eth_createAccessList"] {
        for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
            // The blocks that go are empty: what the contracts say stays the same.
            scene.world.anvil.mine(1);
            let lie = reorganising(&scene, method);
            let result = scene.ask(&lie, &question).await;
            // Before a hash is known nothing is lost: the new block is read at.
            let expected =
                if method == "eth_createAccessList" { Err(ChainDenyCode::RpcError) } else { Ok(answer) };
            assert_eq!(outcome(&result), expected, "{method}");
            assert_eq!(outcome(&scene.ask(&honest(), &question).await), Ok(answer));
        }
    }
}

fn access_lists(lie: impl Fn(&mut Value) + Send + Sync + 'static) -> Lie {
    answers_to("eth_createAccessList", move |_, answer| lie(answer))
}

/// A contract may make a provider stumble over its hints: they end like this, and the rest is in order.
fn no_hints(reply: fn() -> Reply) -> Lie {
    Arc::new(
        move |request, answer| {
            if calls(request, "eth_createAccessList") { reply() } else { Reply::Json(answer) }
        },
    )
}

/// The ways to give no hint, or a useless one.
fn useless_hints() -> Vec<Lie> {
    let junk: Vec<Value> = (0..100_u64)
        .map(|index| {
            let keys: Vec<B256> =
                (0..20_u64).map(|slot| B256::from(U256::from(index * 100 + slot))).collect();
            json!({ "address": Address::from_word(keccak256(index.to_be_bytes())), "storageKeys": keys })
        })
        .collect();
    vec![
        access_lists(|answer| answer["result"]["accessList"] = json!([])),
        access_lists(|answer| answer["result"] = json!("no list")),
        access_lists(|answer| {
            answer.as_object_mut().unwrap().remove("result");
            answer["error"] = json!({ "code": -32601, "message": "the method does not exist" });
        }),
        access_lists(move |answer| answer["result"]["accessList"] = json!(junk)),
        no_hints(|| Reply::Status(500)),
        no_hints(|| Reply::Raw(vec![b'['; 10_000_000])),
        no_hints(|| Reply::Hang),
    ]
}

#[tokio::test]
async fn access_list__should_be_a_hint_and_no_more() {
    let scene = Scene::new();
    for (index, lie) in useless_hints().iter().enumerate() {
        for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
            let honestly = scene.ask(&honest(), &question).await.unwrap();
            let reading = scene.ask(lie, &question).await.unwrap();
            assert_eq!(honestly.rounds(), 2);
            assert_eq!(reading.rounds(), 5, "lie {index}");
            assert_eq!((reading.decision().allowed, honestly.decision().allowed), (answer, answer));
            assert_eq!(
                reading.witness().evidence_bytes(),
                honestly.witness().evidence_bytes(),
                "lie {index}"
            );
        }
    }
}

#[tokio::test]
async fn rounds__should_be_exhausted_by_reads_that_hang_on_one_another_without_a_hint() {
    let scene = Scene::new();
    let chained = scene.world.anvil.deploy(scene.world.owner, &test_contract("ChainedReadsApp"));
    scene.world.register(chained);
    let question = Question::App(asker(chained));
    for lie in useless_hints() {
        let code = ChainDenyCode::RoundsExhausted;
        scene.assert_refused_for(&question, true, code, &lie).await;
    }
}

#[tokio::test]
async fn lies__should_be_told_from_denials_by_their_class() {
    let scene = Scene::new();
    let denied = scene.ask(&honest(), &scene.denied()).await.unwrap().into_parts().0.denial.unwrap();
    assert_eq!((denied.code, denied.code.class()), (ChainDenyCode::ContractDenied, DenyClass::Contract));
    let lie = results_of("eth_getCode", |_, code| *code = json!("0x00"));
    let refused = scene.ask(&lie, &scene.denied()).await.unwrap_err();
    assert_eq!(refused.code.class(), DenyClass::Proof);
}

/// A reader with one provider, which lacks a node in the first so many proofs; and how many batches of proofs it was asked
/// for.
async fn reader_of_bad_proofs(scene: &Scene, bad: usize) -> (ContractReader, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let no_leaf = results_of("eth_getProof", |_, proof| {
        proof["accountProof"].as_array_mut().unwrap().pop();
    });
    let lie: Lie = {
        let asked = Arc::clone(&asked);
        Arc::new(move |request, answer| {
            let lies = calls(request, "eth_getProof") && asked.fetch_add(1, Ordering::SeqCst) < bad;
            if lies { no_leaf(request, answer) } else { Reply::Json(answer) }
        })
    };
    let provider = client(&scene.proxy(&lie).await.url());
    let timing = FeedTiming { poll_every: Duration::from_millis(50), ..FeedTiming::default() };
    let feed = HeadFeed::spawn(DevSource::new(Arc::clone(&provider)).unwrap(), timing);
    let reader = ContractReader::new(scene.anchor.clone(), feed, vec![provider]).unwrap();
    reader.feed().refreshed().await.unwrap();
    (reader, asked)
}

#[tokio::test]
async fn reader__should_ask_its_only_provider_once_more_after_a_bad_proof() {
    let scene = Scene::new();
    for (question, answer) in [(scene.allowed(), true), (scene.denied(), false)] {
        let (reader, asked) = reader_of_bad_proofs(&scene, 1).await;
        assert_eq!(outcome(&reader.ask(&question, now()).await), Ok(answer));
        assert_eq!(asked.load(Ordering::SeqCst), 2, "the bad proof, and a good one");
    }
}

#[tokio::test]
async fn reader__should_refuse_bad_proofs_after_the_second_try() {
    let scene = Scene::new();
    let (reader, asked) = reader_of_bad_proofs(&scene, usize::MAX).await;
    for tries in [2, 4] {
        let refused = outcome(&reader.ask(&scene.allowed(), now()).await);
        assert_eq!(refused, Err(ChainDenyCode::ProofNodeMissing));
        assert_eq!(asked.load(Ordering::SeqCst), tries);
    }
}
