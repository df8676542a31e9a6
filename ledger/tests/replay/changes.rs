//! One change each: to what is recorded, or to what it rests on.

use kms_ledger::record::{Decision, Event, Outcome, Subject, Who};
use kms_verdict::RULES_VERSION;

use crate::support::Scene;
use crate::{name, scene};

/// The release among [`Scene::one_of_each`], the certificate, a denial by evidence, by the node, by the chain.
const RELEASE: u64 = 2;
pub(crate) const CERTIFICATE: u64 = 3;
const BY_EVIDENCE: u64 = 4;
const BY_NODE: u64 = 6;
const BY_CHAIN: u64 = 9;

type Change = fn(&mut Decision);

pub(crate) fn at(scene: &Scene, index: u64) -> String {
    name(&scene.replayer().replay(scene, index, &scene.records[usize::try_from(index).unwrap()]))
}

fn changed(index: u64, change: impl FnOnce(&mut Decision)) -> String {
    let mut scene = scene();
    scene.change(index, change);
    at(&scene, index)
}

fn deny(code: &str) -> Outcome {
    Outcome::Deny { code: code.to_owned(), found: String::new(), expected: String::new() }
}

#[test]
fn answer__should_be_noticed_when_it_is_another() {
    let other: [(u64, Change); 10] = [
        (RELEASE, |it| it.outcome = deny("contract-denied")),
        (RELEASE, |it| it.outcome = deny("tcb-not-accepted")),
        (RELEASE, |it| {
            if let Outcome::Allow { latest, .. } = &mut it.outcome {
                latest.number -= 1;
            }
        }),
        (RELEASE, |it| {
            if let Outcome::Allow { released, .. } = &mut it.outcome {
                released.pop();
            }
        }),
        (BY_EVIDENCE, |it| it.outcome = deny("boot-finished")),
        (BY_EVIDENCE, |it| it.outcome = deny("rtmr3-mismatch")),
        (BY_CHAIN, |it| it.outcome = deny("contract-denied")),
        (BY_CHAIN, |it| it.outcome = deny("rate-limited")),
        (CERTIFICATE, |it| it.outcome = deny("contract-denied")),
        (CERTIFICATE, |it| it.subject = Subject::AppKeys),
    ];
    for (number, (index, change)) in other.into_iter().enumerate() {
        let found = changed(index, change);
        let noticed = found.starts_with("different outcome") || found == "replay-evidence-unnamed";
        assert!(noticed, "{number}: {found}");
    }
}

#[test]
fn who__should_be_noticed_when_it_is_another() {
    for index in [RELEASE, CERTIFICATE, BY_NODE, BY_CHAIN] {
        assert!(changed(index, |it| it.who = Who::Unknown).starts_with("different who"), "{index}");
        let found = changed(index, |it| {
            if let Who::Open(identity) = &mut it.who {
                identity.app_id.0[0] ^= 1;
            }
        });
        assert!(found.starts_with("different who"), "{index}: {found}");
    }
}

#[test]
fn session__should_be_noticed_when_it_is_another() {
    let binding: [fn(&mut kms_ledger::record::Binding); 5] = [
        |it| it.client_nonce.0[0] ^= 1,
        |it| it.server_nonce.0[0] ^= 1,
        |it| it.client_spki.0[0] ^= 1,
        |it| it.server_spki.0[0] ^= 1,
        |it| it.exporter.0[0] ^= 1,
    ];
    for change in binding {
        let found = changed(RELEASE, |it| change(it.binding.as_mut().unwrap()));
        assert!(found.contains("binding-mismatch"), "{found}");
    }
    assert_eq!(changed(RELEASE, |it| it.binding = None), "replay-evidence-unnamed");
}

