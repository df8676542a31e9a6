//! Providers that fail, and transactions that do not come through.

use std::time::Duration;

use alloy::primitives::Address;
use serde_json::json;

use super::relay::{Relay, read_body, respond, serve};
use super::{OWNER, STRANGER, World, error_code, run_at, text, word};
use crate::run::Run;

/// Nothing listens there: port 9 is that of the discard service.
const NOWHERE: &str = "http://127.0.0.1:9";

fn add_at(world: &World, url: &str, app: Address, more: &[&str]) -> Run {
    let more = more.iter().map(|word| (*word).to_owned());
    let signer = world.key(OWNER).into_iter().chain(more).collect::<Vec<_>>();
    run_at(url, &["app", "add-compose-hash", &text(word(7)), "--app", &text(app)], &signer)
}

#[test]
fn provider__should_be_undecided_when_it_cannot_be_asked() {
    let world = World::new();
    let app = world.app();
    let hanging = serve(|_| std::thread::sleep(Duration::from_secs(30)));
    let html = serve(|stream| {
        read_body(stream);
        respond(stream, "<html>");
    });
    for (url, code) in [(NOWHERE, "rpc-unreachable"), (&hanging, "rpc-timeout"), (&html, "rpc-not-json")] {
        let run = add_at(&world, url, app, &[]).exits(3);
        assert_eq!(error_code(&run), code);
    }
    let run = add_at(&world, "http://rpc.example/secret-key", app, &[]).exits(2);
    assert_eq!(error_code(&run), "rpc-config");
    assert!(!run.stderr.contains("secret-key"));
}

#[test]
fn chain_id__should_be_the_one_that_is_asserted() {
    let world = World::new();
    let app = world.app();
    let run = add_at(&world, &world.anvil.url(), app, &["--chain-id", "1"]).exits(10);
    assert_eq!(error_code(&run), "chain-id-mismatch");
    for command in [&["app", "status"][..], &["kms", "status"]] {
        let target = if command[0] == "app" { ["--app", &text(app)] } else { ["--kms", &text(world.kms)] };
        let more = [target[0], target[1], "--chain-id", "1"].map(str::to_owned);
        assert_eq!(error_code(&world.run(command, &more).exits(10)), "chain-id-mismatch");
    }
    add_at(&world, &world.anvil.url(), app, &["--chain-id", "31337"]).exits(0);
}

#[test]
fn contract__should_be_one() {
    let world = World::new();
    for nowhere in [Address::repeat_byte(9), world.account(STRANGER)] {
        let run = add_at(&world, &world.anvil.url(), nowhere, &[]).exits(10);
        assert_eq!(error_code(&run), "not-a-contract");
        let status = world.run(&["app", "status", "--app", &text(nowhere)], &[]).exits(10);
        assert_eq!(error_code(&status), "not-a-contract");
    }
}

#[test]
fn fee__should_have_a_limit() {
    let world = World::new();
    let app = world.app();
    let run = add_at(&world, &world.anvil.url(), app, &["--max-fee", "1"]);
    assert_eq!(error_code(&run.exits(10)), "fee-too-high");
    let relay = Relay::start(world.anvil.port(), |call, answer| {
        if call["method"] == "eth_estimateGas" {
            answer["result"] = json!("0xffffffff");
        }
    });
    assert_eq!(error_code(&add_at(&world, &relay.url, app, &[]).exits(10)), "fee-too-high");
    world.anvil.expect::<serde_json::Value>("anvil_setBalance", &json!([world.account(OWNER), "0x1"]));
    let run = add_at(&world, &world.anvil.url(), app, &[]).exits(10);
    assert_eq!(error_code(&run), "insufficient-funds");
}

#[test]
fn transaction__should_be_named_when_no_block_has_it_in_time() {
    let world = World::new();
    let app = world.app();
    world.anvil.expect::<serde_json::Value>("evm_setAutomine", &json!([false]));
    let run = add_at(&world, &world.anvil.url(), app, &["--timeout", "1"]).exits(3);
    assert_eq!(error_code(&run), "not-confirmed");
    let found = run.json()["error"]["found"].as_str().unwrap().to_owned();
    let hash = found.split(' ').nth(1).unwrap();
    world.anvil.mine(1);
    let receipt: serde_json::Value = world.anvil.expect("eth_getTransactionReceipt", &json!([hash]));
    assert_eq!(receipt["status"], "0x1");
    world.anvil.expect::<serde_json::Value>("evm_setAutomine", &json!([true]));
    let again = add_at(&world, &world.anvil.url(), app, &[]).exits(0).json();
    assert_eq!(again["result"], "already");
}

/// A provider that says a transaction was mined, but whose state does not show it.
#[test]
fn effect__should_show_before_it_is_called_done() {
    let world = World::new();
    let app = world.app();
    let relay = Relay::start(world.anvil.port(), |call, answer| {
        if call["method"] == "eth_getTransactionReceipt" && answer["result"].is_object() {
            answer["result"]["logs"] = json!([]);
        }
    });
    let run = add_at(&world, &relay.url, app, &[]).exits(3);
    assert_eq!(error_code(&run), "effect-missing");
}

#[test]
fn failed_transaction__should_be_refused() {
    let world = World::new();
    let app = world.app();
    let relay = Relay::start(world.anvil.port(), |call, answer| {
        if call["method"] == "eth_getTransactionReceipt" && answer["result"].is_object() {
            answer["result"]["status"] = json!("0x0");
        }
    });
    assert_eq!(error_code(&add_at(&world, &relay.url, app, &[]).exits(10)), "transaction-failed");
}

/// A provider that shows one chain and wants a signature for another.
#[test]
fn chain_id__should_stay_the_same_throughout() {
    let world = World::new();
    let app = world.app();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        if call["method"] == "eth_chainId" && asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            answer["result"] = json!("0x1");
        }
    });
    let run = add_at(&world, &relay.url, app, &[]).exits(10);
    assert_eq!(error_code(&run), "chain-id-mismatch");
}
