//! The form of every refusal in this project: a stable code, what was found, what was expected, and what fixes it.
//!
//! Each crate lists its codes once, with [`deny_codes!`](crate::deny_codes), and refuses with a [`Refusal`] of them. A crate that
//! joins several lists makes an enum of theirs, implements [`StableCode`] by passing each question on, and takes in
//! their refusals with [`Refusal::lift`].
//!
//! `found` and `expected` are made by the refusing crate from values that it measured. Threat: text that an outsider
//! chose, on its way to a terminal or a log; it goes through [`Refusal::quoting`], which bounds and escapes it.

use std::fmt;

use serde::Serialize;

/// The longest text of an outsider that a refusal repeats, in characters.
pub const MAX_QUOTED_CHARS: usize = 256;

/// Whose trouble a refusal is, and so what has to change before the same request can be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DenyClass {
    /// The evidence is not what it claims to be: no policy accepts it.
    Evidence,
    /// The evidence is genuine, but the platform is not in an accepted state.
    Platform,
    /// The collateral does not prove anything about the platform; other collateral may.
    Collateral,
    /// The guest is not what it says, or not in the state that a release needs.
    Guest,
    /// The chain itself says no: proven, and for the owner of the app or the governance to change.
    Contract,
    /// The head of the chain is not one that may be relied on.
    Head,
    /// The evidence of a read does not prove what it is for.
    Proof,
    /// A provider failed to answer, or to answer usefully.
    Provider,
    /// The request does not fit the connection or the protocol.
    Request,
    /// The node itself cannot serve now.
    Node,
}

impl DenyClass {
    /// Every class, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Evidence,
        Self::Platform,
        Self::Collateral,
        Self::Guest,
        Self::Contract,
        Self::Head,
        Self::Proof,
        Self::Provider,
        Self::Request,
        Self::Node,
    ];

    /// The class in a sentence: the heading of its section in the documentation.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Evidence => "Evidence: not what it claims to be, whatever the policy",
            Self::Platform => "Platform: genuine, but not in an accepted state",
            Self::Collateral => "Collateral: proves nothing about the platform; other collateral may",
            Self::Guest => "Guest: not what it says, or not in the state that a release needs",
            Self::Contract => "Contract: the chain itself says no, and proves it",
            Self::Head => "Head: not a state of the chain that may be relied on",
            Self::Proof => "Proof: the evidence of a read does not prove what it is for",
            Self::Provider => "Provider: no answer, or none that is of use",
            Self::Request => "Request: does not fit the connection or the protocol",
            Self::Node => "Node: cannot serve now",
        }
    }
}

/// A code of a refusal. It is part of the protocol: never renamed, never reused. The sentences may improve.
pub trait StableCode: Copy + Eq + fmt::Debug {
    /// The code as it stands in the protocol, in records and in JSON.
    fn as_str(self) -> &'static str;
    /// One sentence: what is wrong.
    fn message(self) -> &'static str;
    /// One sentence: what a person can do about it.
    fn fix(self) -> &'static str;
    /// What has to change.
    fn class(self) -> DenyClass;
}

/// Declares an enum of stable codes, with its list, sentences, classes, and its form in text and JSON.
///
/// ```
/// kms_attestation::deny_codes! {
///     /// Why the door stays shut.
///     pub enum DoorCode {
///         WrongKey = "wrong-key", Guest, "The key does not fit.", "Bring the key of this door.";
///     }
/// }
/// use kms_attestation::refusal::{Refusal, StableCode};
/// let refusal = Refusal::new(DoorCode::WrongKey, "a brass key", "an iron key");
/// assert_eq!(refusal.to_string(), "wrong-key: The key does not fit. (found a brass key; expected an iron key)");
/// assert_eq!(DoorCode::ALL, [DoorCode::WrongKey]);
/// ```
#[macro_export]
macro_rules! deny_codes {
    (
        $(#[$doc:meta])*
        $visibility:vis enum $name:ident {
            $($variant:ident = $code:literal, $class:ident, $message:literal, $fix:literal;)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        $visibility enum $name {
            $(#[doc = $message] $variant,)+
        }

        impl $name {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands in the protocol, in records and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// One sentence: what is wrong.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }

            /// One sentence: what a person can do about it.
            #[must_use]
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)+ }
            }

            /// What has to change.
            #[must_use]
            pub const fn class(self) -> $crate::refusal::DenyClass {
                match self { $(Self::$variant => $crate::refusal::DenyClass::$class,)+ }
            }
        }

        impl $crate::refusal::StableCode for $name {
            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }

            fn message(self) -> &'static str {
                Self::message(self)
            }

            fn fix(self) -> &'static str {
                Self::fix(self)
            }

            fn class(self) -> $crate::refusal::DenyClass {
                Self::class(self)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// A refusal: the code, what was found and what was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal<C: StableCode> {
    /// Which reason.
    #[serde(serialize_with = "code_as_text")]
    pub code: C,
    /// What was found, with its unit.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
}

impl<C: StableCode> Refusal<C> {
    /// A refusal from values that the refusing crate measured or computed.
    pub fn new(code: C, found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self { code, found: found.to_string(), expected: expected.to_string() }
    }

    /// A refusal that repeats an outsider's text, sanitised.
    pub fn quoting(code: C, outsiders_text: &str, expected: impl fmt::Display) -> Self {
        Self::new(code, format_args!("\"{}\"", sanitise(outsiders_text)), expected)
    }

    /// The same refusal, in a list of codes that contains this one.
    #[must_use]
    pub fn lift<D: StableCode + From<C>>(self) -> Refusal<D> {
        Refusal { code: self.code.into(), found: self.found, expected: self.expected }
    }
}

impl<C: StableCode> fmt::Display for Refusal<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, found, expected } = self;
        write!(f, "{}: {} (found {found}; expected {expected})", code.as_str(), code.message())
    }
}

impl<C: StableCode> std::error::Error for Refusal<C> {}

fn code_as_text<C: StableCode, S: serde::Serializer>(code: &C, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

/// At most 256 characters of an outsider's text; whatever is not printable ASCII is shown escaped.
#[must_use]
pub fn sanitise(outsiders_text: &str) -> String {
    outsiders_text.chars().flat_map(printable).take(MAX_QUOTED_CHARS).collect()
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let plain = c == ' ' || c.is_ascii_graphic();
    plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_default()).into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DenyCode;

    #[test]
    fn sanitise__should_bound_and_escape_an_outsiders_text() {
        let text = sanitise(&"\u{1b}[2J\n\u{202e}é".repeat(1000));
        assert!(text.len() == MAX_QUOTED_CHARS && text.is_ascii(), "{text}");
        assert!(!text.contains(['\u{1b}', '\n']));
        assert_eq!(sanitise("Device \"x\" not allowed"), "Device \"x\" not allowed");
        assert_eq!(sanitise(&text), text);
    }

    #[test]
    fn refusal__should_have_one_form_in_text_and_in_json() {
        let refusal = Refusal::quoting(DenyCode::EventUnexpected, "a\n", 7);
        assert_eq!(
            serde_json::to_value(&refusal).unwrap(),
            serde_json::json!({ "code": "event-unexpected", "found": "\"a\\n\"", "expected": "7" })
        );
        let message = DenyCode::EventUnexpected.message();
        let expected = format!("event-unexpected: {message} (found \"a\\n\"; expected 7)");
        assert_eq!(refusal.to_string(), expected);
    }
}
