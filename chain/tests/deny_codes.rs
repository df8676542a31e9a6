//! `docs/deny-codes.md` lists every code of this crate and of `kms-attestation`: generated from the enums, and checked here.
//!
//! `UPDATE_DOCS=1 cargo test -p kms-chain --test deny_codes` writes it anew.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;

use kms_attestation::DenyCode;
use kms_attestation::refusal::{DenyClass, StableCode};
use kms_chain::ChainDenyCode;

const HEAD: &str = "\
# Deny codes

Why something is refused. A code is part of the protocol: it is never renamed or reused, so programs match on it; the text
beside it may improve. A refusal also says what was found and what was expected. Generated from `attestation/src/deny.rs`
and `chain/src/deny.rs`.
";

fn rows<C: StableCode>(page: &mut String, codes: &[C], class: DenyClass) {
    for code in codes.iter().filter(|code| code.class() == class) {
        writeln!(page, "| `{}` | {} | {} |", code.as_str(), code.message(), code.fix()).unwrap();
    }
}

fn generate() -> String {
    let mut page = HEAD.to_owned();
    for class in DenyClass::ALL {
        write!(page, "\n## {}\n\n| code | what is wrong | what fixes it |\n|---|---|---|\n", class.title())
            .unwrap();
        rows(&mut page, DenyCode::ALL, *class);
        rows(&mut page, ChainDenyCode::ALL, *class);
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
    assert_eq!(listed, DenyCode::ALL.len() + ChainDenyCode::ALL.len());
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/deny-codes.md is not current: run this test with UPDATE_DOCS=1");
}
