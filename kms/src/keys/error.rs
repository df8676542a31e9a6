//! Why a key cannot be made. No variant holds a secret, or anything that depends on one.

/// Why a key cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system has no randomness.
    #[error("{}: the operating system gave no random bytes; do not bootstrap on this machine", self.code())]
    NoRandomness,
    /// A root secret that is a blank file, not a secret.
    #[error("{}: found a root secret of zeros (expected 32 random bytes); restore it from a peer", self.code())]
    BlankRoot,
    /// The library refused what cannot be wrong: an output length, a scalar below the order.
    #[error("{}: deriving a {what} failed; report this: it should not happen", self.code())]
    Derivation {
        /// What was to be derived.
        what: &'static str,
    },
    /// A certificate could not be encoded.
    #[error("{}: the certificate of {subject} cannot be encoded; check the clock: found {now} (expected a date before the year 9999)", self.code())]
    Certificate {
        /// Whose certificate.
        subject: String,
        /// The time that was given, in Unix seconds.
        now: u64,
    },
}

impl KeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoRandomness => "key-no-randomness",
            Self::BlankRoot => "key-blank-root",
            Self::Derivation { .. } => "key-derivation",
            Self::Certificate { .. } => "key-certificate",
        }
    }
}
