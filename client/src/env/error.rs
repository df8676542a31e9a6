//! Why an environment cannot be encrypted or opened. No variant can hold a value of a variable.

use kms_attestation::ids::RootEpoch;

use super::vars::{MAX_NAME_BYTES, MAX_VARS};

/// Why an environment cannot be encrypted or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// More bytes than any environment needs.
    #[error("{}: {what} of {found} bytes (expected at most {expected}); put files on the app's disk", self.code())]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        expected: usize,
    },
    /// A blob that ends before its header does.
    #[error(
        "{}: found {found} bytes (expected at least {expected}); the file is incomplete, or of another format",
        self.code()
    )]
    Truncated {
        /// The blob's size in bytes.
        found: usize,
        /// The size of the smallest blob in bytes.
        expected: usize,
    },
    /// A native blob of a version that this program does not know; most likely a blob in dstack's format.
    #[error("{}: found version {found} (expected {expected}); try --format dstack, or update", self.code())]
    Version {
        /// The first byte.
        found: u8,
        /// The version that this program writes.
        expected: u8,
    },
    /// The blob is for the key of another root epoch.
    #[error("{}: found root epoch {found} (expected {expected}); encrypt again to the current env key", self.code())]
    Epoch {
        /// The blob's.
        found: RootEpoch,
        /// The key's.
        expected: RootEpoch,
    },
    /// Wrong key, wrong app, or changed bytes.
    #[error(
        "{}: found a blob that this key does not open for this app and root epoch (expected one that was encrypted \
         to the app's env key and not changed since); check --app, the key and the format",
        self.code()
    )]
    NotOpened,
    /// Bytes that are no X25519 key.
    #[error("{}: found {found} (expected 32 bytes of X25519, not a point of small order)", self.code())]
    Key {
        /// What was found instead.
        found: String,
    },
    /// The cipher refused to encrypt, which no environment causes.
    #[error("{}: the cipher refused to encrypt; report this: it should not happen", self.code())]
    NotSealed,
    /// The operating system has no randomness.
    #[error("{}: the operating system gave no random bytes; nothing can be encrypted on it", self.code())]
    NoRandomness,
    /// The plaintext is not what both formats hold. Says where, never what.
    #[error(
        r#"{}: the plaintext is not {{"env":[{{"key":"NAME","value":"..."}}]}} (line {line}, column {column}); encrypt it again with kmsctl"#,
        self.code()
    )]
    Plaintext {
        /// The line, from 1.
        line: usize,
        /// The column, from 0.
        column: usize,
    },
    /// A name that no shell could use.
    #[error(
        "{}: variable {position} has no valid name (expected letters, digits and _, no digit first, at most \
         {MAX_NAME_BYTES} bytes)",
        self.code()
    )]
    Name {
        /// Which variable, from 1. Its name is not repeated: it may be a misplaced secret.
        position: usize,
    },
    /// A value that no process can be given.
    #[error("{}: the value of {name} holds a zero byte (expected text without one)", self.code())]
    Value {
        /// The variable.
        name: String,
    },
    /// The same name twice: which one counts would be a matter of luck.
    #[error("{}: found {name} twice (expected each variable once); remove one", self.code())]
    Duplicate {
        /// The variable.
        name: String,
    },
    /// More variables than any app has.
    #[error("{}: found more than {MAX_VARS} variables; use a file on the app's disk", self.code())]
    TooMany,
}

impl EnvError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "env-too-large",
            Self::Truncated { .. } => "env-truncated",
            Self::Version { .. } => "env-version",
            Self::Epoch { .. } => "env-epoch",
            Self::NotOpened => "env-not-opened",
            Self::Key { .. } => "env-key",
            Self::NotSealed => "env-not-sealed",
            Self::NoRandomness => "env-no-randomness",
            Self::Plaintext { .. } => "env-plaintext",
            Self::Name { .. } => "env-name",
            Self::Value { .. } => "env-value",
            Self::Duplicate { .. } => "env-duplicate",
            Self::TooMany => "env-too-many",
        }
    }
}
