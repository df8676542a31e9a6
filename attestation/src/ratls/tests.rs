//! RA-TLS certificates as a whole: real certificates, written with rcgen, read back, and broken on purpose.

use kms_simulator::platform::Platform;
use kms_simulator::quote::QuoteSpec;
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData};
use serde::Serialize;
use serde_json::json;

use super::*;
use crate::event_log::{DigestVersion, EventLog, MAX_EVENTS, RuntimeEvent};
use crate::ids::AppId;
use crate::quote::{MAX_QUOTE_BYTES, Quote};

const QUOTE: &[u8] = &[0xC3; 5006];

fn log() -> EventLog {
    EventLog::new(vec![
        RuntimeEvent::new("system-preparing", []),
        RuntimeEvent::new("app-id", [0xAB; 20]),
        RuntimeEvent::new("key-provider", *br#"{"name":"kms","id":""}"#),
    ])
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn certificate(key: &KeyPair, extensions: impl IntoIterator<Item = Extension>) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["node.example".to_owned()]).unwrap();
    params.custom_extensions = extensions
        .into_iter()
        .map(|extension| CustomExtension::from_oid_content(extension.oid, extension.value))
        .collect();
    params.self_signed(key).unwrap().der().to_vec()
}

/// Any content under the newer form's identifier.
fn attestation(content: &[u8]) -> Extension {
    Extension { oid: oid::ATTESTATION, value: octet_string(content) }
}

fn octet_string(content: &[u8]) -> Vec<u8> {
    use der::Encode;
    der::asn1::OctetStringRef::new(content).unwrap().to_der().unwrap()
}

fn bound(key: &KeyPair) -> ReportData {
    report_data_for_spki(&key.subject_public_key_info())
}

fn versioned(key: &KeyPair, log: &EventLog) -> Result<Extension, DenyReason> {
    let report_data = bound(key);
    attestation_extension(&Attestation {
        quote: QUOTE,
        event_log: log,
        report_data: &report_data,
        config: "{}",
    })
}

/// The `MessagePack` form as dstack's serde types write it: `Vec<u8>` as an array of integers, and `bin` for what
/// goes through `serde_human_bytes`.
mod v1 {
    use super::*;

    #[derive(Serialize)]
    pub(super) struct Attestation<Log> {
        pub(super) version: u64,
        pub(super) platform: Platform<Log>,
        pub(super) stack: Stack,
    }

    #[derive(Serialize)]
    #[serde(tag = "kind", content = "data", rename_all = "kebab-case")]
    pub(super) enum Platform<Log> {
        Tdx { quote: Vec<u8>, event_log: Log },
        GcpTdx { quote: Vec<u8>, event_log: Log, tpm_quote: Vec<u8> },
        NitroEnclave { nsm_quote: Vec<u8> },
    }

    #[derive(Serialize)]
    #[serde(tag = "kind", content = "data", rename_all = "kebab-case")]
    pub(super) enum Stack {
        Dstack {
            report_data: Vec<u8>,
            runtime_events: Vec<Event>,
            config: String,
        },
        DstackPod {
            report_data: Vec<u8>,
            runtime_events: Vec<Event>,
            config: String,
            report_data_payload: String,
        },
    }

    #[derive(Serialize, Clone)]
    pub(super) struct Event {
        #[serde(rename = "event")]
        pub(super) name: String,
        #[serde(serialize_with = "bin")]
        pub(super) payload: Vec<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) version: Option<u32>,
    }

    fn bin<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn events(log: &EventLog) -> Vec<Event> {
        let version = |event: &RuntimeEvent| (event.version == DigestVersion::V2).then_some(2);
        let event = |event: &RuntimeEvent| Event {
            name: event.name.clone(),
            payload: event.payload.clone(),
            version: version(event),
        };
        log.events().iter().map(event).collect()
    }

    pub(super) fn stack(report_data: &ReportData, log: &EventLog) -> Stack {
        Stack::Dstack {
            report_data: report_data.0.to_vec(),
            runtime_events: events(log),
            config: "{}".to_owned(),
        }
    }

    pub(super) fn tdx(report_data: &ReportData, log: &EventLog) -> Attestation<Vec<Event>> {
        Attestation {
            version: 1,
            platform: Platform::Tdx { quote: QUOTE.to_vec(), event_log: events(log) },
            stack: stack(report_data, log),
        }
    }

    pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(value).unwrap()
    }
}

