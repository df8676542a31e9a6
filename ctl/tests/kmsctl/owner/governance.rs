//! Changes that governance makes: calldata, a Safe's batch, a timelock.

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall as _, SolConstructor as _};
use kms_chain::bindings::{DstackApp, DstackKms, TimelockController};
use serde_json::{Value, json};

use super::relay::Relay;
use super::{GOVERNOR, OWNER, STRANGER, World, address, bytes, error_code, run_at, text, word};
use crate::run::Run;

const TWO_DAYS: u64 = 48 * 3600;

/// Sends a call as an account whose key nobody has, as a Safe would.
fn impersonate(world: &World, from: Address, call: &Value) {
    world.anvil.expect::<Value>("anvil_impersonateAccount", &json!([from]));
    world.anvil.expect::<Value>("anvil_setBalance", &json!([from, "0xde0b6b3a7640000"]));
    let transaction = json!({
        "from": from,
        "to": call["to"],
        "value": format!("{:#x}", call["value"].as_str().unwrap().parse::<u64>().unwrap()),
        "data": call["data"],
    });
    let hash: Value = world.anvil.expect("eth_sendTransaction", &json!([transaction]));
    // Accepted a moment before it is mined.
    let receipt = || world.anvil.expect::<Value>("eth_getTransactionReceipt", &json!([hash]));
    let mined = std::iter::repeat_with(receipt).find(|receipt| !receipt.is_null()).unwrap();
    assert_eq!(mined["status"], "0x1", "{call}");
}

/// Hands the app to an account.
fn give(world: &World, app: Address, new_owner: Address) {
    let call = DstackApp::transferOwnershipCall { newOwner: new_owner };
    world.anvil.send(world.account(OWNER), app, &call).unwrap();
    let accept =
        json!({"to": app, "value": "0", "data": Bytes::from(DstackApp::acceptOwnershipCall {}.abi_encode())});
    impersonate(world, new_owner, &accept);
}

fn batch(world: &World, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(world.path(name)).unwrap()).unwrap()
}

fn with(more: &[&str]) -> Vec<String> {
    more.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn safe_batch__should_have_its_effect_when_the_safe_executes_it() {
    let world = World::new();
    let (app, safe) = (world.app(), Address::repeat_byte(0x5a));
    give(&world, app, safe);
    let (file, app_id, safe_id) = (world.path("batch.json").display().to_string(), text(app), text(safe));
    let means = with(&["--app", &app_id, "--safe-batch", &file, "--safe", &safe_id]);
    let report = world.run(&["app", "add-compose-hash", &text(word(7))], &means).exits(0).json();
    assert_eq!((&report["result"], &report["transactions"]), (&json!("proposed"), &json!([])));
    let again = world.run(&["app", "add-device", &text(word(8))], &means).exits(2);
    assert!(again.stderr.contains("exists"), "{}", again.stderr);
    let append = [means, with(&["--append"])].concat();
    world.run(&["app", "add-device", &text(word(8))], &append).exits(0);

    let batch = batch(&world, "batch.json");
    assert_eq!((&batch["version"], &batch["chainId"]), (&json!("1.0"), &json!("31337")));
    assert_eq!(batch["meta"]["createdFromSafeAddress"], safe_id);
    let [code, device] = [0, 1].map(|index| &batch["transactions"][index]);
    assert_eq!(code["contractMethod"]["name"], "addComposeHash");
    assert_eq!(code["contractInputsValues"]["composeHash"], text(word(7)));
    assert_eq!(code["to"], app_id);
    impersonate(&world, safe, code);
    impersonate(&world, safe, device);
    assert!(world.call(app, &DstackApp::allowedComposeHashesCall { composeHash: word(7) }));
    assert!(world.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: word(8) }));
}

#[test]
fn safe_batch__should_be_refused_where_it_cannot_work() {
    let world = World::new();
    let (app, file) = (text(world.app()), world.path("batch.json").display().to_string());
    let other = text(Address::repeat_byte(0x5a));
    let add = |more: &[&str]| {
        let more = [&["--app", &app, "--safe-batch", &file], more].concat();
        world.run(&["app", "add-compose-hash", &text(word(7))], &with(&more))
    };
    assert_eq!(error_code(&add(&["--safe", &other]).exits(10)), "not-owner");
    assert!(!world.path("batch.json").exists());
    add(&[]).exits(0);
    add(&["--force"]).exits(0);
    assert_eq!(batch(&world, "batch.json")["transactions"].as_array().unwrap().len(), 1);
    let changed = std::fs::read_to_string(&file).unwrap().replace("\"31337\"", "\"1\"");
    std::fs::write(&file, changed).unwrap();
    assert_eq!(error_code(&add(&["--append"]).exits(2)), "batch-file-mismatch");
}

