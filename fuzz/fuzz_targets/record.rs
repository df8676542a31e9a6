//! Records: no bytes panic, and what reads has no other bytes.
#![no_main]

use kms_ledger::Record;
use kms_ledger::record::MAX_RECORD_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::decode(bytes) {
        assert!(bytes.len() <= MAX_RECORD_BYTES);
        assert_eq!(record.encode(), bytes);
    }
});
