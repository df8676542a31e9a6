//! The node's configuration, a file and flags: no bytes panic, all faults are bounded and safe to print, and what is accepted
//! can be used.
//!
//! The input is a file; what follows a zero byte is a flag, and so on.
#![no_main]

use kms_node::config::{Config, MAX_FAULTS, check_report};
use libfuzzer_sys::fuzz_target;

/// A real environment has a handful.
const MAX_FLAGS: usize = 16;

/// What a terminal would act on.
fn acts_on_a_terminal(text: &str) -> bool {
    text.chars().any(|character| character.is_control() && character != '\n')
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let file = parts.next().unwrap_or_default();
    let flags: Vec<String> =
        parts.take(MAX_FLAGS).map(|flag| String::from_utf8_lossy(flag).into_owned()).collect();
    let environment: [(String, String); 0] = [];
    match Config::parse("kms.toml", file, environment.clone(), &flags) {
        Ok(config) => {
            assert!(!acts_on_a_terminal(&check_report(&config)));
            config.anchor().expect("what was loaded can be asked for");
            let document: serde_json::Value =
                serde_json::from_str(&config.policy_document().to_json()).expect("a policy in JSON");
            assert!(document.is_object());
            let again = Config::parse("kms.toml", file, environment, &flags).expect("the same once more");
            assert_eq!(again.policy_digest(), config.policy_digest());
        }
        Err(errors) => {
            assert!((1..=MAX_FAULTS).contains(&errors.faults().len()));
            assert!(!acts_on_a_terminal(&errors.to_string()));
        }
    }
});