#[test]
fn allow__should_never_be_identical_without_any_of_its_evidence() {
    let unnamed: [Change; 5] = [
        |it| it.evidence.quote = None,
        |it| it.evidence.event_log = None,
        |it| it.evidence.os_image_manifest = None,
        |it| it.evidence.collateral = None,
        |it| it.evidence.witness = None,
    ];
    for change in unnamed {
        assert_eq!(changed(RELEASE, change), "replay-evidence-unnamed");
    }
    assert_eq!(changed(CERTIFICATE, |it| it.evidence.certificate = None), "replay-evidence-unnamed");
    let scene = scene();
    for index in [0, 1, RELEASE, CERTIFICATE] {
        let record = &scene.records[usize::try_from(index).unwrap()];
        let named: Vec<_> = match &record.event {
            Event::Decision(decision) => decision.evidence.blobs().collect(),
            Event::Started(started) => started.evidence.blobs().collect(),
            _ => Vec::new(),
        };
        for id in named.into_iter().chain([record.node.policy]) {
            let mut pruned = crate::scene();
            // The same but for the keys of certificates: only what both have can be taken away.
            if pruned.blobs.remove(&id).is_some() {
                assert_eq!(at(&pruned, index), "replay-blob-missing", "{index} {id}");
            }
        }
    }
}

#[test]
fn collateral__should_be_missing_only_where_nothing_was_proven_by_it() {
    let without = |index, change: fn(&mut Decision)| {
        changed(index, |it| {
            it.evidence.collateral = None;
            change(it);
        })
    };
    // What the quote says by its own words is looked at all the same.
    let of_another_session = |it: &mut Decision| it.binding.as_mut().unwrap().client_nonce.0[0] ^= 1;
    assert!(without(BY_NODE, of_another_session).contains("binding-mismatch"));
    for index in [RELEASE, BY_EVIDENCE, BY_CHAIN] {
        assert_eq!(without(index, |_| ()), "replay-evidence-unnamed", "{index}");
    }
    let none_to_be_had = |it: &mut Decision| {
        it.who = Who::Unknown;
        it.outcome = deny("collateral-unavailable");
    };
    assert!(without(BY_NODE, none_to_be_had).starts_with("consistent"));
    assert!(without(BY_NODE, |it| it.outcome = deny("collateral-unavailable")).starts_with("different who"));
}

#[test]
fn blob__should_be_noticed_with_any_byte_changed() {
    let mut scene = scene();
    let evidence = scene.decision(RELEASE).evidence;
    for id in evidence.blobs().collect::<Vec<_>>() {
        let genuine = scene.blobs[&id].clone();
        let mut bytes = genuine.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        scene.blobs.insert(id, bytes.into());
        assert_eq!(at(&scene, RELEASE), "replay-blob-damaged");
        scene.blobs.insert(id, genuine);
    }
    assert_eq!(at(&scene, RELEASE), "identical");
}

#[test]
fn code__should_be_noticed_with_a_byte_changed_by_a_replayer_that_knows_the_code() {
    let mut scene = scene();
    let replayer = scene.replayer();
    let at = |scene: &Scene| name(&replayer.replay(scene, RELEASE, &scene.records[2]));
    assert_eq!(at(&scene), "identical");
    let genuine = scene.decision(RELEASE).evidence.witness.unwrap();
    let bytes = scene.blobs[&genuine].to_vec();
    // Both contracts' codes end the witness: each begins alike, and ends in thousands of the same byte.
    let ends: Vec<_> = (0..bytes.len() - 500).filter(|at| bytes[*at..at + 500] == [0x5b; 500]).collect();
    assert!(ends.len() > 3000);
    let mut missing = 0;
    for (byte, flip) in [ends[0], ends[ends.len() / 2], ends[ends.len() - 1], bytes.len() - 1]
        .into_iter()
        .flat_map(|byte| [(byte, 0x40), (byte, 0x80)])
    {
        let mut changed = bytes.clone();
        changed[byte] ^= flip;
        let id = scene.replace(changed);
        scene.change(RELEASE, |it| it.evidence.witness = id);
        let found = at(&scene);
        assert!(found.starts_with("different outcome"), "{byte}: {found}");
        // A code that stands no longer in its order is refused before.
        assert!(found.contains("code-missing") || found.contains("witness-not-canonical"), "{byte}: {found}");
        missing += usize::from(found.contains("code-missing"));
        scene.change(RELEASE, |it| it.evidence.witness = Some(genuine));
        assert_eq!(at(&scene), "identical");
    }
    assert!(missing >= 4, "{missing}");
}