#[test]
fn calldata__should_be_what_the_owner_must_send() {
    let world = World::new();
    let app = world.app();
    let means = with(&["--app", &text(app), "--calldata"]);
    let report = world.run(&["app", "add-compose-hash", &text(word(7))], &means).exits(0).json();
    let call = &report["calls"][0];
    let expected = DstackApp::addComposeHashCall { composeHash: word(7) }.abi_encode();
    assert_eq!((address(&call["to"]), &bytes(&call["data"])[..]), (app, &expected[..]));
    assert_eq!(call["value"], "0");
    world
        .anvil
        .send(world.account(OWNER), app, &DstackApp::addComposeHashCall { composeHash: word(7) })
        .unwrap();
    let report = world.run(&["app", "add-compose-hash", &text(word(7))], &means).exits(0).json();
    assert_eq!((&report["result"], &report["calls"]), (&json!("already"), &json!([])));
}

#[test]
fn app_deploy__should_be_proposed_for_a_safe_that_becomes_the_owner() {
    let world = World::new();
    let (kms, safe) = (text(world.kms), Address::repeat_byte(0x5a));
    let unowned = with(&["--kms", &kms, "--calldata"]);
    assert_eq!(error_code(&world.run(&["app", "deploy"], &unowned).exits(2)), "owner-needed");
    let means = with(&["--kms", &kms, "--calldata", "--safe", &text(safe)]);
    let report = world.run(&["app", "deploy"], &means).exits(0).json();
    impersonate(&world, safe, &report["calls"][0]);
    let status = world.run(&["kms", "status", "--kms", &kms], &[]).exits(0).json();
    let app = address(&status["apps"][0]["value"]);
    assert_eq!(world.call(app, &DstackApp::ownerCall {}), safe);
}

/// A timelock of two days for which GOVERNOR proposes and anybody executes.
fn timelock(world: &World) -> Address {
    let arguments = TimelockController::constructorCall {
        minDelay: U256::from(TWO_DAYS),
        proposers: vec![world.account(GOVERNOR)],
        executors: vec![Address::ZERO],
        admin: Address::ZERO,
    };
    let code = [&TimelockController::BYTECODE[..], &arguments.abi_encode()].concat();
    world.anvil.deploy(world.account(GOVERNOR), &code)
}

/// Runs a change of the app through the timelock.
fn through(world: &World, timelock: Address, app: Address, key: usize, words: &[&str]) -> Run {
    let target = with(&["--app", &text(app), "--timelock", &text(timelock)]);
    world.run(&[&["app"], words].concat(), &[target, world.key(key)].concat())
}

#[test]
fn timelock__should_schedule_wait_and_execute() {
    let world = World::new();
    let (app, timelock) = (world.app(), timelock(&world));
    give(&world, app, timelock);
    let hash = text(word(7));
    let schedule = |key| through(&world, timelock, app, key, &["add-compose-hash", &hash]);
    let execute =
        |key| through(&world, timelock, app, key, &["add-compose-hash", &hash, "--timelock-step", "execute"]);
    assert_eq!(error_code(&world.on_app(app, OWNER, &["add-compose-hash", &hash]).exits(10)), "not-owner");
    assert_eq!(error_code(&schedule(STRANGER).exits(10)), "timelock-role-missing");
    assert_eq!(error_code(&execute(STRANGER).exits(10)), "timelock-not-scheduled");
    let report = schedule(GOVERNOR).exits(0).json();
    assert_eq!((&report["result"], &report["calls"][0]["step"]), (&json!("scheduled"), &json!("execute")));
    assert_eq!(report["operation"]["delay_secs"], TWO_DAYS);
    assert_ne!(report["operation"]["ready_at"], Value::Null);
    assert_eq!(schedule(GOVERNOR).exits(0).json()["result"], "already-scheduled");
    assert_eq!(error_code(&execute(STRANGER).exits(10)), "timelock-too-early");
    let check = |code| {
        let (app, kms) = (text(app), text(world.kms));
        let (hash, device) = (text(word(7)), text(word(1)));
        let args = ["--app", &app, "--kms", &kms, "--compose-hash", &hash, "--device-id", &device];
        world.run(&["app", "check"], &with(&args)).exits(code);
    };
    check(10);
    world.anvil.increase_time(TWO_DAYS + 1);
    assert_eq!(execute(STRANGER).exits(0).json()["result"], "done");
    check(0);
    assert_eq!(execute(STRANGER).exits(0).json()["result"], "already");

    // The same change once more needs another salt.
    let remove = ["remove-compose-hash", &hash];
    through(&world, timelock, app, GOVERNOR, &remove).exits(0);
    world.anvil.increase_time(TWO_DAYS + 1);
    through(&world, timelock, app, GOVERNOR, &[&remove[..], &["--timelock-step", "execute"]].concat())
        .exits(0);
    check(10);
    assert_eq!(error_code(&schedule(GOVERNOR).exits(10)), "timelock-operation-done");
    let salted = ["add-compose-hash", &hash, "--salt", &hash];
    assert_eq!(through(&world, timelock, app, GOVERNOR, &salted).exits(0).json()["result"], "scheduled");
}

