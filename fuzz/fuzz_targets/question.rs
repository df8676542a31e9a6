//! Call data: no bytes panic, and what is read as a question asks with exactly these bytes.
#![no_main]

use kms_chain::Question;
use kms_chain::question::MAX_CALL_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(question) = Question::parse(bytes) {
        assert!(bytes.len() <= MAX_CALL_BYTES);
        assert_eq!(&question.call_data()[..], bytes);
    }
});
