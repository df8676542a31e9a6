//! `docs/deny-codes.md` lists every code that a caller can meet: generated from the enums, and checked here.
//!
//! `UPDATE_DOCS=1 cargo test -p kms-node --test deny_codes` writes it anew.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;

use kms_attestation::refusal::{DenyClass, StableCode as _};
use kms_node::refusal::Code;

const HEAD: &str = "\
# Deny codes

Why something is refused. A code is part of the protocol: it is never renamed or reused, so programs match on it; the text
beside it may improve. A refusal also says what was found and what was expected. Generated from the enums of codes.
";

fn generate() -> String {
    let mut page = HEAD.to_owned();
    for class in DenyClass::ALL {
        write!(page, "\n## {}\n\n| code | what is wrong | what fixes it |\n|---|---|---|\n", class.title())
            .unwrap();
        for code in Code::all().filter(|code| code.class() == *class) {
            writeln!(page, "| `{}` | {} | {} |", code.as_str(), code.message(), code.fix()).unwrap();
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
    let page = generate();
    let listed = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(listed, Code::all().count());
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/deny-codes.md is not current: run this test with UPDATE_DOCS=1");
}
