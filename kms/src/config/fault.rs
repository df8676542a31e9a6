//! What is wrong with a configuration: every fault with a stable code, its place, both sides, and the fix.
//!
//! A fault never repeats a value that may hold a credential. Text that a person wrote goes through [`quoted`], which
//! bounds it and strips what a terminal would act on. Threat: a URL with an API key in an error that is logged.

use std::fmt;

use kms_attestation::refusal::sanitise;

use super::origin::Origin;

/// The most faults that are kept. A person never makes as many; a hostile file could.
pub const MAX_FAULTS: usize = 200;

kms_attestation::deny_codes! {
    /// The stable code of a fault.
    pub enum FaultCode {
        Unreadable = "config-unreadable", Node,
            "A file cannot be read.",
            "Check the path, and that the node's user may read it.";
        TooLarge = "config-too-large", Node,
            "The file, or a value, is too large.",
            "Shorten it: no genuine configuration is this large.";
        NotText = "config-not-text", Node,
            "The file, or a value, is not UTF-8.",
            "Save it as UTF-8.";
        Syntax = "config-syntax", Node,
            "The file is not TOML.",
            "Correct the TOML at this place.";
        UnknownKey = "config-unknown-key", Node,
            "There is no such key.",
            "Correct the spelling or remove it; kms.example.toml shows every key.";
        MissingKey = "config-missing-key", Node,
            "A key that must be given is not.",
            "Give it; kms.example.toml shows every key.";
        WrongType = "config-wrong-type", Node,
            "The value has another form than the key takes.",
            "Write the value as kms.example.toml does.";
        InvalidValue = "config-invalid-value", Node,
            "The key does not take this value.",
            "Correct the value.";
        OutOfRange = "config-out-of-range", Node,
            "The number, or the length of the list, is too small or too large.",
            "Choose within the range.";
        Conflict = "config-conflict", Node,
            "Two keys do not go together.",
            "Change one of the two.";
        BadOverride = "config-bad-override", Node,
            "An environment variable or a flag names no key.",
            "Write KMS_NODE__SECTION__KEY=value, or --set section.key=value.";
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {key} ({origin}): found {found}; expected {expected}. {}", code.fix())]
pub struct ConfigFault {
    /// Which kind.
    pub code: FaultCode,
    /// The key, `chain.rpc[1]` for instance; or what has no key, `the file`.
    pub key: String,
    /// Where the value was given.
    pub origin: Origin,
    /// What was found.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
}

/// Everything that is wrong with a configuration. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    faults: Vec<ConfigFault>,
    omitted: usize,
}

impl ConfigErrors {
    /// The faults, in the order in which they were found.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// How many more there are than [`MAX_FAULTS`].
    #[must_use]
    pub const fn omitted(&self) -> usize {
        self.omitted
    }
}

impl ConfigErrors {
    /// Fails closed where nothing was built and nothing was reported: a fault of this program.
    pub(super) fn unexplained() -> Self {
        let fault = ConfigFault {
            code: FaultCode::MissingKey,
            key: "the configuration".to_owned(),
            origin: Origin::NotGiven,
            found: "a part of it missing".to_owned(),
            expected: "every section".to_owned(),
        };
        Self { faults: vec![fault], omitted: 0 }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() + self.omitted {
            1 => write!(f, "the configuration has 1 fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        for (number, fault) in (1..).zip(&self.faults) {
            write!(f, "\n{number}. {fault}")?;
        }
        match self.omitted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects faults, at most [`MAX_FAULTS`] of them.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: Vec<ConfigFault>,
    omitted: usize,
}

impl Faults {
    pub(super) fn push(&mut self, fault: ConfigFault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        } else {
            self.omitted += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults as an error, where there are any.
    pub(super) fn into_errors(self) -> Option<ConfigErrors> {
        let Self { faults, omitted } = self;
        (!faults.is_empty()).then_some(ConfigErrors { faults, omitted })
    }
}

/// Text that a person wrote, in quotes, bounded, and without what a terminal would act on.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", sanitise(text))
}
