//! `docs/deny-codes.md` lists every code: generated from the enum, and checked here.
//!
//! `UPDATE_DOCS=1 cargo test -p kms-attestation --test deny_codes` writes it anew.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;

use kms_attestation::deny::{DenyClass, DenyCode};

const HEAD: &str = "\
# Deny codes

Why evidence is refused. A code is part of the protocol: it is never renamed or reused, so programs match on it; the text
beside it may improve. A refusal also says what was found and what was expected. Generated from `attestation/src/deny.rs`.
";

fn section(class: DenyClass) -> &'static str {
    match class {
        DenyClass::Evidence => "Evidence: not what it claims to be, whatever the policy",
        DenyClass::Platform => "Platform: genuine, but not in an accepted state",
        DenyClass::Collateral => "Collateral: proves nothing about the platform; other collateral may",
        DenyClass::Guest => "Guest: not what it says, or not in the state that a release needs",
    }
}

fn generate() -> String {
    let mut page = HEAD.to_owned();
    for class in [DenyClass::Evidence, DenyClass::Platform, DenyClass::Collateral, DenyClass::Guest] {
        write!(page, "\n## {}\n\n| code | what is wrong | what fixes it |\n|---|---|---|\n", section(class))
            .unwrap();
        for code in DenyCode::ALL.iter().filter(|code| code.class() == class) {
            writeln!(page, "| `{code}` | {} | {} |", code.message(), code.fix()).unwrap();
        }
    }
    page
}

#[test]
fn deny_codes__should_all_stand_in_the_documentation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deny-codes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, generate()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == generate(), "docs/deny-codes.md is not current: run this test with UPDATE_DOCS=1");
}
