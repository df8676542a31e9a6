//! Every fault: its code, its place, both sides. And many at once.

use kms_node::config::{FaultCode, Origin};

use crate::support::{EXAMPLE, MINIMAL, faults, parse, with_flags};

/// One flag, one fault.
const SINGLE: &[(&str, FaultCode, &str)] = &[
    ("listen.address=localhost:50051", FaultCode::InvalidValue, "listen.address"),
    ("listen.address=0.0.0.0:65536", FaultCode::InvalidValue, "listen.address"),
    ("listen.server_names=[]", FaultCode::OutOfRange, "listen.server_names"),
    ("listen.server_names=kms.example", FaultCode::WrongType, "listen.server_names"),
    ("listen.server_names=['*.example']", FaultCode::InvalidValue, "listen.server_names[0]"),
    ("listen.server_names=['a.example', 'B.example']", FaultCode::InvalidValue, "listen.server_names[1]"),
    ("listen.server_names=['127.0.0.1']", FaultCode::InvalidValue, "listen.server_names[0]"),
    ("listen.server_names=['a.kms.internal']", FaultCode::Conflict, "listen.server_names"),
    ("root.generate=false", FaultCode::MissingKey, "root.generate"),
    ("root.generate=yes", FaultCode::WrongType, "root.generate"),
    ("root.insecure_root_file=/root.hex", FaultCode::Conflict, "root.insecure_root_file"),
    ("root.insecure_root_file=root.hex", FaultCode::InvalidValue, "root.insecure_root_file"),
    ("node.name=", FaultCode::InvalidValue, "node.name"),
    ("node.name=Kms", FaultCode::InvalidValue, "node.name"),
    ("node.name=a/b", FaultCode::InvalidValue, "node.name"),
    ("node.state_dir=state", FaultCode::InvalidValue, "node.state_dir"),
    ("node.insecure_no_memory_lock=1", FaultCode::WrongType, "node.insecure_no_memory_lock"),
    ("attestation.pccs=[]", FaultCode::OutOfRange, "attestation.pccs"),
    ("attestation.pccs=['https://h.example']", FaultCode::WrongType, "attestation.pccs[0]"),
    ("attestation.pccs=[{ kind = 'pccs' }]", FaultCode::MissingKey, "attestation.pccs[0].url"),
    (
        "attestation.pccs=[{ url = 'https://h.example', kind = 'cloud' }]",
        FaultCode::InvalidValue,
        "attestation.pccs[0].kind",
    ),
    (
        "attestation.pccs=[{ url = 'https://h.example', insecure = true }]",
        FaultCode::UnknownKey,
        "attestation.pccs[0].insecure",
    ),
    (
        "attestation.pccs=[{ url = 'https://u:p@h.example' }]",
        FaultCode::InvalidValue,
        "attestation.pccs[0].url",
    ),
    ("attestation.collateral_set=late", FaultCode::InvalidValue, "attestation.collateral_set"),
    ("policy.boot_phase=never", FaultCode::InvalidValue, "policy.boot_phase"),
    ("policy.platform.grace_secs=-1", FaultCode::InvalidValue, "policy.platform.grace_secs"),
    ("policy.platform.grace_secs=1.5", FaultCode::InvalidValue, "policy.platform.grace_secs"),
    (
        "policy.platform.min_evaluation_number=4294967296",
        FaultCode::InvalidValue,
        "policy.platform.min_evaluation_number",
    ),
    (
        "policy.platform.accepted_tcb_statuses=['Fine']",
        FaultCode::InvalidValue,
        "policy.platform.accepted_tcb_statuses",
    ),
    (
        "policy.platform.accepted_tcb_statuses=['Revoked']",
        FaultCode::InvalidValue,
        "policy.platform.accepted_tcb_statuses",
    ),
    (
        "policy.platform.accepted_tcb_statuses=[]",
        FaultCode::InvalidValue,
        "policy.platform.accepted_tcb_statuses",
    ),
    ("policy.platform.allowed_fmspcs=[]", FaultCode::InvalidValue, "policy.platform.allowed_fmspcs"),
    ("policy.platform.allowed_fmspcs=['00']", FaultCode::InvalidValue, "policy.platform.allowed_fmspcs"),
    ("chain.chain_id=0", FaultCode::OutOfRange, "chain.chain_id"),
    ("chain.chain_id=mainnet", FaultCode::WrongType, "chain.chain_id"),
    ("chain.chain_id=9007199254740992", FaultCode::OutOfRange, "chain.chain_id"),
    ("chain.contract=0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", FaultCode::InvalidValue, "chain.contract"),
    ("chain.contract=5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", FaultCode::InvalidValue, "chain.contract"),
    ("chain.contract=0x0000000000000000000000000000000000000000", FaultCode::InvalidValue, "chain.contract"),
    ("chain.grant_at=finalized", FaultCode::InvalidValue, "chain.grant_at"),
    ("chain.quorum=1", FaultCode::Conflict, "chain.quorum"),
    ("chain.quorum=4", FaultCode::Conflict, "chain.quorum"),
    ("chain.quorum=17", FaultCode::OutOfRange, "chain.quorum"),
    ("chain.rpc=['https://a.example/1', 'https://a.example/2']", FaultCode::Conflict, "chain.rpc"),
    ("chain.rpc=['https://a.example', 'https://A.example']", FaultCode::InvalidValue, "chain.rpc[1]"),
    ("chain.rpc=['https://a.example', 'https://a.example.']", FaultCode::InvalidValue, "chain.rpc[1]"),
    ("chain.rpc=['https://a.example', 'wss://b.example']", FaultCode::InvalidValue, "chain.rpc[1]"),
    ("chain.rpc=['https://a.example', 'https://u@b.example']", FaultCode::InvalidValue, "chain.rpc[1]"),
    ("chain.rpc=['https://a.example', 5]", FaultCode::WrongType, "chain.rpc[1]"),
    ("chain.confirmations=65", FaultCode::OutOfRange, "chain.confirmations"),
    ("chain.latest_max_age_s=0", FaultCode::OutOfRange, "chain.latest_max_age_s"),
    ("chain.poll_every_ms=60000", FaultCode::Conflict, "chain.poll_every_ms"),
    ("limits.connections=0", FaultCode::OutOfRange, "limits.connections"),
    ("limits.connections_per_address=4097", FaultCode::Conflict, "limits.connections_per_address"),
    ("limits.handshakes=4097", FaultCode::Conflict, "limits.handshakes"),
    ("limits.handshakes_per_address=257", FaultCode::Conflict, "limits.handshakes_per_address"),
    ("limits.handshake_timeout_ms=20001", FaultCode::Conflict, "limits.handshake_timeout_ms"),
    ("limits.idle_timeout_s=601", FaultCode::Conflict, "limits.idle_timeout_s"),
    ("limits.nonce_lifetime_s=301", FaultCode::OutOfRange, "limits.nonce_lifetime_s"),
    ("limits.verifications=-1", FaultCode::OutOfRange, "limits.verifications"),
    ("record.path=decisions.log", FaultCode::InvalidValue, "record.path"),
    ("certificates.leaf_max_lifetime_s=900", FaultCode::Conflict, "certificates.node_lifetime_s"),
    ("certificates.zone=internal", FaultCode::InvalidValue, "certificates.zone"),
    ("certificates.zone=kms.internal.", FaultCode::InvalidValue, "certificates.zone"),
    ("certificates.zone=KMS.internal", FaultCode::InvalidValue, "certificates.zone"),
    ("certificates.app_ca_lifetime_s=3600", FaultCode::Conflict, "certificates.leaf_max_lifetime_s"),
    ("certificates.node_lifetime_s=86401", FaultCode::OutOfRange, "certificates.node_lifetime_s"),
    ("certificates.node_renewal_s=4", FaultCode::OutOfRange, "certificates.node_renewal_s"),
    ("certificates.node_renewal_s=1801", FaultCode::OutOfRange, "certificates.node_renewal_s"),
    ("log.level=loud", FaultCode::InvalidValue, "log.level"),
    ("log.format=xml", FaultCode::InvalidValue, "log.format"),
];

