//! The answers of a PCCS: no bytes panic, and what they are assembled to can be written and read again.
#![no_main]

use kms_attestation::collateral::Collateral;
use kms_attestation::pccs::wire::{Answer, Answers, assemble};
use libfuzzer_sys::fuzz_target;

/// Between the parts of an input: chain and body of three answers, and the body of the fourth.
const SEPARATOR: &[u8] = b"\x00\xff\x00\xff";

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((first, others)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(SEPARATOR) {
            parts.push(Vec::new());
            rest = after;
        } else {
            parts.last_mut().expect("there is a part").push(*first);
            rest = others;
        }
    }
    parts
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = split(bytes).into_iter();
    let mut part = || parts.next().unwrap_or_default();
    let mut signed = || Answer { issuer_chain: Some(part()), body: part() };
    let (pck_crl, tcb_info, qe_identity) = (signed(), signed(), signed());
    let root_crl = Answer { issuer_chain: None, body: part() };
    if let Ok(collateral) = assemble(&Answers { pck_crl, tcb_info, qe_identity, root_crl }) {
        let again =
            Collateral::parse(collateral.to_json().as_bytes()).expect("what was written is well-formed");
        assert_eq!(again, collateral);
    }
});
