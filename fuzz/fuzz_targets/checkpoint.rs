//! Notes, checkpoints and keys: no bytes panic, what reads is written back the same, and nothing is signed by chance.
#![no_main]

use kms_ledger::note::{LogKey, SignedNote, WitnessKey};
use kms_ledger::{Checkpoint, SignedCheckpoint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(key) = text.parse::<LogKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = text.parse::<WitnessKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(note) = SignedNote::decode(bytes) {
        assert_eq!(note.encode().as_bytes(), bytes);
        if let Ok(checkpoint) = Checkpoint::decode(note.text()) {
            assert_eq!(checkpoint.to_string(), note.text());
            assert!(SignedCheckpoint::open(bytes, &LogKey::new(checkpoint.origin, [7; 32])).is_err());
        }
    }
});
