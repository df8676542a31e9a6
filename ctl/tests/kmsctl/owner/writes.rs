//! Every write: its effect, that it is left alone when it is so already, and that only the owner may make it.

use alloy::primitives::{Address, Bytes};
use kms_chain::bindings::{DstackApp, DstackKms};

use super::{GOVERNOR, OWNER, STRANGER, World, error_code, text, word};
use crate::run::Run;

fn result(run: Run) -> String {
    run.exits(0).json()["result"].as_str().unwrap().to_owned()
}

/// Runs a write as its owner, again, and as a stranger: the effect shows after the first, and nothing is sent later.
fn write(world: &World, run: impl Fn(usize) -> Run, owner: usize, shows: impl Fn() -> bool) {
    assert!(!shows());
    let height = world.anvil.block_number();
    let refused = run(STRANGER).exits(10);
    assert_eq!(error_code(&refused), "not-owner");
    assert!(refused.stderr.contains(&text(world.account(owner))), "{}", refused.stderr);
    assert_eq!(world.anvil.block_number(), height, "nothing was sent");
    let report = run(owner).exits(0).json();
    assert_eq!(report["result"], "done");
    assert_eq!(report["transactions"][0]["block_number"], height + 1);
    assert!(shows());
    assert_eq!(result(run(owner)), "already");
    assert_eq!(result(run(STRANGER)), "already", "what is so already nobody needs to do");
    assert_eq!(world.anvil.block_number(), height + 1);
}

#[test]
fn app_writes__should_have_their_effect_once() {
    let world = World::new();
    let app = world.app();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let check = |command: &[&str], shows: &dyn Fn() -> bool| {
        let command = words(command);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        write(&world, |key| world.on_app(app, key, &command), OWNER, shows);
    };
    let hash = text(word(7));
    let code = || world.call(app, &DstackApp::allowedComposeHashesCall { composeHash: word(7) });
    check(&["add-compose-hash", &hash], &code);
    check(&["remove-compose-hash", &hash], &|| !code());
    let device = || world.call(app, &DstackApp::allowedDeviceIdsCall { deviceId: word(7) });
    check(&["add-device", &hash], &device);
    check(&["remove-device", &hash], &|| !device());
    let any = || world.call(app, &DstackApp::allowAnyDeviceCall {});
    check(&["set-allow-any-device", "true"], &any);
    check(&["set-allow-any-device", "false"], &|| !any());
    let tcb = || world.call(app, &DstackApp::requireTcbUpToDateCall {});
    check(&["set-require-tcb", "true"], &tcb);
    check(&["set-require-tcb", "false"], &|| !tcb());
}

#[test]
fn kms_writes__should_have_their_effect_once() {
    let world = World::new();
    let (kms, hash) = (world.kms, text(word(7)));
    let check = |command: &[&str], shows: &dyn Fn() -> bool| {
        write(&world, |key| world.on_kms(key, command), GOVERNOR, shows);
    };
    let image = || world.call(kms, &DstackKms::allowedOsImagesCall { osImageHash: word(7) });
    check(&["add-os-image", &hash], &image);
    check(&["remove-os-image", &hash], &|| !image());
    let mr = || world.call(kms, &DstackKms::kmsAllowedAggregatedMrsCall { mrAggregated: word(7) });
    check(&["add-mr", &hash], &mr);
    check(&["remove-mr", &hash], &|| !mr());
    let device = || world.call(kms, &DstackKms::kmsAllowedDeviceIdsCall { deviceId: word(7) });
    check(&["add-device", &hash], &device);
    check(&["remove-device", &hash], &|| !device());
    let app = Address::repeat_byte(0x5a);
    let gateway = || world.call(kms, &DstackKms::gatewayAppIdCall {}) == app.to_string();
    check(&["set-gateway-app-id", &text(app)], &gateway);
    let code = || world.call(kms, &DstackKms::appImplementationCall {}) == app;
    check(&["set-app-implementation", &text(app)], &code);
}

