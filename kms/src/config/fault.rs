//! What is wrong with a configuration: every fault with a stable code, its place, both sides, and the fix.
//!
//! A fault never repeats a value that may hold a credential. Text that a person wrote goes through [`quoted`], which
//! bounds it and strips what a terminal would act on. Threat: a URL with an API key in an error that is logged.

use std::fmt;

use super::origin::Origin;

/// The most faults that are kept. A person never makes as many; a hostile file could.
pub const MAX_FAULTS: usize = 200;
/// The longest text that a fault repeats, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// The stable code of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultCode {
    /// A file cannot be read.
    Unreadable,
    /// The file, or a value, is too large.
    TooLarge,
    /// Not UTF-8.
    NotText,
    /// Not TOML.
    Syntax,
    /// No such key.
    UnknownKey,
    /// A key that must be given is not.
    MissingKey,
    /// Text where a number belongs, for instance.
    WrongType,
    /// A value that cannot be.
    InvalidValue,
    /// A number that is too small or too large.
    OutOfRange,
    /// Two keys that do not go together.
    Conflict,
    /// An environment variable or a flag that names no key.
    BadOverride,
}

impl FaultCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Unreadable,
        Self::TooLarge,
        Self::NotText,
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::WrongType,
        Self::InvalidValue,
        Self::OutOfRange,
        Self::Conflict,
        Self::BadOverride,
    ];

    /// The code as it stands in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "config-unreadable",
            Self::TooLarge => "config-too-large",
            Self::NotText => "config-not-text",
            Self::Syntax => "config-syntax",
            Self::UnknownKey => "config-unknown-key",
            Self::MissingKey => "config-missing-key",
            Self::WrongType => "config-wrong-type",
            Self::InvalidValue => "config-invalid-value",
            Self::OutOfRange => "config-out-of-range",
            Self::Conflict => "config-conflict",
            Self::BadOverride => "config-bad-override",
        }
    }

    /// One sentence: what a person can do about it.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Unreadable => "Check the path, and that the node's user may read it.",
            Self::TooLarge => "Shorten it: no genuine configuration is this large.",
            Self::NotText => "Save it as UTF-8.",
            Self::Syntax => "Correct the TOML at this place.",
            Self::UnknownKey => "Correct the spelling or remove it; kms.example.toml shows every key.",
            Self::MissingKey => "Give it; kms.example.toml shows every key.",
            Self::WrongType => "Write the value as kms.example.toml does.",
            Self::InvalidValue => "Correct the value.",
            Self::OutOfRange => "Choose a number within the range.",
            Self::Conflict => "Change one of the keys that do not go together.",
            Self::BadOverride => "Write KMS_NODE__SECTION__KEY=value, or --set section.key=value.",
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
    let escaped = text.chars().take(MAX_QUOTED_CHARS).flat_map(char::escape_debug);
    let more = if text.chars().nth(MAX_QUOTED_CHARS).is_some() { "..." } else { "" };
    format!("\"{}{more}\"", escaped.collect::<String>())
}
