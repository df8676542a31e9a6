//! Proof files: no bytes panic, and what reads is written back the same.
#![no_main]

use kms_ledger::LogProof;
use kms_ledger::proof::MAX_PROOF_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = LogProof::decode(bytes) {
        assert!(bytes.len() <= MAX_PROOF_BYTES);
        assert_eq!(proof.encode().as_bytes(), bytes);
    }
});
