//! Quote intake: no bytes panic, and what is accepted is bounded and complete.
#![no_main]

use kms_attestation::quote::{MAX_QUOTE_BYTES, Quote};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(quote) = Quote::parse(bytes) {
        assert!(bytes.len() <= MAX_QUOTE_BYTES);
        assert_eq!(quote.raw(), bytes);
        assert!(!quote.platform().ppid.is_zero());
    }
});
