//! Requests to a witness: no bytes panic, and what reads is written back the same.
#![no_main]

use kms_ledger::tree::MAX_PROOF_HASHES;
use kms_ledger::witness::AddCheckpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = AddCheckpoint::decode(bytes) {
        assert!(request.proof.len() <= MAX_PROOF_HASHES);
        assert_eq!(request.encode().as_bytes(), bytes);
    }
});
