//! A decision is its witness: another process without a network decides the same from the same bytes, any changed byte is
//! refused, and a grant counts where policy says that it must.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod anvil_support;
mod contracts_support;
mod reading_support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use alloy::primitives::Address;
use anvil_support::CHAIN_ID;
use contracts_support::{World, asker, word};
use kms_chain::bindings::{DstackApp, DstackKms};
use kms_chain::{Anchor, AppBootInfo, ChainDenyCode, GrantAt, Question, Witness, replay};
use reading_support::{ask, dev_anchor};
use serde_json::{Value, json};

/// The program that cargo builds from `examples/` for `cargo test`, beside this one.
fn replayer() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("examples/replay_witness");
    assert!(path.is_file(), "not built: run `cargo build -p kms-chain --example replay_witness`");
    path
}

/// A process in a network namespace of its own, in which there is nothing; where that is not permitted, a plain one.
fn without_network(program: PathBuf) -> Command {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        command
    };
    let permitted = unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    println!("a namespace without a network: {permitted}");
    if !permitted {
        return Command::new(program);
    }
    let mut command = unshare();
    command.arg(program);
    command
}

fn replay_elsewhere(witness: &[u8], anchor: &Anchor) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (witness_file, anchor_file) = (folder.path().join("witness"), folder.path().join("anchor.json"));
    let anchor =
        json!({ "chain_id": CHAIN_ID, "contract": anchor.contract(), "grant_at": anchor.grant_at() });
    std::fs::write(&witness_file, witness).unwrap();
    std::fs::write(&anchor_file, anchor.to_string()).unwrap();
    without_network(replayer()).arg(witness_file).arg(anchor_file).env_clear().output().unwrap()
}

/// A chain on which app and node 1 are allowed and all of it is final.
fn settled_world() -> (World, Address) {
    let (world, app) = World::with_app();
    world.govern(&DstackKms::addKmsAggregatedMrCall { mrAggregated: word(1) });
    world.govern(&DstackKms::addKmsDeviceCall { deviceId: word(1) });
    world.anvil.mine(3);
    (world, app)
}

fn questions(app: Address) -> [(Question, bool); 4] {
    let other = |info: AppBootInfo| AppBootInfo { deviceId: word(2), ..info };
    [
        (Question::App(asker(app)), true),
        (Question::App(other(asker(app))), false),
        (Question::Kms(asker(Address::ZERO)), true),
        (Question::Kms(other(asker(Address::ZERO))), false),
    ]
}

#[tokio::test]
async fn witness__should_replay_in_another_process_without_a_network() {
    let (world, app) = settled_world();
    let mut recorded = Vec::new();
    for grant_at in [GrantAt::Latest, GrantAt::LatestAndFinalized] {
        let anchor = dev_anchor(world.kms, grant_at);
        for (question, allowed) in questions(app) {
            let reading = ask(&world.anvil.url(), &anchor, &question).await.unwrap();
            assert_eq!(reading.decision().allowed, allowed);
            recorded.push((anchor.clone(), reading));
        }
    }
    drop(world);
    for (anchor, reading) in recorded {
        let (decision, witness) = reading.into_parts();
        let output = replay_elsewhere(&witness.encode(), &anchor);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected = json!({
            "allowed": decision.allowed,
            "denial": decision.denial,
            "reason": decision.reason,
            "explanation": decision.explanation,
            "latest": decision.latest,
            "finalized": decision.finalized,
            "clock": decision.clock,
            "witness": witness.digest(),
        });
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected);
    }
}

#[tokio::test]
async fn witness__should_be_refused_in_another_process_when_changed_or_under_another_anchor() {
    let (world, app) = settled_world();
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    let reading = ask(&world.anvil.url(), &anchor, &Question::App(asker(app))).await.unwrap();
    let bytes = reading.witness().encode();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    for (witness, anchor, code) in [
        (&changed, &anchor, "proven"),
        (&bytes, &dev_anchor(app, GrantAt::Latest), "contract-mismatch"),
        (&bytes, &dev_anchor(world.kms, GrantAt::LatestAndFinalized), "trust-anchor-mismatch"),
    ] {
        let output = replay_elsewhere(witness, anchor);
        let refusal = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && refusal.contains(code), "{refusal}");
    }
}

