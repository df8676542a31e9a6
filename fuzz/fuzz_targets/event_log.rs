//! Event log: no bytes panic, and what was read replays the same after it is written and read again.
#![no_main]

use kms_attestation::event_log::{EventLog, MAX_EVENTS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(log) = EventLog::parse(bytes) {
        assert!(log.events().len() <= MAX_EVENTS);
        let again = EventLog::parse(log.to_json().as_bytes()).expect("a log that was written is well-formed");
        assert_eq!(again, log);
        assert_eq!(again.replay(), log.replay());
    }
});
