//! What contracts return: no bytes panic, nothing unbounded gets through, and an answer says what its words say.
#![no_main]

use kms_attestation::refusal::{MAX_QUOTED_CHARS, sanitise};
use kms_chain::abi::{Answer, MAX_ANSWER_BYTES, read_answer, read_flag, revert_text};
use libfuzzer_sys::fuzz_target;

fn number(word: &[u8]) -> usize {
    let (zeros, low) = word.split_at(24);
    assert!(zeros.iter().all(|byte| *byte == 0));
    u64::from_be_bytes(low.try_into().expect("eight bytes")).try_into().expect("a small number")
}

/// Reads `(bool, string)` by hand.
fn by_hand(bytes: &[u8]) -> Answer {
    let allowed = match number(&bytes[..32]) {
        0 => false,
        1 => true,
        other => panic!("{other} is no boolean"),
    };
    let at = number(&bytes[32..64]);
    let len = number(&bytes[at..at + 32]);
    let text = std::str::from_utf8(&bytes[at + 32..at + 32 + len]).expect("text");
    Answer { allowed, reason: sanitise(text) }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(answer) = read_answer(bytes) {
        assert!(bytes.len() <= MAX_ANSWER_BYTES);
        assert!(answer.reason.len() <= MAX_QUOTED_CHARS && answer.reason.is_ascii());
        assert_eq!(answer, by_hand(bytes));
    }
    if let Some(flag) = read_flag(bytes) {
        assert_eq!((bytes.len(), number(bytes)), (32, usize::from(flag)));
    }
    let text = revert_text(bytes);
    assert!(
        text.len() <= MAX_QUOTED_CHARS && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    );
});
