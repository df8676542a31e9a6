//! Certificates that a log names as issued: no bytes panic, and what passes is bounded.
#![no_main]

use kms_attestation::ids::AppId;
use kms_ledger::issued::{IssuedLeaf, Terms};
use kms_verdict::policy_document::CertificateTerms;
use libfuzzer_sys::fuzz_target;

/// Those of the certificate in the corpus.
const TIME: u64 = 1_800_000_003;
const APP: AppId = AppId([0xbb; 20]);

fuzz_target!(|bytes: &[u8]| {
    let policy = CertificateTerms {
        app_ca_lifetime_s: 7_776_000,
        leaf_max_lifetime_s: 86_400,
        node_lifetime_s: 3_600,
        zone: "kms.internal".to_owned(),
    };
    match IssuedLeaf::check(bytes, &Terms { app_id: APP, time: TIME, policy: &policy }) {
        Ok(leaf) => {
            assert!((1..=16).contains(&leaf.names.len()) && (1..=2).contains(&leaf.usages.len()));
            assert_eq!(leaf.validity.0, TIME - 300);
        }
        Err(deviation) => assert!(deviation.found.len() <= 256),
    }
});
