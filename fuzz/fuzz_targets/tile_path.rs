//! Paths from the wire: what reads is the one way to write that path, and never leaves the log's folder.
#![no_main]

use kms_ledger::LogPath;
use kms_ledger::path::MAX_PATH_BYTES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = text.parse::<LogPath>() {
        assert_eq!(path.to_string(), text);
        assert!(text.len() <= MAX_PATH_BYTES && path.max_bytes() > 0);
        assert!(
            !text.starts_with('/')
                && !text.split('/').any(|part| part.is_empty() || part == "." || part == "..")
        );
    }
});
