//! Files that nobody would write: large, deep, broken, not text. Reading ends, with faults and never with a panic.

use kms_node::config::{Config, FaultCode, MAX_FAULTS, MAX_FILE_BYTES, check_report};
use proptest::prelude::*;

use crate::support::{EXAMPLE, MINIMAL, NO_ENVIRONMENT, faults, parse};

const THE_FILE: &str = "the file";

fn load(path: &std::path::Path) -> Vec<(FaultCode, String)> {
    faults(Config::load(Some(path), NO_ENVIRONMENT, &[]))
}

#[test]
fn file__should_be_readable_bounded_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kms.toml");
    let one = |code| vec![(code, THE_FILE.to_owned())];
    assert_eq!(load(&path), one(FaultCode::Unreadable));
    assert_eq!(load(folder.path()), one(FaultCode::Unreadable));
    assert_eq!(load("/dev/zero".as_ref()), one(FaultCode::TooLarge));
    std::fs::write(&path, b"[node]\nname = \"\xff\"\n").unwrap();
    assert_eq!(load(&path), one(FaultCode::NotText));
    let padded = |length| format!("{MINIMAL}#{}", "x".repeat(length - MINIMAL.len() - 1));
    std::fs::write(&path, padded(MAX_FILE_BYTES)).unwrap();
    assert!(Config::load(Some(&path), NO_ENVIRONMENT, &[]).is_ok());
    std::fs::write(&path, padded(MAX_FILE_BYTES + 1)).unwrap();
    assert_eq!(load(&path), one(FaultCode::TooLarge));
}

#[test]
fn syntax__should_be_reported_with_every_line_and_alone() {
    let errors = parse("[chain]\nquorum = = 2\n[log]\nlevel = \"in\nx = 1\nx = 2\n").unwrap_err();
    assert!(errors.faults().iter().all(|fault| fault.code == FaultCode::Syntax), "{errors}");
    let lines: Vec<String> = errors.faults().iter().map(|fault| fault.origin.to_string()).collect();
    for line in ["kms.toml:2", "kms.toml:4", "kms.toml:6"] {
        assert!(lines.iter().any(|found| found == line), "{lines:?}");
    }
}

#[test]
fn syntax__should_not_hide_a_malformed_override() {
    let found = faults(Config::parse("kms.toml", b"x = 1\nx = 2", [("KMS_NODE__X", "1")], &["y".to_owned()]));
    let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [FaultCode::Syntax, FaultCode::BadOverride, FaultCode::BadOverride]);
}

#[test]
fn nesting__should_be_bounded() {
    let deep = |open: &str, close: &str, depth| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let dotted = "a.".repeat(70);
    for value in [
        deep("[", "]", 20),
        deep("[", "]", 100_000),
        deep("{ a = ", "}", 20_000),
        format!("{}1{}", format!("{{ {dotted}a = ").repeat(70), " }".repeat(70)),
        format!("{}1{}", format!("{{ {dotted}a = ").repeat(1_500), " }".repeat(1_500)),
    ] {
        assert!(parse(&format!("{MINIMAL}deep = {value}\n")).is_err());
        assert!(crate::support::with_flags(MINIMAL, &[&format!("chain.rpc={value}")]).is_err());
    }
    assert!(parse(&format!("[{}a]\n", "a.".repeat(100_000))).is_err());
}

#[test]
fn faults__should_be_bounded_and_counted() {
    let many: String = (0..20_000).map(|number| format!("k{number} = 1")).collect::<Vec<_>>().join("\n");
    let errors = parse(&many).unwrap_err();
    assert_eq!(errors.faults().len(), MAX_FAULTS);
    assert_eq!(errors.faults().len() + errors.omitted(), 20_000 + 7);
    assert!(errors.to_string().ends_with("and 19807 more"));
}

#[test]
fn fault__should_hold_no_control_characters() {
    let errors = parse("\"a\\u001b[2Jb\" = 1\n[node]\nname = \"\\u001b]0;x\\u0007\\u202e\"\n").unwrap_err();
    let text = errors.to_string();
    assert!(
        text.chars().all(|char| char == '\n' || !char.is_control()) && !text.contains('\u{202e}'),
        "{text}"
    );
}

fn outcome(file: &[u8], environment: &[(String, String)], flags: &[String]) {
    match Config::parse("kms.toml", file, environment.iter().cloned(), flags) {
        Ok(config) => assert!(config.anchor().is_ok() && !check_report(&config).is_empty()),
        Err(errors) => assert!(!errors.faults().is_empty() && !errors.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading__should_never_panic_on_bytes(file: Vec<u8>) {
        outcome(&file, &[], &[]);
    }

    #[test]
    fn reading__should_never_panic_on_a_damaged_example(
        at in 0..EXAMPLE.len(),
        length in 0..40_usize,
        put in "[\\[\\]{}=\"'.a-z0-9#\\n, -]{0,20}",
    ) {
        let mut file = EXAMPLE.as_bytes().to_vec();
        let end = (at + length).min(file.len());
        file.splice(at..end, put.bytes());
        outcome(&file, &[], &[]);
    }

    #[test]
    fn reading__should_never_panic_on_overrides(key: usize, value: String, name in "[A-Z_]{0,30}", flag: String) {
        let config = parse(MINIMAL).unwrap();
        let key = &config.settings()[key % config.settings().len()].key;
        let environment = [(format!("KMS_NODE__{name}"), value.clone())];
        outcome(MINIMAL.as_bytes(), &environment, &[]);
        outcome(MINIMAL.as_bytes(), &[], &[format!("{key}={value}"), flag]);
    }
}
