//! Deployments: what is printed is what stands on chain.

use alloy::primitives::Address;
use kms_chain::bindings::{DstackApp, DstackKms};
use serde_json::{Value, json};

use super::relay::Relay;
use super::{GOVERNOR, OWNER, STRANGER, World, address, error_code, kms_behind_proxy, run_at, text, word};

fn deploy_args(world: &World, kms: Address, more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|word| (*word).to_owned());
    [world.key(OWNER), vec!["--kms".to_owned(), text(kms)]].concat().into_iter().chain(more).collect()
}

#[test]
fn kms_deploy__should_put_up_a_contract_that_is_set_up() {
    let world = World::new();
    let owner = text(world.account(OWNER));
    let report = world.run(&["kms", "deploy", "--owner", &owner], &world.key(GOVERNOR)).exits(0).json();
    let deployed = &report["deployed"];
    let kms = address(&deployed["kms"]);
    assert_eq!(report["transactions"].as_array().unwrap().len(), 3);
    assert_eq!(world.call(kms, &DstackKms::ownerCall {}), world.account(OWNER));
    let code = address(&deployed["app_implementation"]);
    assert_eq!(world.call(kms, &DstackKms::appImplementationCall {}), code);

    let given = ["kms", "deploy", "--owner", &owner, "--app-implementation", &text(code)];
    let report = world.run(&given, &world.key(GOVERNOR)).exits(0).json();
    assert_eq!(report["transactions"].as_array().unwrap().len(), 2);
    assert_ne!(address(&report["deployed"]["kms"]), kms);
    let nowhere = text(Address::repeat_byte(9));
    let given = ["kms", "deploy", "--owner", &owner, "--app-implementation", &nowhere];
    assert_eq!(error_code(&world.run(&given, &world.key(GOVERNOR)).exits(10)), "not-a-contract");
}

#[test]
fn kms_deploy__should_tell_how_to_go_on_when_it_breaks_off() {
    let world = World::new();
    let owner = text(world.account(OWNER));
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        let first = |count| count > 1;
        if call["method"] == "eth_maxPriorityFeePerGas"
            && first(sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1)
        {
            answer["result"] = json!("0xffffffffffffffff");
        }
    });
    let run = run_at(&relay.url, &["kms", "deploy", "--owner", &owner], &world.key(GOVERNOR)).exits(10);
    assert_eq!(error_code(&run), "fee-too-high");
    assert!(run.json()["error"]["fix"].as_str().unwrap().contains("go on with --app-implementation 0x"));
}

#[test]
fn app_deploy__should_print_the_app_id() {
    let world = World::new();
    let (device, code) = (text(word(2)), text(word(3)));
    let args = deploy_args(&world, world.kms, &["--device", &device, "--compose-hash", &code]);
    let report = world.run(&["app", "deploy"], &args).exits(0).json();
    let app = address(&report["deployed"]["app_id"]);
    assert_eq!(report["result"], "done");
    assert!(world.call(world.kms, &DstackKms::registeredAppsCall { appId: app }));
    assert_eq!(world.call(app, &DstackApp::ownerCall {}), world.account(OWNER));
    assert!(world.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: word(2) }));
    assert!(world.call(app, &DstackApp::allowedComposeHashesCall { composeHash: word(3) }));
    assert!(!world.call(app, &DstackApp::requireTcbUpToDateCall {}));
    let again = world.run(&["app", "deploy"], &args).exits(0).json();
    assert_ne!(address(&again["deployed"]["app_id"]), app, "each deployment is another app");
}

#[test]
fn app_deploy__should_obey_its_switches() {
    let world = World::new();
    let owner = text(world.account(STRANGER));
    let switches = ["--owner", &owner, "--allow-any-device", "--disable-upgrades", "--require-tcb"];
    let report = world.run(&["app", "deploy"], &deploy_args(&world, world.kms, &switches)).exits(0).json();
    let app = address(&report["deployed"]["app_id"]);
    assert_eq!(world.call(app, &DstackApp::ownerCall {}), world.account(STRANGER));
    assert!(world.call(app, &DstackApp::allowAnyDeviceCall {}));
    assert!(world.call(app, &DstackApp::requireTcbUpToDateCall {}));
    let status = world.run(&["app", "status", "--app", &text(app)], &[]).exits(0).json();
    assert_eq!(status["upgrades_disabled"], true);
}

/// A factory of an older version knows the call with five arguments alone.
#[test]
fn app_deploy__should_serve_an_older_factory() {
    let world = World::new();
    let selector = alloy::primitives::hex::encode_prefixed(
        <DstackKms::deployAndRegisterApp_1Call as alloy::sol_types::SolCall>::SELECTOR,
    );
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        let data = call["params"][0]["data"].as_str().unwrap_or_default();
        if call["method"] == "eth_call" && data.starts_with(&selector) {
            let error = json!({"code": 3, "message": "execution reverted", "data": "0x"});
            *answer = json!({"id": answer["id"], "jsonrpc": "2.0", "error": error});
        }
    });
    let args = deploy_args(&world, world.kms, &[]);
    let report = run_at(&relay.url, &["app", "deploy"], &args).exits(0).json();
    assert_ne!(report["deployed"]["app_id"], Value::Null);
    let args = deploy_args(&world, world.kms, &["--require-tcb"]);
    let refused = run_at(&relay.url, &["app", "deploy"], &args).exits(10);
    assert_eq!(error_code(&refused), "older-contract");
}

#[test]
fn app_deploy__should_show_why_a_factory_reverts_and_send_nothing() {
    let world = World::new();
    let bare = kms_behind_proxy(&world.anvil, world.account(GOVERNOR), Address::ZERO);
    let height = world.anvil.block_number();
    let run = world.run(&["app", "deploy"], &deploy_args(&world, bare, &[])).exits(10);
    assert_eq!(error_code(&run), "call-reverts");
    assert_eq!(run.json()["error"]["found"], "\"DstackApp implementation not set\"");
    assert!(run.stderr.contains("DstackApp implementation not set"), "{}", run.stderr);
    assert_eq!(world.anvil.block_number(), height);
}
