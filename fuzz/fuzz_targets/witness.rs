//! Witnesses: no bytes panic, what is read is written back the same, and what decides does so again, without slack.
#![no_main]

use std::sync::LazyLock;

use kms_chain::{Anchor, GrantAt, Witness, prune, replay};
use libfuzzer_sys::fuzz_target;

#[path = "../../chain/examples/fuzz_corpus/scene.rs"]
mod scene;

static ANCHORS: LazyLock<[Anchor; 2]> =
    LazyLock::new(|| [GrantAt::Latest, GrantAt::LatestAndFinalized].map(scene::anchor));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(witness) = Witness::decode(bytes) {
        assert_eq!(witness.encode(), bytes);
        for anchor in &*ANCHORS {
            if let Ok(decision) = replay(anchor, &witness) {
                let mut pruned = witness.clone();
                assert_eq!(prune(anchor, &mut pruned).as_ref(), Ok(&decision));
                assert_eq!(pruned, witness);
                assert_eq!(replay(anchor, &witness), Ok(decision));
            }
        }
    }
});