fn refusal(extensions: impl IntoIterator<Item = Extension>) -> DenyReason {
    RatlsCertificate::parse(&certificate(&key(), extensions)).unwrap_err()
}

fn refusal_of_v1(value: &impl Serialize) -> DenyReason {
    let refused = refusal([attestation(&v1::encode(value))]);
    assert_eq!(refused.code, DenyCode::RatlsMalformed, "{refused}");
    refused
}

#[test]
fn report_data__should_match_an_independent_computation() {
    // python3: hashlib.sha512(b"ratls-cert:" + bytes.fromhex("3003020107"))
    assert_eq!(
        report_data_for_spki(&[0x30, 0x03, 0x02, 0x01, 0x07]).to_string(),
        "dd4c3dc2148325bb3e86d3cc60a176e076255b3a34ecb503a8e83dbc703a606c\
         5d981b013a632345998f8cc3a9e9c2c1258663a9dbcae1af6ef40fb243e63971"
    );
}

#[test]
fn parse__should_read_back_the_pair_form() {
    let key = key();
    let json = log().to_json();
    let pair = pair_extensions(QUOTE, json.as_bytes()).unwrap();
    let claims = [app_id_extension(&AppId([7; 20])).unwrap(), usage_extension(usage::KMS_RPC).unwrap()];
    let read = RatlsCertificate::parse(&certificate(&key, pair.into_iter().chain(claims))).unwrap();
    assert_eq!(read.form, EvidenceForm::Pair);
    assert_eq!(read.quote, QUOTE);
    assert_eq!(read.event_log, json.as_bytes());
    assert_eq!(read.spki, key.subject_public_key_info());
    assert_eq!((read.app_id, read.usage.as_deref()), (Some(AppId([7; 20])), Some("kms:rpc")));
    assert_eq!(read.check_binding(&bound(&key)), Ok(()));
}

#[test]
fn parse__should_read_back_the_scale_form() {
    let key = key();
    let read = RatlsCertificate::parse(&certificate(&key, [versioned(&key, &log()).unwrap()])).unwrap();
    assert_eq!(read.form, EvidenceForm::ScaleV0);
    assert_eq!(read.quote, QUOTE);
    assert_eq!(EventLog::parse(&read.event_log).unwrap(), log());
    assert_eq!((read.app_id, read.usage), (None, None));
}

#[test]
fn parse__should_read_the_msgpack_form_with_both_digest_versions() {
    let key = key();
    let mut events = log().events().to_vec();
    events.push(RuntimeEvent { version: DigestVersion::V2, ..RuntimeEvent::new("boot-mr-done", []) });
    let log = EventLog::new(events);
    let content = v1::encode(&v1::tdx(&bound(&key), &log));
    let read = RatlsCertificate::parse(&certificate(&key, [attestation(&content)])).unwrap();
    assert_eq!(read.form, EvidenceForm::MsgpackV1);
    assert_eq!(read.quote, QUOTE);
    assert_eq!(EventLog::parse(&read.event_log).unwrap(), log);
}

#[test]
fn attestation_extension__should_write_msgpack_where_scale_cannot_say_the_digest_version() {
    let key = key();
    let mut events = log().events().to_vec();
    events.push(RuntimeEvent { version: DigestVersion::V2, ..RuntimeEvent::new("boot-mr-done", []) });
    let log = EventLog::new(events);
    let written = versioned(&key, &log).unwrap();
    // The stack is the last part; it must be what dstack's own types write.
    let theirs = v1::encode(&v1::tdx(&bound(&key), &log));
    let stack = theirs.windows(6).position(|bytes| bytes == b"\xa5stack").unwrap();
    assert!(written.value.ends_with(&theirs[stack..]));
    let read = RatlsCertificate::parse(&certificate(&key, [written])).unwrap();
    assert_eq!((read.form, read.quote.as_slice()), (EvidenceForm::MsgpackV1, QUOTE));
    assert_eq!(EventLog::parse(&read.event_log).unwrap(), log);
}

