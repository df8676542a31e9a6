//! Records as bytes: every field there and back, and whatever is cut, changed or too long.

use kms_attestation::ids::{
    AppId, ComposeHash, DeviceId, InstanceId, MrAggregated, MrSystem, Nonce, RootEpoch, SpkiHash, TlsExporter,
};
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::blob::BlobId;

fn block() -> impl Strategy<Value = Block> {
    any::<(u64, [u8; 32], u64)>().prop_map(|(number, hash, timestamp)| Block { number, hash, timestamp })
}

fn blob() -> impl Strategy<Value = Option<BlobId>> {
    any::<Option<[u8; 32]>>().prop_map(|id| id.map(BlobId))
}

fn evidence() -> impl Strategy<Value = Evidence> {
    (blob(), blob(), blob(), blob(), blob(), blob()).prop_map(
        |(quote, event_log, os_image_manifest, collateral, witness, certificate)| Evidence {
            quote,
            event_log,
            os_image_manifest,
            collateral,
            witness,
            certificate,
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    any::<([u8; 20], [u8; 32], Option<[u8; 20]>, [u8; 32], [u8; 32], [u8; 32])>().prop_map(
        |(app, compose, instance, device, system, aggregated)| Identity {
            app_id: AppId(app),
            compose_hash: ComposeHash(compose),
            instance_id: instance.map(InstanceId),
            device_id: DeviceId(device),
            mr_system: MrSystem(system),
            mr_aggregated: MrAggregated(aggregated),
        },
    )
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        Just(Who::Unknown),
        identity().prop_map(Who::Open),
        any::<[u8; 32]>().prop_map(|id| Who::Sealed(BlobId(id))),
    ]
}

fn binding() -> impl Strategy<Value = Binding> {
    any::<[[u8; 32]; 5]>().prop_map(|[client, server, client_spki, server_spki, exporter]| Binding {
        client_nonce: Nonce(client),
        server_nonce: Nonce(server),
        client_spki: SpkiHash(client_spki),
        server_spki: SpkiHash(server_spki),
        exporter: TlsExporter(exporter),
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let kinds = subsequence(KeyKind::ALL, 0..=KeyKind::ALL.len());
    prop_oneof![
        (block(), proptest::option::of(block()), kinds)
            .prop_map(|(latest, finalized, released)| Outcome::Allow { latest, finalized, released }),
        ("[a-z-]{1,40}", ".{0,200}", ".{0,200}").prop_map(|(code, found, expected)| Outcome::Deny {
            code,
            found,
            expected
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let decision = (
        subsequence(Subject::ALL, 1),
        proptest::option::of(binding()),
        any::<Option<u64>>(),
        evidence(),
        any::<Option<u64>>(),
        who(),
        outcome(),
    )
        .prop_map(|(subject, binding, release, evidence, out_of_date_since, who, outcome)| {
            let subject = subject[0];
            Decision { subject, binding, release, evidence, out_of_date_since, who, outcome }
        });
    let started = (
        subsequence(RootOrigin::ALL, 1),
        any::<([u8; 32], [u8; 32], [u8; 32])>(),
        evidence(),
        proptest::collection::vec(".{0,30}", 0..4),
    )
        .prop_map(|(origin, (signer, root_ca, log_key), evidence, insecure_settings)| {
            let mut root_signer = [2; 33];
            root_signer[1..].copy_from_slice(&signer);
            let root_origin = origin[0];
            Started { root_origin, root_signer, root_ca, log_key, evidence, insecure_settings }
        });
    let count = ("[a-z-]{1,30}", any::<u64>()).prop_map(|(code, count)| CodeCount { code, count });
    prop_oneof![
        decision.prop_map(|decision| Event::Decision(Box::new(decision))),
        started.prop_map(|started| Event::Started(Box::new(started))),
        Just(Event::Stopped),
        (any::<u64>(), proptest::collection::vec(count, 0..5))
            .prop_map(|(since, refusals)| Event::Unstored(Unstored { since, refusals })),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (any::<(u64, u32, u32, [u8; 32], [u8; 32])>(), proptest::option::of(block()), event()).prop_map(
        |((time, rules, epoch, policy, measurement), head, event)| Record {
            time,
            node: NodeStamp {
                name: "kms-1.example".to_owned(),
                software: "onchain-kms/0".to_owned(),
                rules,
                root_epoch: RootEpoch(epoch),
                policy: BlobId(policy),
                measurement: MrAggregated(measurement),
            },
            head,
            event,
        },
    )
}

/// The example of `docs/LEDGER.md`.
fn stopped() -> Record {
    let node = NodeStamp {
        name: "a".to_owned(),
        software: "b/1".to_owned(),
        rules: 1,
        root_epoch: RootEpoch(0),
        policy: BlobId([0x11; 32]),
        measurement: MrAggregated([0x22; 32]),
    };
    Record { time: 1_700_000_000, node, head: None, event: Event::Stopped }
}

#[test]
fn encode__should_give_the_documented_bytes() {
    let expected = [
        "01",
        "000000006553f100",
        "000161",
        "0003622f31",
        "00000001",
        "00000000",
        &"11".repeat(32),
        &"22".repeat(32),
        "00",
        "02",
    ];
    assert_eq!(hex::encode(stopped().encode()), expected.concat());
}

#[test]
fn decode__should_refuse_each_fault_with_its_code() {
    let good = stopped().encode();
    let code = |bytes: &[u8]| Record::decode(bytes).unwrap_err().code;
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(code(&vec![0; MAX_RECORD_BYTES + 1]), LedgerCode::RecordTooLarge);
    assert_eq!(code(&with(0, 2)), LedgerCode::RecordVersion);
    assert_eq!(code(&[]), LedgerCode::RecordMalformed);
    assert_eq!(code(&good[..good.len() - 1]), LedgerCode::RecordMalformed);
    assert_eq!(code(&[&good[..], &[0]].concat()), LedgerCode::RecordMalformed);
    assert_eq!(code(&with(good.len() - 1, 9)), LedgerCode::RecordMalformed);
    assert_eq!(code(&with(good.len() - 2, 2)), LedgerCode::RecordMalformed);
    assert_eq!(code(&with(11, 0xff)), LedgerCode::RecordMalformed);
}

#[test]
fn bounded_text__should_cut_between_characters() {
    assert_eq!(bounded_text("short"), "short");
    assert_eq!(bounded_text(&"é".repeat(MAX_TEXT_BYTES)).len(), MAX_TEXT_BYTES);
    assert_eq!(bounded_text(&format!("a{}", "é".repeat(MAX_TEXT_BYTES))).len(), MAX_TEXT_BYTES - 1);
}

proptest! {
    #[test]
    fn decode__should_give_back_what_was_encoded(record in record()) {
        prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
    }

    #[test]
    fn decode__should_never_read_two_byte_strings_as_one_record(record in record(), at: usize, flip in 1u8..) {
        let mut bytes = record.encode();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(other) = Record::decode(&bytes) {
            prop_assert_ne!(other, record);
        }
    }
}
