//! Audit bundles: read without a panic, and no two byte strings are read as one bundle.
#![no_main]

use kms_ledger::audit_bundle::AuditBundle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(bundle) = AuditBundle::decode(data) {
        assert_eq!(bundle.encode(), data);
    }
});