#[test]
fn fault__should_be_found_alone() {
    for (flag, code, key) in SINGLE {
        assert_eq!(faults(with_flags(MINIMAL, &[flag])), [(*code, (*key).to_owned())], "{flag}");
    }
}

#[test]
fn faults__should_all_be_found_at_once() {
    // One of each key, all in one start. What depends on another key is left out: that one is faulty too.
    let alone =
        |(_, code, _): &&(_, FaultCode, _)| !matches!(code, FaultCode::Conflict | FaultCode::MissingKey);
    let mut flags = std::collections::BTreeMap::new();
    for (flag, code, key) in SINGLE.iter().filter(alone) {
        flags.entry(flag.split_once('=').unwrap().0).or_insert((*flag, (*code, (*key).to_owned())));
    }
    let given: Vec<&str> = flags.values().map(|(flag, _)| *flag).collect();
    let mut found = faults(with_flags(MINIMAL, &given));
    let mut expected: Vec<_> = flags.into_values().map(|(_, fault)| fault).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(found.len() > 28, "{}", found.len());
}

#[test]
fn empty__should_lack_everything_that_must_be_given() {
    let missing = |key: &str| (FaultCode::MissingKey, key.to_owned());
    let keys = [
        "root.generate",
        "node.name",
        "node.os_image_manifest",
        "chain.chain_id",
        "chain.contract",
        "chain.rpc",
        "chain.quorum",
    ];
    assert_eq!(faults(parse("")), keys.map(missing));
}

