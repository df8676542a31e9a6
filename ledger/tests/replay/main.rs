//! Deciding again: every kind of record gives the same bytes; every change to a record or to its evidence is noticed.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod certificate;
mod changes;
mod many;
mod parts;
#[path = "../support/mod.rs"]
mod support;

use kms_attestation::RootOfTrust;
use kms_ledger::Record;
use kms_ledger::replay::{LogIdentity, Replayed, Replayer};
use support::{ORIGIN, Scene};

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.one_of_each();
    scene
}

fn replayed(scene: &Scene, replayer: &Replayer) -> Vec<String> {
    let records = scene.records.iter().enumerate();
    records.map(|(index, record)| name(&replayer.replay(scene, index as u64, record))).collect()
}

fn name(replayed: &Replayed) -> String {
    match replayed {
        Replayed::Consistent { code } => format!("consistent {code}"),
        Replayed::NotReplayable { why } => why.code.to_string(),
        Replayed::Different(difference) => {
            format!("different {}: {} != {}", difference.what, difference.recorded, difference.recomputed)
        }
        other => other.name().to_owned(),
    }
}

const EXPECTED: [&str; 13] = [
    "identical",
    "identical",
    "identical",
    "identical",
    "identical",
    "identical",
    "consistent rate-limited",
    "consistent head-stale",
    "stated",
    "identical",
    "identical",
    "identical",
    "stated",
];

#[test]
fn replay__should_give_every_kind_of_record_again() {
    let scene = scene();
    let codes = scene.records.iter().filter_map(|record| match &record.event {
        kms_ledger::record::Event::Decision(decision) => {
            Some(decision.outcome.code().unwrap_or("allow").to_owned())
        }
        _ => None,
    });
    let expected = [
        "allow",
        "allow",
        "allow",
        "boot-finished",
        "event-missing",
        "rate-limited",
        "head-stale",
        "contract-denied",
        "contract-denied",
        "contract-denied",
    ];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
    assert_eq!(replayed(&scene, &scene.replayer()), EXPECTED);
}

#[test]
fn replay__should_give_the_same_for_a_private_log_and_need_its_sealed_blobs() {
    let mut scene = Scene::new();
    scene.sealed = true;
    scene.one_of_each();
    assert_eq!(replayed(&scene, &scene.replayer()), EXPECTED);
    let sealed = |record: &Record| match &record.event {
        kms_ledger::record::Event::Decision(decision) => match decision.who {
            kms_ledger::record::Who::Sealed(id) => Some(id),
            _ => None,
        },
        _ => None,
    };
    let gone: Vec<_> = scene.records.iter().filter_map(|record| sealed(record)).collect();
    assert_eq!(gone.len(), 6);
    scene.blobs.retain(|id, _| !gone.contains(id));
    let without = replayed(&scene, &scene.replayer());
    let unavailable = without.iter().filter(|name| *name == "replay-identity-unavailable");
    assert_eq!(unavailable.count(), 6, "{without:?}");
}

#[test]
fn replay__should_believe_no_root_of_trust_but_the_given_one() {
    let scene = scene();
    let log = LogIdentity { origin: ORIGIN.to_owned(), key: None };
    let intel = Replayer::new(RootOfTrust::intel(), Some(log));
    let results = replayed(&scene, &intel);
    assert_eq!(results.iter().filter(|name| *name == "replay-other-root").count(), 11, "{results:?}");
}

#[test]
fn replay__should_not_take_a_start_for_that_of_another_log() {
    let mut scene = scene();
    let first =
        |scene: &Scene, log| name(&Replayer::new(scene.root(), log).replay(scene, 0, &scene.records[0]));
    let log = |origin: &str, key| Some(LogIdentity { origin: origin.to_owned(), key });
    assert_eq!(first(&scene, log(ORIGIN, None)), "identical");
    assert_eq!(first(&scene, None), "replay-log-unknown");
    assert!(first(&scene, log(ORIGIN, Some([1; 32]))).starts_with("different log_key"));
    assert!(first(&scene, log("other.example/log", None)).contains("binding-mismatch"));
    scene.change_record(0, |record| record.node.measurement.0[0] ^= 1);
    assert!(first(&scene, log(ORIGIN, None)).starts_with("different node.measurement"));
}

#[test]
fn replay__should_take_the_collateral_that_a_start_lacks_from_the_nodes_standing() {
    let mut scene = scene();
    let collateral = scene.decision(1).evidence.collateral;
    scene.change_record(0, |record| {
        let kms_ledger::record::Event::Started(started) = &mut record.event else { panic!() };
        started.evidence.collateral = None;
    });
    let start = |scene: &Scene| name(&scene.replayer().replay(scene, 0, &scene.records[0]));
    assert_eq!(start(&scene), "identical");
    // A quote that is not genuine does not become so.
    let evidence = |scene: &Scene| match &scene.records[0].event {
        kms_ledger::record::Event::Started(started) => started.evidence,
        other => panic!("{other:?}"),
    };
    let quote = evidence(&scene).quote;
    let mut spoilt = scene.blobs[&quote.unwrap()].to_vec();
    spoilt[700] ^= 1;
    let spoilt = scene.replace(spoilt);
    let show = |scene: &mut Scene, quote| {
        scene.change_record(0, |record| {
            let kms_ledger::record::Event::Started(started) = &mut record.event else { panic!() };
            started.evidence.quote = quote;
        });
    };
    show(&mut scene, spoilt);
    assert!(start(&scene).starts_with("different evidence"), "{}", start(&scene));
    show(&mut scene, quote);
    // Nor is an app's collateral taken for the node's, or that of another run.
    for index in [1, 11] {
        scene.change(index, |decision| decision.evidence.collateral = None);
    }
    assert_eq!(start(&scene), "replay-evidence-unnamed");
    let began = (*scene.records[0]).clone();
    scene.change_record(8, |record| *record = began);
    scene.change(11, |decision| decision.evidence.collateral = collateral);
    assert_eq!(start(&scene), "replay-evidence-unnamed");
}