#[test]
fn parse__should_prefer_the_newer_form_as_dstack_does() {
    let key = key();
    let pair = pair_extensions(b"another quote", b"[]").unwrap();
    let both = pair.into_iter().chain([versioned(&key, &log()).unwrap()]);
    assert_eq!(RatlsCertificate::parse(&certificate(&key, both)).unwrap().form, EvidenceForm::ScaleV0);
}

#[test]
fn scale__should_match_the_bytes_that_dstack_writes() {
    // The tail of dstack's own known answer (ra-tls, test_csr_v2_scale_encoding_stable_with_tdx_quote): quote 09,
    // no events, report data of zeros, no configuration.
    let expected = format!("000004090000{}00", "00".repeat(64));
    let zeros = ReportData::ZERO;
    let empty = EventLog::default();
    let written = attestation_extension(&Attestation {
        quote: &[9],
        event_log: &empty,
        report_data: &zeros,
        config: "",
    });
    assert_eq!(hex::encode(written.unwrap().value), format!("0447{expected}"));
    let read = evidence::versioned(&hex::decode(expected).unwrap()).unwrap();
    assert_eq!((read.quote, read.report_data), (vec![9], ReportData::ZERO));
}

#[test]
fn scale__should_lay_out_events_as_dstack_does() {
    // One event of a 0.6.0 guest's certificate: imr 3, type 0x08000001, its digest, name and payload; then the
    // same event again among the runtime events.
    let event = concat!(
        "0300000001000008",
        "c0ba51104636900268b0e059fa3d266419d079d1e94aea26fb9fcbb8d764bf4c89a67ac271b8a0d1a3989945132a111fc7",
        "28",
        "73746f726167652d6673",
        "0c7a6673",
    );
    let expected =
        format!("0000040904{event}0428{}0c7a6673{}087b7d", "73746f726167652d6673", "00".repeat(64));
    let log = EventLog::new(vec![RuntimeEvent::new("storage-fs", *b"zfs")]);
    let zeros = ReportData::ZERO;
    let written = attestation_extension(&Attestation {
        quote: &[9],
        event_log: &log,
        report_data: &zeros,
        config: "{}",
    });
    let written = written.unwrap().value;
    assert_eq!(hex::encode(written.strip_prefix(&[0x04, 0x81]).unwrap().split_first().unwrap().1), expected);
}

#[test]
fn msgpack__should_read_the_bytes_that_dstack_writes() {
    // Put together by hand from the layout of a 0.6.0 guest's certificate: the quote and the report data as
    // arrays of integers (dc = array 16, cc = u8), digests and payloads as bin (c4).
    let event_log = "91 85 a3696d72 03 aa6576656e745f74797065 ce08000001 a6646967657374 c400 \
                     a56576656e74 aa73746f726167652d6673 ad6576656e745f7061796c6f6164 c4037a6673";
    let runtime = "91 82 a56576656e74 aa73746f726167652d6673 a77061796c6f6164 c4037a6673";
    let text = format!(
        "83 a776657273696f6e 01 \
         a8706c6174666f726d 82 a46b696e64 a3746478 a464617461 82 a571756f7465 92 04 cc81 \
         a96576656e745f6c6f67 {event_log} \
         a5737461636b 82 a46b696e64 a664737461636b a464617461 83 ab7265706f72745f64617461 dc0040 {} \
         ae72756e74696d655f6576656e7473 {runtime} a6636f6e666967 a27b7d",
        "ccff".repeat(64)
    );
    let bytes = hex::decode(text.replace(' ', "")).unwrap();
    let read = evidence::versioned(&bytes).unwrap();
    assert_eq!(read.quote, [0x04, 0x81]);
    assert_eq!(read.report_data, ReportData([0xFF; 64]));
    assert_eq!(read.events, [RuntimeEvent::new("storage-fs", *b"zfs")]);
}

