//! Requests for certificates: no bytes panic, and what is read is bounded.
#![no_main]

use kms_node::keys::{LeafRequest, Lifetime, MAX_CSR_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lifetime = Lifetime::from_secs(86_400).expect("a day");
    if let Ok(request) = LeafRequest::from_csr(bytes, lifetime) {
        assert!(bytes.len() <= MAX_CSR_BYTES);
        assert!(!request.usages.is_empty() && request.usages.len() <= 2);
    }
});
