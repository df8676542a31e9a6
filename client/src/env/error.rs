//! Why an environment cannot be encrypted or opened, in the form of every refusal. None holds a value of a variable.

use std::fmt;

use kms_attestation::refusal::Refusal;

use super::vars::{MAX_NAME_BYTES, MAX_VARS};

kms_attestation::deny_codes! {
    /// Why an environment cannot be encrypted or opened.
    pub enum EnvCode {
        TooLarge = "env-too-large", Request,
            "It is larger than any environment needs.",
            "Put files on the app's disk.";
        TooMany = "env-too-many", Request,
            "There are more variables than any app has.",
            "Use a file on the app's disk.";
        Truncated = "env-truncated", Request,
            "The blob ends before its header does.",
            "Get the whole file: it is incomplete, or of another format.";
        Version = "env-version", Request,
            "The blob has a version that this program does not know; most likely it is in dstack's format.",
            "Try --format dstack, or update.";
        Epoch = "env-epoch", Request,
            "The blob is for the key of another root epoch.",
            "Encrypt again to the current env key.";
        NotOpened = "env-not-opened", Evidence,
            "The key does not open the blob for this app and root epoch, or the blob was changed.",
            "Check --app, the key and the format.";
        Key = "env-key", Request,
            "The bytes are no X25519 key.",
            "Use the key that the node gave, 32 bytes, whose signature was checked.";
        NotSealed = "env-not-sealed", Node,
            "The cipher refused to encrypt.",
            "Report this: it should not happen.";
        NoRandomness = "env-no-randomness", Node,
            "The operating system gave no random bytes.",
            "Encrypt on another machine: nothing can be encrypted on this one.";
        Plaintext = "env-plaintext", Request,
            "What was encrypted is no list of variables.",
            "Encrypt it again with kmsctl.";
        Name = "env-name", Request,
            "A variable has no valid name.",
            "Use letters, digits and _, and no digit first.";
        Value = "env-value", Request,
            "A value holds a zero byte, which no process can be given.",
            "Use text without zero bytes, or a file on the app's disk.";
        Duplicate = "env-duplicate", Request,
            "A variable stands there twice: which one counts would be a matter of luck.",
            "Remove one of the two.";
    }
}

/// Why an environment cannot be encrypted or opened.
pub type EnvError = Refusal<EnvCode>;

pub(super) fn too_large(what: &str, found: usize, max: usize) -> EnvError {
    EnvError::new(EnvCode::TooLarge, format_args!("{what} of {found} bytes"), format_args!("at most {max}"))
}

pub(super) fn too_many() -> EnvError {
    EnvError::new(EnvCode::TooMany, format_args!("more than {MAX_VARS}"), format_args!("at most {MAX_VARS}"))
}

pub(super) fn truncated(found: usize, least: usize) -> EnvError {
    let expected = format_args!("at least {least}");
    EnvError::new(EnvCode::Truncated, format_args!("{found} bytes"), expected)
}

pub(super) fn version(found: u8, expected: u8) -> EnvError {
    EnvError::new(EnvCode::Version, format_args!("version {found}"), expected)
}

pub(super) fn epoch(found: impl fmt::Display, expected: impl fmt::Display) -> EnvError {
    EnvError::new(EnvCode::Epoch, format_args!("root epoch {found}"), expected)
}

/// Wrong key, wrong app, or changed bytes: the cipher does not tell them apart.
pub(super) fn not_opened() -> EnvError {
    let expected = "one that was encrypted to the app's env key and not changed since";
    EnvError::new(EnvCode::NotOpened, "a blob that this key does not open", expected)
}

pub(super) fn key(found: impl fmt::Display) -> EnvError {
    EnvError::new(EnvCode::Key, found, "32 bytes of X25519, not a point of small order")
}

pub(super) fn small_order() -> EnvError {
    key("a point of small order")
}

pub(super) fn not_sealed() -> EnvError {
    EnvError::new(EnvCode::NotSealed, "a refusal", "a blob")
}

pub(super) fn no_randomness() -> EnvError {
    EnvError::new(EnvCode::NoRandomness, "nothing", "random bytes")
}

/// Says where, never what.
pub(super) fn plaintext(error: &serde_json::Error) -> EnvError {
    let found = format_args!("something else at line {}, column {}", error.line(), error.column());
    EnvError::new(EnvCode::Plaintext, found, r#"{"env":[{"key":"NAME","value":"..."}]}"#)
}

/// By its position, from 1. The name is not repeated: it may be a misplaced secret.
pub(super) fn name(position: usize) -> EnvError {
    let expected = format_args!("letters, digits and _, at most {MAX_NAME_BYTES}");
    EnvError::new(EnvCode::Name, format_args!("something else as variable {position}"), expected)
}

pub(super) fn value(name: &str) -> EnvError {
    EnvError::new(EnvCode::Value, format_args!("a zero byte in {name}"), "text without one")
}

pub(super) fn duplicate(name: &str) -> EnvError {
    EnvError::new(EnvCode::Duplicate, format_args!("{name} twice"), "each variable once")
}