#[test]
fn parse__should_refuse_a_certificate_without_evidence() {
    assert_eq!(refusal([]).code, DenyCode::RatlsEvidenceMissing);
    let log_only = pair_extensions(QUOTE, b"[]").unwrap().into_iter().skip(1);
    assert_eq!(refusal(log_only).code, DenyCode::RatlsEvidenceMissing);
    let quote_only = pair_extensions(QUOTE, b"[]").unwrap().into_iter().take(1);
    assert_eq!(refusal(quote_only).code, DenyCode::RatlsMalformed);
}

#[test]
fn parse__should_refuse_report_data_that_is_not_bound_to_the_key() {
    // The attestation of one key in the certificate of another, in both versioned forms.
    let other = key();
    let msgpack = attestation(&v1::encode(&v1::tdx(&bound(&other), &log())));
    for extension in [versioned(&other, &log()).unwrap(), msgpack] {
        let refused = refusal([extension]);
        assert_eq!(refused.code, DenyCode::RatlsBinding);
        assert!(refused.found.contains(&bound(&other).to_string()), "{refused}");
    }
}

#[test]
fn check_binding__should_accept_a_quote_that_was_made_for_the_key() {
    let key = key();
    let report_data = bound(&key);
    let spec = QuoteSpec { report_data: report_data.to_string().parse().unwrap(), ..QuoteSpec::default() };
    let quote = Platform::from_seed(7, 1_800_000_000).unwrap().host(0).unwrap().quote(&spec).unwrap();
    let log = log();
    let json = log.to_json();
    let attestation = Attestation { quote: &quote, event_log: &log, report_data: &report_data, config: "{}" };
    let pair = pair_extensions(&quote, json.as_bytes()).unwrap();
    for extensions in [pair.to_vec(), vec![attestation_extension(&attestation).unwrap()]] {
        let read = RatlsCertificate::parse(&certificate(&key, extensions)).unwrap();
        let carried = Quote::parse(&read.quote).unwrap().td().report_data;
        assert_eq!(read.check_binding(&carried), Ok(()));
    }
}

#[test]
fn check_binding__should_refuse_the_quote_of_another_key() {
    let own = key();
    let pair = pair_extensions(QUOTE, b"[]").unwrap();
    let read = RatlsCertificate::parse(&certificate(&own, pair)).unwrap();
    let refused = read.check_binding(&bound(&key())).unwrap_err();
    assert_eq!(refused.code, DenyCode::RatlsBinding);
    assert!(refused.expected.contains(&bound(&own).to_string()), "{refused}");
}

#[test]
fn parse__should_refuse_a_duplicate_extension() {
    let pair = pair_extensions(QUOTE, b"[]").unwrap();
    let another_quote = pair_extensions(b"another", b"[]").unwrap().into_iter().take(1);
    let refused = refusal(pair.into_iter().chain(another_quote));
    assert_eq!(refused.code, DenyCode::RatlsMalformed);
    assert!(refused.found.contains("1.3.6.1.4.1.62397.1.1 twice"), "{refused}");
}

#[test]
fn parse__should_refuse_malformed_claims() {
    let with = |oid, content: &[u8]| {
        let pair = pair_extensions(QUOTE, b"[]").unwrap();
        refusal(pair.into_iter().chain([Extension { oid, value: octet_string(content) }]))
    };
    for refused in [
        with(oid::APP_ID, &[7; 19]),
        with(oid::APP_ID, &[7; 32]),
        with(oid::USAGE, &[0xFF]),
        with(oid::USAGE, &[b'x'; MAX_USAGE_BYTES + 1]),
    ] {
        assert_eq!(refused.code, DenyCode::RatlsMalformed, "{refused}");
    }
}

#[test]
fn parse__should_refuse_content_that_is_not_exactly_an_octet_string() {
    for value in [vec![], QUOTE.to_vec(), vec![0x04, 0x02, 0x00], [octet_string(&[0]), vec![0]].concat()] {
        let refused = refusal([Extension { oid: oid::ATTESTATION, value }]);
        assert_eq!(refused.code, DenyCode::RatlsMalformed, "{refused}");
    }
}

