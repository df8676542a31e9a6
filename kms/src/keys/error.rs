//! Why a key cannot be made, in the form of every refusal. None holds a secret, or anything that depends on one.

use kms_attestation::refusal::Refusal;

kms_attestation::deny_codes! {
    /// Why a key cannot be made.
    pub enum KeyCode {
        NoRandomness = "key-no-randomness", Node,
            "The operating system gave no random bytes.",
            "Do not bootstrap on this machine.";
        BlankRoot = "key-blank-root", Node,
            "The root secret is a blank file, not a secret.",
            "Restore it from a peer.";
        Derivation = "key-derivation", Node,
            "A key could not be derived.",
            "Report this: it should not happen.";
        Certificate = "key-certificate", Node,
            "A certificate could not be encoded.",
            "Check the clock.";
    }
}

/// Why a key cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; {fix}", fix = .0.code.fix())]
pub struct KeyError(Refusal<KeyCode>);

impl KeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> KeyCode {
        self.0.code
    }

    pub(super) fn no_randomness() -> Self {
        Self(Refusal::new(KeyCode::NoRandomness, "nothing", "32 random bytes"))
    }

    pub(super) fn blank_root() -> Self {
        Self(Refusal::new(KeyCode::BlankRoot, "zeros", "32 random bytes"))
    }

    /// The library refused what cannot be wrong: an output length, a scalar below the order.
    pub(super) fn derivation(what: &'static str) -> Self {
        Self(Refusal::new(KeyCode::Derivation, "a refusal", what))
    }

    /// The certificate of that subject, at that time in Unix seconds.
    pub(super) fn certificate(subject: &str, now: u64) -> Self {
        let found = format_args!("{now} as the time, for the certificate of {subject}");
        Self(Refusal::new(KeyCode::Certificate, found, "a date before the year 9999"))
    }
}
