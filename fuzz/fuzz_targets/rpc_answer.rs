//! The answers of an RPC provider: no bytes panic, each request is answered exactly once, and a block that is read has the
//! hash that it was announced with.
#![no_main]

use alloy::primitives::{B256, keccak256};
use kms_chain::answers::{AccessList, AccountProof, SlotProof, read_block, read_code};
use kms_chain::rpc::read_batch;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

const FIRST: u64 = 7;

/// A provider may send the result of any method for any other.
fn read_result(result: &Value) {
    let _ = AccessList::read(result.clone());
    let _ = read_code(result.clone());
    if let Ok(proof) = AccountProof::read(result.clone()) {
        let _ = proof.claims_no_account();
        let _: Vec<_> = proof.storage_proof.iter().map(SlotProof::key).collect();
    }
    if let Ok(header) = read_block(result.clone()) {
        let announced: B256 = serde_json::from_value(result["hash"].clone()).expect("a hash");
        assert_eq!(header.hash(), announced);
        assert_eq!(header.hash(), keccak256(header.rlp()));
    }
}

fuzz_target!(|bytes: &[u8]| {
    for count in 1..=4 {
        if let Ok(results) = read_batch(bytes, FIRST, count) {
            assert_eq!(results.len(), count);
            // As lenient as serde is with what no field takes.
            let sent = serde_json::from_slice::<Vec<IgnoredAny>>(bytes);
            assert_eq!(sent.map_or(1, |sent| sent.len()), count);
            results.iter().flatten().for_each(read_result);
        }
    }
    if let Ok(result) = serde_json::from_slice(bytes) {
        read_result(&result);
    }
});