#[test]
fn parse__should_refuse_what_is_too_large() {
    let large = refusal([attestation(&vec![0; MAX_CERTIFICATE_BYTES])]);
    assert!(large.expected.contains("65536"), "{large}");
    let quote = Extension { oid: oid::QUOTE, value: octet_string(&vec![0; MAX_QUOTE_BYTES + 1]) };
    let [_, log] = pair_extensions(QUOTE, b"[]").unwrap();
    let large = refusal([quote, log]);
    assert!(large.found.contains("a quote of 16385 bytes"), "{large}");
    assert!(pair_extensions(&vec![0; MAX_QUOTE_BYTES + 1], b"[]").is_err());
    assert!(pair_extensions(QUOTE, &vec![b' '; MAX_CERTIFICATE_BYTES + 1]).is_err());
    assert!(usage_extension(&"x".repeat(MAX_USAGE_BYTES + 1)).is_err());
}

#[test]
fn parse__should_refuse_every_truncation() {
    let key = key();
    for extension in
        [versioned(&key, &log()).unwrap(), attestation(&v1::encode(&v1::tdx(&bound(&key), &log())))]
    {
        let whole = certificate(&key, [extension]);
        assert!(RatlsCertificate::parse(&whole).is_ok());
        for length in (0..whole.len()).step_by(61) {
            assert_eq!(RatlsCertificate::parse(&whole[..length]).unwrap_err().code, DenyCode::RatlsMalformed);
        }
        let longer = [whole, vec![0]].concat();
        assert_eq!(RatlsCertificate::parse(&longer).unwrap_err().code, DenyCode::RatlsMalformed);
    }
}

#[test]
fn parse__should_refuse_truncated_and_extended_attestations() {
    let key = key();
    let msgpack = v1::encode(&v1::tdx(&bound(&key), &log()));
    let scale = versioned(&key, &log()).unwrap().value[4..].to_vec();
    assert_eq!(scale[0], 0);
    for content in [msgpack, scale] {
        assert!(evidence::versioned(&content).is_ok());
        for length in (0..content.len()).step_by(13) {
            let refused = evidence::versioned(&content[..length]).err();
            assert_eq!(refused.map(|refused| refused.code), Some(DenyCode::RatlsMalformed), "{length}");
        }
        assert!(evidence::versioned(&[content, vec![0]].concat()).is_err());
    }
}

#[test]
fn parse__should_refuse_other_platforms_and_versions() {
    let refused = refusal([attestation(&[0x00, 0x01, 0x00])]);
    assert!(refused.found.contains("kind 1"), "{refused}");
    let refused = refusal([attestation(&[0x42])]);
    assert!(refused.found.contains("0x42"), "{refused}");
    assert_eq!(refusal([attestation(&[])]).code, DenyCode::RatlsMalformed);

    let data = ReportData::ZERO;
    let quote = || QUOTE.to_vec();
    let of = |platform| v1::Attestation { version: 1, platform, stack: v1::stack(&data, &log()) };
    let gcp = v1::Platform::GcpTdx { quote: quote(), event_log: Vec::<v1::Event>::new(), tpm_quote: vec![] };
    assert!(refusal_of_v1(&of(gcp)).found.contains("gcp-tdx"));
    refusal_of_v1(&of(v1::Platform::NitroEnclave { nsm_quote: quote() }));
    let version = v1::Attestation { version: 2, ..v1::tdx(&data, &log()) };
    assert!(refusal_of_v1(&version).found.contains("version 2"));
    let pod = v1::Stack::DstackPod {
        report_data: data.0.to_vec(),
        runtime_events: vec![],
        config: String::new(),
        report_data_payload: "{}".to_owned(),
    };
    refusal_of_v1(&v1::Attestation { stack: pod, ..v1::tdx(&data, &log()) });
}

