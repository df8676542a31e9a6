//! RA-TLS certificates: no bytes panic, and the evidence that is read is bounded.
#![no_main]

use kms_attestation::event_log::EventLog;
use kms_attestation::quote::{MAX_QUOTE_BYTES, Quote};
use kms_attestation::ratls::RatlsCertificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = RatlsCertificate::parse(bytes) {
        assert!(certificate.quote.len() <= MAX_QUOTE_BYTES);
        let _ = Quote::parse(&certificate.quote);
        let _ = EventLog::parse(&certificate.event_log);
    }
});
