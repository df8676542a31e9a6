//! Block headers: no bytes panic, and what is read is exactly these bytes, under the hash of exactly these bytes.
#![no_main]

use alloy::primitives::{Bytes, keccak256};
use kms_chain::BlockHeader;
use kms_chain::header::MAX_HEADER_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = BlockHeader::parse(Bytes::copy_from_slice(bytes)) {
        assert!(bytes.len() <= MAX_HEADER_BYTES);
        assert_eq!(header.rlp(), bytes);
        assert_eq!(header.hash(), keccak256(bytes));
        assert!(header.clone().expect_hash(header.hash()).is_ok());
    }
});
