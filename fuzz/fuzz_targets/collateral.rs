//! Collateral: no bytes panic, neither on reading nor on checking, and what was read is written back the same.
#![no_main]

use std::sync::LazyLock;

use kms_attestation::collateral::{CheckedCollateral, Collateral};
use kms_attestation::root::RootOfTrust;
use libfuzzer_sys::fuzz_target;

static ROOT: LazyLock<RootOfTrust> = LazyLock::new(RootOfTrust::intel);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(collateral) = Collateral::parse(bytes) {
        let again =
            Collateral::parse(collateral.to_json().as_bytes()).expect("what was written is well-formed");
        assert_eq!(again, collateral);
        let _ = CheckedCollateral::check(&ROOT, collateral, 1_800_000_000);
    }
});
