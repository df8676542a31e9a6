//! Hostile contracts: whatever code stands at the app's or the KMS's address, over a complete state there is a decision,
//! in bounded time, also from its witness as written and read.
//!
//! Input: the kind (one byte: odd for a KMS contract), then the code.
#![no_main]

use std::sync::LazyLock;

use kms_attestation::refusal::MAX_QUOTED_CHARS;
use kms_chain::{Anchor, GrantAt, Witness, replay};
use libfuzzer_sys::fuzz_target;

#[path = "../../chain/examples/fuzz_corpus/scene.rs"]
mod scene;

static ANCHOR: LazyLock<Anchor> = LazyLock::new(|| scene::anchor(GrantAt::Latest));

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, code)) = bytes.split_first() else { return };
    let (kms, app) = if kind & 1 == 1 { (code, scene::HONEST) } else { (scene::ASKS_APP, code) };
    let world = scene::world(kms, app);
    let witness = scene::witness(&ANCHOR, &[world]).expect("the state is complete");
    let read = Witness::decode(&witness.encode()).expect("a witness that was written is well-formed");
    let decision = replay(&ANCHOR, &read).expect("the state is complete, and there is no slack");
    assert_eq!(decision.allowed, decision.denial.is_none());
    assert!(decision.reason.len() <= MAX_QUOTED_CHARS);
});
