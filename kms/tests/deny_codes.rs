//! `docs/deny-codes.md` lists every code that a caller or an operator can meet: generated from the enums, and checked here.
//!
//! `UPDATE_DOCS=1 cargo test --workspace --all-features --test deny_codes` writes it anew.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kms_attestation::refusal::{DenyClass, StableCode};
use kms_client::env::EnvCode;
use kms_client::signature::SignatureCode;
use kms_ledger::LedgerCode;
use kms_ledger::replay::ReplayCode;
use kms_node::config::FaultCode;
use kms_node::keys::KeyCode;
use kms_node::refusal::Code;

const HEAD: &str = "\
# Deny codes

Why something is refused. A code is part of the protocol: it is never renamed or reused, so programs match on it; the text
beside it may improve. A refusal also says what was found and what was expected. Generated from the enums of codes.

First what a node answers with, and what whoever judges evidence can find, by whose trouble it is. Then what never travels:
what `kmsctl` and guests say of signatures and encrypted environments, a node of its configuration and its keys, and nodes,
auditors and witnesses of a log. The codes
of `kmsctl app` and `kmsctl kms` are in [owners.md](owners.md), those of `kms-client` alone in
[OPERATING.md](OPERATING.md#7-clients).
";

/// One code as a row, and its name.
struct Row {
    code: &'static str,
    text: String,
}

fn row<C: StableCode>(code: C) -> Row {
    let text = format!("| `{}` | {} | {} |", code.as_str(), code.message(), code.fix());
    Row { code: code.as_str(), text }
}

fn rows<C: StableCode>(codes: &[C]) -> Vec<Row> {
    codes.iter().copied().map(row).collect()
}

fn sections() -> Vec<(&'static str, Vec<Row>)> {
    let of = |class: DenyClass| Code::all().filter(|code| code.class() == class).map(row).collect();
    let mut sections: Vec<_> = DenyClass::ALL.iter().map(|class| (class.title(), of(*class))).collect();
    sections.extend([
        ("Signatures: a statement of the root signer does not count", rows(SignatureCode::ALL)),
        ("Environment: it cannot be encrypted or opened", rows(EnvCode::ALL)),
        ("Configuration: a node does not start with it", rows(FaultCode::ALL)),
        ("Keys: a node cannot make them", rows(KeyCode::ALL)),
        ("Log: it cannot be written, served, read or believed", rows(LedgerCode::ALL)),
        ("Replay: a recorded decision cannot be decided again", rows(ReplayCode::ALL)),
    ]);
    sections
}

fn generate() -> String {
    let mut page = HEAD.to_owned();
    for (title, rows) in sections() {
        write!(page, "\n## {title}\n\n| code | what is wrong | what fixes it |\n|---|---|---|\n").unwrap();
        for row in rows {
            writeln!(page, "{}", row.text).unwrap();
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
    let of_node = sections().iter().take(DenyClass::ALL.len()).map(|(_, rows)| rows.len()).sum::<usize>();
    assert_eq!(of_node, Code::all().count());
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/deny-codes.md is not current: run this test with UPDATE_DOCS=1");
}

#[test]
fn deny_codes__should_be_distinct_across_all_lists() {
    let all: Vec<_> = sections().into_iter().flat_map(|(_, rows)| rows).map(|row| row.code).collect();
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}
