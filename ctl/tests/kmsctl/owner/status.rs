//! `status`: what the events add up to is what the state says, and a provider that disagrees with itself is caught.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;

use alloy::primitives::B256;
use kms_chain::bindings::{DstackApp, DstackKms};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::relay::Relay;
use super::{GOVERNOR, OWNER, World, error_code, run_at, text, word};

fn values<T: FromStr<Err: Debug> + Ord>(list: &Value) -> BTreeSet<T> {
    list.as_array().unwrap().iter().map(|entry| entry["value"].as_str().unwrap().parse().unwrap()).collect()
}

/// Applies changes, each of a few hashes, and gives what is then allowed.
fn apply(world: &World, app: alloy::primitives::Address, steps: &[(bool, bool, u8)]) -> [BTreeSet<B256>; 2] {
    let (mut codes, mut devices) = (BTreeSet::from([word(1)]), BTreeSet::from([word(1)]));
    let owner = world.account(OWNER);
    for &(is_code, adds, byte) in steps {
        let hash = word(byte);
        let set = if is_code { &mut codes } else { &mut devices };
        if adds {
            set.insert(hash)
        } else {
            set.remove(&hash)
        };
        match (is_code, adds) {
            (true, true) => {
                world.anvil.send(owner, app, &DstackApp::addComposeHashCall { composeHash: hash })
            }
            (true, false) => {
                world.anvil.send(owner, app, &DstackApp::removeComposeHashCall { composeHash: hash })
            }
            (false, true) => world.anvil.send(owner, app, &DstackApp::addDeviceCall { deviceId: hash }),
            (false, false) => world.anvil.send(owner, app, &DstackApp::removeDeviceCall { deviceId: hash }),
        }
        .unwrap();
    }
    [codes, devices]
}

#[test]
fn app_status__should_be_the_state_after_any_changes() {
    let world = World::new();
    let steps = proptest::collection::vec((proptest::bool::ANY, proptest::bool::ANY, 1_u8..6), 0..12);
    TestRunner::new(Config { cases: 8, ..Config::default() })
        .run(&steps, |steps| {
            let app = world.app();
            let [codes, devices] = apply(&world, app, &steps);
            let status = world.run(&["app", "status", "--app", &text(app)], &[]).exits(0).json();
            assert_eq!((values(&status["compose_hashes"]), values(&status["devices"])), (codes, devices));
            Ok(())
        })
        .unwrap();
}

#[test]
fn app_status__should_name_what_put_an_entry_there() {
    let world = World::new();
    let app = world.app();
    let sent = world.on_app(app, OWNER, &["add-compose-hash", &text(word(7))]).exits(0).json();
    let kms = text(world.kms);
    let status = world.run(&["app", "status", "--app", &text(app), "--kms", &kms], &[]).exits(0).json();
    let entry = &status["compose_hashes"][1];
    assert_eq!(entry["value"], text(word(7)));
    assert_eq!(entry["transaction"], sent["transactions"][0]["hash"]);
    assert_eq!(entry["block_number"], sent["transactions"][0]["block_number"]);
    assert_eq!((&status["registered"], &status["complete"]), (&true.into(), &true.into()));
    assert_eq!(status["owner"], text(world.account(OWNER)));
    assert_eq!(status["upgrades_disabled"], false);
    assert_ne!(status["implementation"], Value::Null);
    assert!(status["from_block"].as_u64().unwrap() > 0, "the deployment's block is found");

    let later = text(entry["block_number"].as_u64().unwrap());
    let status =
        world.run(&["app", "status", "--app", &text(app), "--from-block", &later], &[]).exits(0).json();
    assert_eq!(values(&status["compose_hashes"]), BTreeSet::from([word(7)]));
    assert_eq!(status["complete"], false);
}

#[test]
fn kms_status__should_be_the_state() {
    let world = World::new();
    let app = world.app();
    for words in [["add-os-image"], ["add-mr"], ["add-device"]] {
        world.on_kms(GOVERNOR, &[words[0], &text(word(7))]).exits(0);
        world.on_kms(GOVERNOR, &[words[0], &text(word(8))]).exits(0);
    }
    world.on_kms(GOVERNOR, &["remove-mr", &text(word(8))]).exits(0);
    let status = world.run(&["kms", "status", "--kms", &text(world.kms)], &[]).exits(0).json();
    assert_eq!(values(&status["os_images"]), BTreeSet::from([word(7), word(8)]));
    assert_eq!(values(&status["aggregated_mrs"]), BTreeSet::from([word(7)]));
    assert_eq!(values(&status["devices"]), BTreeSet::from([word(7), word(8)]));
    assert_eq!(values(&status["apps"]), BTreeSet::from([app]));
    let code = world.call(world.kms, &DstackKms::appImplementationCall {});
    assert_eq!(status["app_implementation"], text(code));
}