#[test]
fn msgpack__should_refuse_wrong_fields() {
    let data = ReportData::ZERO;
    let stack = |report_data: usize, digest_version| v1::Stack::Dstack {
        report_data: vec![0; report_data],
        runtime_events: vec![v1::Event {
            name: "x".to_owned(),
            payload: vec![],
            version: Some(digest_version),
        }],
        config: String::new(),
    };
    let of = |stack| v1::Attestation { stack, ..v1::tdx(&data, &log()) };
    assert!(refusal_of_v1(&of(stack(63, 1))).found.contains("63 bytes"));
    assert!(refusal_of_v1(&of(stack(64, 3))).found.contains("digest version 3"));
    refusal_of_v1(&json!({ "version": 1 }));
    refusal_of_v1(&json!({ "version": "1", "platform": {}, "stack": {} }));
    // A key twice, where two readers could each take another value: {"version": 1, "version": 1, ..}.
    let twice = hex::decode("82a776657273696f6e01a776657273696f6e01").unwrap();
    let refused = refusal([attestation(&twice)]);
    assert!(refused.found.contains("duplicate field"), "{refused}");
}

#[test]
fn msgpack__should_bound_nesting_events_and_announced_lengths() {
    let deep = [b"\x81\xa1x".as_slice(), &[0x91; 5000], &[0xC0]].concat();
    let refused = refusal([attestation(&deep)]);
    assert!(refused.found.contains("depth"), "{refused}");

    let many = EventLog::new(vec![RuntimeEvent::new("", []); MAX_EVENTS + 1]);
    let huge = v1::tdx(&ReportData::ZERO, &many);
    // In this form the certificate would not hold so many: the bound of the list is what is tested.
    let refused = evidence::versioned(&v1::encode(&huge)).err().unwrap();
    assert!(refused.found.contains("a list of more than 2048"), "{refused}");

    for length in ["c6ffffffff", "ddffffffff", "dfffffffff", "dbffffffff"] {
        let quote = "83a776657273696f6e01a8706c6174666f726d82a46b696e64a3746478a46461746182a571756f7465";
        let content = hex::decode(format!("{quote}{length}")).unwrap();
        assert_eq!(refusal([attestation(&content)]).code, DenyCode::RatlsMalformed);
    }
}

#[test]
fn scale__should_bound_events_and_announced_lengths() {
    // A list of 2049 empty runtime events: compact length 2049 = 0x2005.
    let events = [vec![0x05, 0x20], vec![0; 2 * (MAX_EVENTS + 1)]].concat();
    let content = [vec![0, 0, 0, 0], events, vec![0; 65]].concat();
    let refused = refusal([attestation(&content)]);
    assert!(refused.found.contains("2049 events"), "{refused}");

    for length in ["feffffff", "03ffffffff", "13ffffffffffffffff", "02"] {
        let content = hex::decode(format!("0000{length}")).unwrap();
        assert_eq!(refusal([attestation(&content)]).code, DenyCode::RatlsMalformed);
    }
}

#[test]
fn subject_public_key_info__should_be_the_key_of_a_plain_certificate() {
    let key = key();
    let spki = subject_public_key_info(&certificate(&key, [])).unwrap();
    assert_eq!(spki, key.subject_public_key_info());
    assert_eq!(subject_public_key_info(b"").unwrap_err().code, DenyCode::RatlsMalformed);
}

proptest! {
    #[test]
    fn parse__should_not_panic_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = RatlsCertificate::parse(&bytes);
        let _ = evidence::versioned(&[&[0x00, 0x00], bytes.as_slice()].concat());
        let _ = evidence::versioned(&[&[0x83], bytes.as_slice()].concat());
    }

    #[test]
    fn parse__should_not_panic_on_a_certificate_with_changed_bytes(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        msgpack in any::<bool>(),
    ) {
        let key = key();
        let extension = if msgpack {
            attestation(&v1::encode(&v1::tdx(&bound(&key), &log())))
        } else {
            versioned(&key, &log()).unwrap()
        };
        let mut der = certificate(&key, [extension]);
        for (index, byte) in changes {
            *index.get_mut(&mut der) = byte;
        }
        let _ = RatlsCertificate::parse(&der);
    }
}
