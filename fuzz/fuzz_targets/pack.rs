//! Offline packs: no bytes panic, and what was read is written back the same.
#![no_main]

use kms_attestation::pccs::Pack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pack) = Pack::parse(bytes) {
        let json = pack.to_json().expect("what was read can be written");
        let again = Pack::parse(&json).expect("what was written is well-formed");
        assert!(again.keys().eq(pack.keys()));
    }
});