#[test]
fn text__should_fit_a_terminal() {
    let world = World::new();
    let (app, rpc) = (text(world.app()), world.anvil.url());
    for words in [["app", "status", "--app", &app], ["kms", "status", "--kms", &text(world.kms)]] {
        let run = crate::run::kmsctl(words.iter().chain(&["--rpc", &rpc])).exits(0);
        assert!(run.stdout.lines().all(|line| line.len() <= 80), "{}", run.stdout);
        assert!(run.stdout.starts_with("As of block "), "{}", run.stdout);
    }
}

/// A provider that gives the events of two blocks at a time.
#[test]
fn status__should_halve_what_a_provider_will_not_give_at_once() {
    let world = World::new();
    let app = world.app();
    let [codes, devices] =
        apply(&world, app, &[(true, true, 2), (false, true, 3), (true, false, 1), (true, true, 4)]);
    let height = |value: &Value| u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        let filter = &call["params"][0];
        if call["method"] == "eth_getLogs" && height(&filter["toBlock"]) - height(&filter["fromBlock"]) > 1 {
            let error = json!({"code": -32005, "message": "block range too large"});
            *answer = json!({"id": answer["id"], "jsonrpc": "2.0", "error": error});
        }
    });
    let status = run_at(&relay.url, &["app", "status", "--app", &text(app)], &[]).exits(0).json();
    assert_eq!((values(&status["compose_hashes"]), values(&status["devices"])), (codes, devices));
}

/// Runs status through a provider that leaves out the events with this topic.
fn without(world: &World, app: &str, topic: B256) -> String {
    let topic = text(topic);
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        if call["method"] == "eth_getLogs" {
            let logs = answer["result"].as_array_mut().unwrap();
            logs.retain(|log| log["topics"][0] != topic);
        }
    });
    let run = run_at(&relay.url, &["app", "status", "--app", app], &[]).exits(3);
    assert_eq!(error_code(&run), "history-contradicts-state");
    run.json()["error"]["found"].as_str().unwrap().to_owned()
}

#[test]
fn status__should_refuse_events_that_contradict_the_state() {
    use alloy::sol_types::SolEvent as _;
    let world = World::new();
    let app = world.app();
    apply(&world, app, &[(true, true, 2), (true, false, 2)]);
    let found = without(&world, &text(app), DstackApp::ComposeHashRemoved::SIGNATURE_HASH);
    assert_eq!(found, format!("compose hash {}: true by the events, false by the state", word(2)));
    let found = without(&world, &text(app), DstackApp::OwnershipTransferred::SIGNATURE_HASH);
    assert!(found.contains("the owner: no event"), "{found}");
}

/// A contract of an older version reverts at a getter that it does not have.
#[test]
fn status__should_say_that_an_older_contract_has_no_tcb_rule() {
    let world = World::new();
    let app = text(world.app());
    let selector = alloy::primitives::hex::encode_prefixed(
        <DstackApp::requireTcbUpToDateCall as alloy::sol_types::SolCall>::SELECTOR,
    );
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        if call["params"][0]["data"].as_str().is_some_and(|data| data.starts_with(&selector)) {
            let error = json!({"code": 3, "message": "execution reverted", "data": "0x"});
            *answer = json!({"id": answer["id"], "jsonrpc": "2.0", "error": error});
        }
    });
    let status = run_at(&relay.url, &["app", "status", "--app", &app], &[]).exits(0).json();
    assert_eq!(status["require_tcb_up_to_date"], Value::Null);
    let set = ["app", "set-require-tcb", "true", "--app", &app];
    let run = run_at(&relay.url, &set, &world.key(OWNER)).exits(10);
    assert_eq!(error_code(&run), "older-contract");
}

/// A provider that mixes another contract's events in.
#[test]
fn status__should_refuse_events_that_were_not_asked_for() {
    let world = World::new();
    let (app, kms) = (text(world.app()), text(world.kms).to_lowercase());
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        if call["method"] == "eth_getLogs" {
            answer["result"][0]["address"] = json!(kms);
        }
    });
    let run = run_at(&relay.url, &["app", "status", "--app", &app], &[]).exits(3);
    assert_eq!(error_code(&run), "rpc-answer-invalid");
}
