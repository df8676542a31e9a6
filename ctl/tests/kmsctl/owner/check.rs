//! `app check`: both prerequisites, in one request.

use serde_json::Value;

use super::relay::Relay;
use super::{OWNER, World, error_code, run_at, text, word};
use crate::run::Run;

fn args(world: &World, app: &str, code: u8, device: u8) -> Vec<String> {
    let (kms, code, device) = (text(world.kms), text(word(code)), text(word(device)));
    ["--app", app, "--kms", &kms, "--compose-hash", &code, "--device-id", &device].map(str::to_owned).to_vec()
}

fn check(world: &World, app: &str, code: u8, device: u8) -> Run {
    world.run(&["app", "check"], &args(world, app, code, device))
}

/// Runs the commands that a refusal names.
fn apply(world: &World, fixes: &Value) {
    for fix in fixes.as_array().unwrap() {
        let words: Vec<&str> = fix.as_str().unwrap().split(' ').skip(1).collect();
        world.run(&words, &world.key(OWNER)).exits(0);
    }
}

#[test]
fn check__should_say_what_to_run_until_all_is_allowed() {
    let world = World::new();
    let app = text(world.app());
    assert_eq!(check(&world, &app, 1, 1).exits(0).json()["allowed"], true);
    for (code, device, fixes) in [(2, 1, 1), (1, 3, 1), (4, 5, 2)] {
        let report = check(&world, &app, code, device).exits(10).json();
        assert_eq!(report["allowed"], false);
        assert_eq!(report["fixes"].as_array().unwrap().len(), fixes, "{report}");
        apply(&world, &report["fixes"]);
        check(&world, &app, code, device).exits(0);
    }
    world.on_app(world.app(), OWNER, &["set-allow-any-device", "true"]).exits(0);
    check(&world, &app, 1, 9).exits(10);
    world.run(&["app", "set-allow-any-device", "true", "--app", &app], &world.key(OWNER)).exits(0);
    check(&world, &app, 1, 9).exits(0);
}

#[test]
fn check__should_ask_for_registration() {
    let (world, other) = (World::new(), World::new());
    // The same steps on another chain give the same address, which this chain's contract does not know.
    let app = text(other.app());
    assert_eq!(error_code(&check(&world, &app, 1, 1).exits(10)), "not-a-contract");
    let unknowing = super::kms_behind_proxy(&world.anvil, world.account(0), world.account(1));
    let app = text(world.app());
    let mut args = args(&world, &app, 1, 1);
    args[3] = text(unknowing);
    let report = world.run(&["app", "check"], &args).exits(10).json();
    assert_eq!((&report["registered"], &report["compose_hash_allowed"]), (&false.into(), &true.into()));
    apply(&world, &report["fixes"]);
    world.run(&["app", "check"], &args).exits(0);
}

#[test]
fn check__should_be_one_request() {
    let world = World::new();
    let app = text(world.app());
    let relay = Relay::start(world.anvil.port(), |_, _| {});
    run_at(&relay.url, &["app", "check"], &args(&world, &app, 1, 1)).exits(0);
    assert_eq!(relay.requests(), 1);
    run_at(&relay.url, &["app", "check"], &args(&world, &app, 2, 2)).exits(10);
    assert_eq!(relay.requests(), 2);
}

#[test]
fn text__should_name_the_commands_on_lines_of_their_own() {
    let world = World::new();
    let app = text(world.app());
    let words = ["app", "check", "--rpc", &world.anvil.url()].map(str::to_owned);
    let run = crate::run::kmsctl(words.into_iter().chain(args(&world, &app, 2, 2))).exits(10);
    assert!(run.stdout.starts_with("NOT ALLOWED at block "), "{}", run.stdout);
    let fix = format!("\nkmsctl app add-compose-hash --app {app} {}\n", word(2));
    assert!(run.stdout.contains(&fix), "{}", run.stdout);
}
