//! A witness in parts: the same bytes and name, and each contract's code once.

use std::collections::BTreeSet;

use kms_chain::Witness;
use kms_ledger::blob::{Blob, Part};

use crate::scene;

#[test]
fn witness_blob__should_be_the_canonical_bytes_with_the_contracts_codes_shared() {
    let scene = scene();
    let mut shared = BTreeSet::new();
    let mut witnesses = 0;
    for blob in scene.handed.iter().flatten() {
        let bytes: Vec<u8> = blob.parts().iter().flat_map(|part| part.bytes().to_vec()).collect();
        let Ok(witness) = Witness::decode(&bytes) else { continue };
        witnesses += 1;
        assert_eq!(bytes, witness.encode());
        assert_eq!(blob.id(), Blob::new(bytes).id());
        assert!(!matches!(blob.parts()[0], Part::Shared(..)));
        for part in blob.parts() {
            if let Part::Shared(id, code) = part {
                assert!(code.len() >= 1024);
                shared.insert(*id);
            }
        }
    }
    // One for each answer about apps and about nodes; two contracts, whatever the answer.
    assert_eq!((witnesses, shared.len()), (6, 2));
}