#[test]
fn timelock__should_refuse_too_short_a_delay_and_another_owner() {
    let world = World::new();
    let (app, timelock) = (world.app(), timelock(&world));
    let words = ["add-compose-hash", &text(word(7)), "--delay", "60"];
    assert_eq!(error_code(&through(&world, timelock, app, GOVERNOR, &words).exits(10)), "not-owner");
    give(&world, app, timelock);
    let short = through(&world, timelock, app, GOVERNOR, &words).exits(10);
    assert_eq!(error_code(&short), "timelock-delay-too-short");
}

#[test]
fn timelock__should_be_printed_for_others_in_both_steps() {
    let world = World::new();
    let timelock = timelock(&world);
    let give = DstackKms::transferOwnershipCall { newOwner: timelock };
    world.anvil.send(world.account(GOVERNOR), world.kms, &give).unwrap();
    let means = with(&["--kms", &text(world.kms), "--timelock", &text(timelock), "--calldata"]);
    let report = world.run(&["kms", "accept-ownership"], &means).exits(0).json();
    let [schedule, execute] = [0, 1].map(|index| report["calls"][index].clone());
    assert_eq!((&schedule["step"], &execute["step"]), (&json!("schedule"), &json!("execute")));
    assert_eq!(address(&schedule["to"]), timelock);
    impersonate(&world, world.account(GOVERNOR), &schedule);
    let operation = report["operation"]["id"].as_str().unwrap().parse().unwrap();
    assert!(world.call(timelock, &TimelockController::isOperationPendingCall { id: operation }));
    world.anvil.increase_time(TWO_DAYS + 1);
    impersonate(&world, world.account(STRANGER), &execute);
    assert_eq!(world.call(world.kms, &DstackKms::ownerCall {}), timelock);
}

/// A Safe that proposes to a timelock: a batch with the schedule, then one with the execution.
#[test]
fn timelock__should_combine_with_a_safe() {
    let world = World::new();
    let (app, timelock, safe) = (world.app(), timelock(&world), world.account(GOVERNOR));
    give(&world, app, timelock);
    let (app_id, lock, safe_id) = (text(app), text(timelock), text(safe));
    for step in ["schedule", "execute"] {
        let file = world.path(step).display().to_string();
        let means = ["--app", &app_id, "--timelock", &lock, "--timelock-step", step, "--safe-batch", &file];
        let means = with(&[&means[..], &["--safe", &safe_id]].concat());
        world.run(&["app", "add-device", &text(word(7))], &means).exits(0);
        let batch = batch(&world, step);
        assert_eq!(batch["transactions"][0]["contractMethod"]["name"], step);
        impersonate(&world, safe, &batch["transactions"][0]);
        world.anvil.increase_time(TWO_DAYS + 1);
    }
    assert!(world.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: word(7) }));
}

#[test]
fn acceptance__should_be_printed_for_the_pending_owner() {
    let world = World::new();
    let (app, safe) = (world.app(), Address::repeat_byte(0x5a));
    let accept = with(&["--app", &text(app), "--calldata"]);
    let early = world.run(&["app", "accept-ownership"], &accept).exits(10);
    assert_eq!(error_code(&early), "not-pending-owner");
    world.on_app(app, OWNER, &["transfer-ownership", &text(safe), "--yes"]).exits(0);
    let report = world.run(&["app", "accept-ownership"], &accept).exits(0).json();
    impersonate(&world, safe, &report["calls"][0]);
    assert_eq!(world.call(app, &DstackApp::ownerCall {}), safe);
}

/// A contract of an older version has no pending owner.
#[test]
fn transfer__should_say_that_an_older_contract_hands_over_at_once() {
    let world = World::new();
    let app = text(world.app());
    let selector = alloy::primitives::hex::encode_prefixed(DstackApp::pendingOwnerCall::SELECTOR);
    let relay = Relay::start(world.anvil.port(), move |call, answer| {
        if call["params"][0]["data"].as_str().is_some_and(|data| data.starts_with(&selector)) {
            let error = json!({"code": 3, "message": "execution reverted", "data": "0x"});
            *answer = json!({"id": answer["id"], "jsonrpc": "2.0", "error": error});
        }
    });
    let words = ["app", "transfer-ownership", &text(world.account(STRANGER)), "--app", &app, "--yes"];
    let report = run_at(&relay.url, &words, &with(&["--calldata"])).exits(0).json();
    assert!(report["notes"].to_string().contains("ownership changes at once"), "{report}");
}