#[tokio::test]
async fn witness__should_be_refused_with_any_byte_changed() {
    let (world, app) = settled_world();
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    for question in [Question::App(asker(app)), Question::Kms(asker(Address::ZERO))] {
        let reading = ask(&world.anvil.url(), &anchor, &question).await.unwrap();
        let (decision, witness) = reading.into_parts();
        let (bytes, digest) = (witness.encode(), witness.digest());
        assert_eq!(Witness::decode_recorded(&bytes, digest).as_ref(), Ok(&witness));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let refused = Witness::decode_recorded(&changed, digest).unwrap_err();
            assert_eq!(refused.code, ChainDenyCode::WitnessDigestMismatch, "byte {at}");
            // Even where nobody remembers the digest, the same question has no other answer.
            if at % 5 == 0
                && let Ok(witness) = Witness::decode(&changed)
                && let Ok(other) = replay(&anchor, &witness)
            {
                assert!(
                    other.question != decision.question || other.allowed == decision.allowed,
                    "byte {at}"
                );
            }
        }
    }
}

/// One block and one byte less: there is no shorter witness, and no longer one.
#[tokio::test]
async fn witness__should_be_refused_when_shortened_or_extended() {
    let (world, app) = settled_world();
    let anchor = dev_anchor(world.kms, GrantAt::Latest);
    let reading = ask(&world.anvil.url(), &anchor, &Question::App(asker(app))).await.unwrap();
    let bytes = reading.witness().encode();
    for len in (0..bytes.len()).step_by(97) {
        assert!(Witness::decode(&bytes[..len]).is_err(), "{len} bytes");
    }
    let longer = Witness::decode(&[&bytes[..], &[0]].concat()).unwrap_err();
    assert_eq!(longer.code, ChainDenyCode::WitnessNotCanonical);
    let mut slack = reading.witness().clone();
    slack.add_node(vec![0xc0].into());
    assert_eq!(replay(&anchor, &slack).unwrap_err().code(), ChainDenyCode::WitnessSlack);
}

#[tokio::test]
async fn grant__should_count_when_final_and_its_revocation_at_once() {
    let (world, app) = settled_world();
    let at_both = dev_anchor(world.kms, GrantAt::LatestAndFinalized);
    let at_latest = dev_anchor(world.kms, GrantAt::Latest);
    let question = Question::App(AppBootInfo { composeHash: word(2), ..asker(app) });
    let decide = async |anchor: &Anchor| {
        let reading = ask(&world.anvil.url(), anchor, &question).await.unwrap();
        reading.into_parts().0.denial.map(|denial| denial.code)
    };
    assert_eq!(decide(&at_both).await, Some(ChainDenyCode::ContractDenied));
    world.own(app, &DstackApp::addComposeHashCall { composeHash: word(2) });
    assert_eq!(decide(&at_latest).await, None);
    assert_eq!(decide(&at_both).await, Some(ChainDenyCode::GrantNotFinal));
    world.anvil.mine(3);
    assert_eq!(decide(&at_both).await, None);
    world.own(app, &DstackApp::removeComposeHashCall { composeHash: word(2) });
    assert_eq!(decide(&at_both).await, Some(ChainDenyCode::ContractDenied));
    assert_eq!(decide(&at_latest).await, Some(ChainDenyCode::ContractDenied));
}

/// Where the app did not exist at the finalized block, its grant is not final either.
#[tokio::test]
async fn grant__should_not_be_final_before_the_app_is() {
    let (world, _) = settled_world();
    let at_both = dev_anchor(world.kms, GrantAt::LatestAndFinalized);
    let app = world.deploy_app(&contracts_support::new_app(world.owner));
    let question = Question::App(asker(app));
    let denial = ask(&world.anvil.url(), &at_both, &question).await.unwrap().into_parts().0.denial.unwrap();
    assert_eq!(
        (denial.code, denial.found.as_str()),
        (ChainDenyCode::GrantNotFinal, "\"App not registered\"")
    );
    world.anvil.mine(3);
    assert!(ask(&world.anvil.url(), &at_both, &question).await.unwrap().decision().allowed);
}