#[test]
fn unknown_key__should_be_found_at_every_level() {
    let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
    lines.insert(0, "stray = 1".to_owned());
    let mut expected = vec!["stray".to_owned()];
    for number in (1..lines.len()).rev() {
        if lines[number].starts_with('[') {
            let section = lines[number].trim_matches(['[', ']']).replace("pccs", "pccs[0]");
            lines.insert(number + 1, "stray = 1".to_owned());
            expected.push(format!("{section}.stray"));
        }
    }
    let mut found: Vec<String> = faults(parse(&lines.join("\n")))
        .into_iter()
        .map(|(code, key)| {
            assert_eq!(code, FaultCode::UnknownKey);
            key
        })
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(
        faults(parse(&format!("{MINIMAL}[beacon]\nx = 1\n"))),
        [(FaultCode::UnknownKey, "beacon".to_owned())]
    );
}

#[test]
fn fault__should_say_where_what_and_what_instead() {
    let errors = parse(&MINIMAL.replace("quorum = 2", "quorum = 1\nquorom = 2")).unwrap_err();
    let [unknown, conflict] = errors.faults() else { panic!("{errors}") };
    assert_eq!(conflict.key, "chain.quorom");
    assert_eq!(unknown.origin, Origin::File { file: "kms.toml".into(), line: 11 });
    assert_eq!((&*unknown.found, &*unknown.expected), ("1 of 3", "a majority, from 2 to 3"));
    let text = errors.to_string();
    assert!(
        text.starts_with("the configuration has 2 faults:\n1. config-conflict: chain.quorum (kms.toml:11)")
    );
    assert!(text.contains("one of chain_id, contract, grant_at"), "{text}");
}

#[test]
fn fault__should_never_repeat_a_url() {
    let urls = [
        "chain.rpc=https://a.example/HUNTER2",
        "chain.rpc=['https://a.example/HUNTER2', 'ftp://b.example/HUNTER2', 'http://c.example/HUNTER2']",
        "chain.rpc=['https://a.example/HUNTER2', 'https://a.example/HUNTER2?key=HUNTER2']",
        "chain.rpc=['HUNTER2', 'https://HUNTER2@a.example', 'http://a.example/HUNTER2']",
        "chain.urls=['https://a.example/HUNTER2']",
        "chain.chain_id=https://a.example/HUNTER2",
        "attestation.pccs=[{ url = 'https://a.example/?HUNTER2' }, { url = 'https://x:HUNTER2@a.example' }]",
        "https://a.example/HUNTER2",
        "https://a.example/HUNTER2=x",
    ];
    for flag in urls {
        let text = with_flags(MINIMAL, &[flag]).unwrap_err().to_string();
        assert!(!text.contains("HUNTER2"), "{flag}: {text}");
    }
    let broken = MINIMAL.replace("\"https://rpc-a.example\"", "\"https://rpc-a.example/HUNTER2");
    let text = parse(&broken).unwrap_err().to_string();
    assert!(text.contains("config-syntax") && !text.contains("HUNTER2"), "{text}");
}

#[test]
fn code__should_have_a_text_of_its_own_and_a_fix() {
    let codes: std::collections::BTreeSet<_> = FaultCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), FaultCode::ALL.len());
    assert!(
        FaultCode::ALL.iter().all(|code| code.as_str().starts_with("config-") && code.fix().ends_with('.'))
    );
}