#[test]
fn set_info__should_publish_keys_with_their_evidence() {
    let world = World::new();
    let quote = world.secret("quote", "0x0400ff", 0o644);
    let eventlog = world.secret("eventlog", "[1]", 0o644);
    let (k256, ca) = (format!("0x02{}", "11".repeat(32)), "22".repeat(65));
    let keys = ["set-info", "--k256-pubkey", &k256, "--ca-pubkey", &ca];
    let kept = || world.call(world.kms, &DstackKms::kmsInfoCall {});
    write(&world, |key| world.on_kms(key, &keys), GOVERNOR, || !kept().caPubkey.is_empty());
    let all = [&keys[..], &["--quote", &quote, "--eventlog", &eventlog]].concat();
    write(&world, |key| world.on_kms(key, &all), GOVERNOR, || !kept().quote.is_empty());
    assert_eq!(kept().k256Pubkey, k256.parse::<Bytes>().unwrap());
    assert_eq!((&kept().quote[..], &kept().eventlog[..]), (&[4, 0, 255][..], &b"[1]"[..]));
}

#[test]
fn register_app__should_be_anyones() {
    let world = World::new();
    let app = Address::repeat_byte(0x5a);
    assert_eq!(result(world.on_kms(STRANGER, &["register-app", &text(app)])), "done");
    assert!(world.call(world.kms, &DstackKms::registeredAppsCall { appId: app }));
    assert_eq!(result(world.on_kms(STRANGER, &["register-app", &text(app)])), "already");
}

#[test]
fn ownership__should_change_hands_in_two_steps() {
    let world = World::new();
    let (app, new) = (world.app(), text(world.account(STRANGER)));
    // An account becomes known by sending something; STRANGER deployed the app.
    let accept = |key| world.on_app(app, key, &["accept-ownership"]);
    assert_eq!(error_code(&accept(STRANGER).exits(10)), "not-pending-owner");
    assert_eq!(result(world.on_app(app, OWNER, &["transfer-ownership", &new])), "done");
    assert_eq!(world.call(app, &DstackApp::ownerCall {}), world.account(OWNER));
    assert_eq!(error_code(&accept(GOVERNOR).exits(10)), "not-pending-owner");
    let status = world.run(&["app", "status", "--app", &text(app)], &[]).exits(0).json();
    assert_eq!(status["pending_owner"], new);
    assert_eq!(result(accept(STRANGER)), "done");
    assert_eq!(result(accept(STRANGER)), "already");
    assert_eq!(world.call(app, &DstackApp::ownerCall {}), world.account(STRANGER));
    assert_eq!(result(world.on_kms(GOVERNOR, &["transfer-ownership", &new])), "done");
    assert_eq!(result(world.on_kms(STRANGER, &["accept-ownership"])), "done");
    assert_eq!(world.call(world.kms, &DstackKms::ownerCall {}), world.account(STRANGER));
}

#[test]
fn transfer__should_ask_a_word_more_where_ownership_may_be_lost() {
    let world = World::new();
    let app = world.app();
    for (new, why) in [(world.kms, "is a contract"), (Address::repeat_byte(0x5a), "never sent")] {
        let run = world.on_app(app, OWNER, &["transfer-ownership", &text(new)]).exits(2);
        assert_eq!(error_code(&run), "confirmation-needed");
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert_eq!(result(world.on_app(app, OWNER, &["transfer-ownership", &text(new), "--yes"])), "done");
        assert_eq!(world.call(app, &DstackApp::pendingOwnerCall {}), new);
    }
}

#[test]
fn text__should_fit_a_terminal_and_say_what_happened() {
    let world = World::new();
    let app = world.app();
    let args = ["app", "add-compose-hash", &text(word(7)), "--app", &text(app), "--rpc", &world.anvil.url()]
        .map(str::to_owned);
    let run = crate::run::kmsctl(args.iter().cloned().chain(world.key(OWNER))).exits(0);
    assert!(run.stdout.starts_with("DONE\n  change      allow compose hash"), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.len() <= 80), "{}", run.stdout);
}