#[test]
fn evidence__should_be_noticed_when_it_is_exchanged_for_genuine_evidence_of_something_else() {
    let mut scene = scene();
    let (release, other) = (scene.decision(RELEASE).evidence, scene.decision(BY_CHAIN).evidence);
    let mut with = |change: &dyn Fn(&mut Decision)| {
        let kept = scene.records[2].clone();
        scene.change(RELEASE, change);
        let found = at(&scene, RELEASE);
        scene.records[2] = kept;
        found
    };
    assert!(with(&|it| it.evidence.quote = other.quote).contains("binding-mismatch"));
    assert!(with(&|it| it.evidence.witness = other.witness).contains("witness-other-time"));
    assert!(with(&|it| it.evidence.event_log = release.os_image_manifest).starts_with("different outcome"));
    assert!(with(&|it| it.evidence.collateral = release.event_log).contains("collateral-malformed"));
    assert!(with(&|it| it.evidence.witness = release.quote).contains("witness-"));
}

#[test]
fn time__should_be_noticed_when_it_is_another() {
    let mut scene = scene();
    let kept = scene.records[2].clone();
    scene.change_record(RELEASE, |record| record.time += 1);
    assert!(at(&scene, RELEASE).contains("witness-other-time"));
    scene.records[2] = kept.clone();
    scene.change_record(RELEASE, |record| record.time -= 10);
    assert!(at(&scene, RELEASE).starts_with("different time"));
    scene.records[2] = kept;
    scene.change_record(RELEASE, |record| record.head.as_mut().unwrap().hash[0] ^= 1);
    assert!(at(&scene, RELEASE).starts_with("different head.hash"));
}

#[test]
fn rules__should_be_of_a_version_that_is_known() {
    for rules in [0, RULES_VERSION + 1] {
        let mut scene = scene();
        scene.change_record(RELEASE, |record| record.node.rules = rules);
        assert_eq!(at(&scene, RELEASE), "replay-rules-unknown");
    }
}

#[test]
fn policy__should_decide_as_it_was_recorded() {
    let mut scene = scene();
    let mut narrower = scene.policy.clone();
    narrower.decision.platform.min_evaluation_number = 1_000_000;
    let id = scene.replace(narrower.to_json().into_bytes()).unwrap();
    scene.change_record(RELEASE, |record| record.node.policy = id);
    assert!(at(&scene, RELEASE).contains("evaluation-number-too-low"));
    let mut elsewhere = scene.policy.clone();
    elsewhere.chain.confirmations = 2;
    elsewhere.chain.freshness.latest_max_age = 91;
    let id = scene.replace(elsewhere.to_json().into_bytes()).unwrap();
    scene.change_record(RELEASE, |record| record.node.policy = id);
    assert!(at(&scene, RELEASE).contains("trust-anchor-mismatch"));
    let id = scene.replace(b"{}".to_vec()).unwrap();
    scene.change_record(RELEASE, |record| record.node.policy = id);
    assert_eq!(at(&scene, RELEASE), "replay-policy-unreadable");
}

#[test]
fn certificate__should_follow_from_a_release_before_it() {
    assert_eq!(changed(CERTIFICATE, |it| it.release = None), "replay-evidence-unnamed");
    for release in [CERTIFICATE, 1, BY_CHAIN, 99] {
        let found = changed(CERTIFICATE, |it| it.release = Some(release));
        assert!(found.starts_with("different release"), "{found}");
    }
    let mut scene = scene();
    let other = scene.decision(BY_NODE).binding;
    scene.change(CERTIFICATE, |it| it.binding = other);
    assert!(at(&scene, CERTIFICATE).starts_with("different binding"));
    // A denial follows from the same release, and from another answer.
    assert_eq!(at(&scene, 10), "identical");
}

#[test]
fn standing__should_be_that_of_the_measured_node() {
    let mut scene = scene();
    scene.change_record(1, |record| record.node.measurement.0[0] ^= 1);
    assert!(at(&scene, 1).starts_with("different node.measurement"));
    let mut scene = crate::scene();
    let leaf = scene.decision(CERTIFICATE).evidence.certificate;
    scene.change(1, |it| it.evidence.certificate = leaf);
    assert!(at(&scene, 1).contains("ratls-evidence-missing"));
}
