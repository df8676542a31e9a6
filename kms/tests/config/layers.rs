//! File, environment, flags: later wins, nothing is lost, and everything says where it came from.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use kms_node::config::{Config, FaultCode, MAX_OVERRIDE_BYTES, Origin, check_report};

use crate::support::{MINIMAL, NO_ENVIRONMENT, faults, parse, with_environment, with_flags};

fn connections(environment: &[(&str, &str)], flags: &[&str]) -> (usize, Origin) {
    let file = format!("{MINIMAL}\n[limits]\nconnections = 1000\n");
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let config = Config::parse("kms.toml", file.as_bytes(), environment.iter().copied(), &flags).unwrap();
    let setting = config.settings().iter().find(|setting| setting.key == "limits.connections").unwrap();
    (config.limits.serve.connections.connections, setting.origin.clone())
}

#[test]
fn layers__should_let_the_later_one_win() {
    let environment = [("KMS_NODE__LIMITS__CONNECTIONS", "2000")];
    let line = MINIMAL.lines().count() + 3;
    assert_eq!(connections(&[], &[]), (1000, Origin::File { file: "kms.toml".into(), line }));
    let from = Origin::Environment("KMS_NODE__LIMITS__CONNECTIONS".to_owned());
    assert_eq!(connections(&environment, &[]), (2000, from));
    let flags = ["limits.connections=3000", "limits.connections=3_001"];
    assert_eq!(connections(&environment, &flags), (3001, Origin::Flag(2)));
}

#[test]
fn layers__should_do_without_a_file() {
    let flags = [
        "root.generate=true",
        "node.name=7",
        "node.os_image_manifest=/m",
        "chain.chain_id=1",
        "chain.contract=0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "chain.rpc=['https://a.example','https://b.example']",
        "chain.quorum=2",
        "attestation.pccs=[{ url = 'https://pccs.example' }]",
    ]
    .map(str::to_owned);
    let config = Config::load(None, NO_ENVIRONMENT, &flags).unwrap();
    assert_eq!(config.node.name.as_str(), "7", "an override is the text itself where text is expected");
    assert_eq!(config.attestation.pccs[0].url, "https://pccs.example");
}

#[test]
fn environment__should_leave_other_variables_alone() {
    let others = [("KMS_NODE_PORT", "tcp://10.0.0.1:50051"), ("PATH", "/bin"), ("kms_node__x__y", "1")];
    assert!(with_environment(MINIMAL, &others).is_ok());
}

#[test]
fn overrides__should_be_refused_where_they_name_no_key() {
    let unknown = |key: &str| vec![(FaultCode::UnknownKey, key.to_owned())];
    assert_eq!(faults(with_environment(MINIMAL, &[("KMS_NODE__NOPE__X", "1")])), unknown("nope"));
    assert_eq!(faults(with_environment(MINIMAL, &[("KMS_NODE__CHAIN__X", "1")])), unknown("chain.x"));
    assert_eq!(faults(with_flags(MINIMAL, &["policy.platform.grace=1"])), unknown("policy.platform.grace"));
    let bad = vec![(FaultCode::BadOverride, "an override".to_owned())];
    for name in
        ["KMS_NODE__", "KMS_NODE__CHAIN", "KMS_NODE__chain__quorum", "KMS_NODE__CHAIN__", "KMS_NODE____X"]
    {
        assert_eq!(faults(with_environment(MINIMAL, &[(name, "1")])), bad, "{name}");
    }
    for flag in ["", "=", "chain.quorum", "quorum=2", "chain..quorum=2", "Chain.quorum=2", "https://h/?k=1"] {
        assert_eq!(faults(with_flags(MINIMAL, &[flag])), bad, "{flag}");
    }
    let below = faults(with_flags(MINIMAL, &["chain.quorum.deep=2"]));
    assert_eq!(below, [(FaultCode::BadOverride, "chain.quorum.deep".to_owned())]);
}

#[test]
fn override__should_not_replace_a_section() {
    let refused = faults(with_flags(MINIMAL, &["policy.platform={ grace_secs = 1 }"]));
    assert_eq!(refused, [(FaultCode::WrongType, "policy.platform".to_owned())]);
}

#[test]
fn override__should_be_bounded_text() {
    let long = format!("log.level={}", "x".repeat(MAX_OVERRIDE_BYTES + 1));
    assert_eq!(faults(with_flags(MINIMAL, &[&long])), [(FaultCode::TooLarge, "log.level".to_owned())]);
    let bytes = [(OsString::from("KMS_NODE__LOG__LEVEL"), OsString::from_vec(vec![0xff]))];
    let refused = faults(Config::parse("kms.toml", MINIMAL.as_bytes(), bytes, &[]));
    assert_eq!(refused, [(FaultCode::NotText, "log.level".to_owned())]);
}

#[test]
fn report__should_say_what_counts_and_where_it_was_given() {
    let report = check_report(&with_flags(MINIMAL, &["limits.handshakes=70"]).unwrap());
    let line = |key: &str| {
        let mut lines = report.lines().filter(|line| line.starts_with(&format!("{key} ")));
        lines
            .next()
            .unwrap_or_else(|| panic!("{key}: {report}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("limits.handshakes"), "limits.handshakes 70 (--set number 1)");
    assert_eq!(line("listen.address"), r#"listen.address "0.0.0.0:50051" (default)"#);
    assert_eq!(line("chain.quorum"), "chain.quorum 2 (kms.toml:11)");
    assert_eq!(line("insecure"), "insecure nothing");
    assert_eq!(line("policy digest").split(' ').next_back().unwrap().len(), 64);
}

#[test]
fn report__should_show_no_path_of_a_providers_url() {
    let secret = MINIMAL.replace("rpc-a.example", "rpc-a.example/v2/HUNTER2");
    let config = parse(&secret).unwrap();
    assert_eq!(config.chain.providers.urls()[0].expose(), "https://rpc-a.example/v2/HUNTER2");
    assert_eq!(config.chain.providers.urls()[0].to_string(), "https://rpc-a.example");
    for text in [check_report(&config), format!("{config:?}"), config.policy_document().to_json()] {
        assert!(text.contains("rpc-a.example") && !text.contains("HUNTER2"), "{text}");
    }
}
