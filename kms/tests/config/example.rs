//! The documented example shows every key, with its default.

use std::collections::BTreeSet;

use kms_node::config::{Config, Setting};

use crate::support::{EXAMPLE, MINIMAL, parse};

/// The keys that a text shows, `#key = value` included, each with its line number from 0.
fn shown(text: &str) -> Vec<(String, usize)> {
    let (mut section, mut keys) = (String::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_matches(['[', ']']).clone_into(&mut section);
        }
        let line = line.strip_prefix('#').unwrap_or(line);
        match line.split_once(" = ") {
            Some((key, _)) if !key.contains(' ') => keys.push((format!("{section}.{key}"), number)),
            _ => {}
        }
    }
    keys
}

#[test]
fn example__should_equal_the_defaults() {
    let (example, minimal) = (parse(EXAMPLE).unwrap(), parse(MINIMAL).unwrap());
    let parts = |config: &Config| {
        let Config {
            listen,
            root,
            node,
            attestation,
            policy,
            chain,
            limits,
            record,
            metrics,
            certificates,
            log,
            ..
        } = config.clone();
        ((listen, root, node, attestation, policy), (chain, limits, record, metrics, certificates, log))
    };
    assert_eq!(parts(&example), parts(&minimal));
    assert_eq!(example.policy_document(), minimal.policy_document());
    assert!(example.insecure_settings().is_empty() && example.widened_settings().is_empty());
}

#[test]
fn example__should_show_every_key_that_exists_and_no_other() {
    let config = parse(EXAMPLE).unwrap();
    let name = |setting: &Setting| setting.key.replace("[0]", "");
    let mut exist: BTreeSet<String> = config.settings().iter().map(name).collect();
    assert!(exist.remove("attestation.pccs") && EXAMPLE.contains("[[attestation.pccs]]"));
    let shown: BTreeSet<String> = shown(EXAMPLE).into_iter().map(|(key, _)| key).collect();
    assert_eq!(shown, exist);
}

#[test]
fn example__should_say_something_about_every_key() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    for (key, line) in shown(EXAMPLE) {
        assert!(lines[line - 1].starts_with("# "), "{key}");
    }
}
