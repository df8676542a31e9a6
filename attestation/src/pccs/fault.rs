//! Why collateral could not be had: every source that was asked, and what happened there.
//!
//! This is not a [`DenyReason`]. "The quote is bad" is a judgement about the one who asks for keys; "collateral is
//! unavailable" is a trouble of this node and its sources, and says nothing about the quote. The two types cannot
//! be mixed up, and no conversion leads from one to the other. A source's answer that was refused carries the
//! [`DenyReason`] of the *collateral*.

use std::fmt;
use std::sync::Arc;

use super::key::CollateralKey;
use super::limits::MAX_HEAD_BYTES;
use super::wire::Endpoint;
use crate::deny::DenyReason;
use crate::time::rfc3339;

/// The longest text of a lower layer that a fault repeats, in characters.
const MAX_DETAIL_CHARS: usize = 160;

/// A source as it is named to people: scheme, host, port and path. Credentials and queries are refused when a
/// source is configured, so there are none to hide.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceName(Arc<str>);

impl SourceName {
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The cache itself, for what never reached a source.
    pub(super) fn cache() -> Self {
        Self::new("cache")
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happened at a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No complete answer within the time allowed.
    #[error("no complete answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("no connection ({0})")]
    Connect(String),
    /// The source's TLS certificate or protocol was not accepted.
    #[error("TLS refused ({0})")]
    Tls(String),
    /// The connection ended before the answer did.
    #[error("the connection ended before the answer did")]
    Closed,
    /// The head of the answer is not HTTP/1.1, or too large.
    #[error("an answer whose head is not HTTP/1.1, or has more than {MAX_HEAD_BYTES} bytes")]
    BadHead,
    /// The answer is not 200. A redirect is such an answer: none is followed.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The body of the answer is larger than the given number of bytes.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// The answer has not the form that the endpoint promises.
    #[error("a malformed answer: {0}")]
    Malformed(&'static str),
    /// The answer lacks a header that carries its issuer chain.
    #[error("the answer has no header {0}")]
    MissingHeader(&'static str),
    /// The answer was read, and refused.
    #[error(transparent)]
    Refused(#[from] DenyReason),
    /// The answer is for another TCB evaluation data number than the one asked for.
    #[error("TCB evaluation data number {found} instead of {asked}")]
    OtherEvaluationNumber {
        /// The number in the answer.
        found: u32,
        /// The number asked for.
        asked: u32,
    },
    /// The answer can be used, but ends soon: the source seems to be stuck.
    #[error("collateral that ends on {}", rfc3339(*until))]
    Lags {
        /// Until when it is valid, in Unix seconds.
        until: u64,
    },
    /// The offline pack holds nothing for this kind of platform.
    #[error("not in the pack")]
    NotInPack,
    /// Time was up before this source's turn.
    #[error("not tried: time was up")]
    NotTried,
    /// Policy does not allow this kind of platform, so that nothing was fetched for it.
    #[error("not fetched: the FMSPC is not in allowed_fmspcs")]
    NotAllowed,
    /// Too many unknown kinds of platform were asked for, so that nothing was fetched for this one.
    #[error("not fetched: too many unknown FMSPCs were asked for")]
    RateLimited,
    /// The fetch was stopped, because the process is shutting down.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl Fault {
    /// The stable code, for metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Closed => "closed",
            Self::BadHead => "bad-head",
            Self::Status(_) => "status",
            Self::TooLarge(_) => "too-large",
            Self::Malformed(_) => "malformed",
            Self::MissingHeader(_) => "missing-header",
            Self::Refused(reason) => reason.code.as_str(),
            Self::OtherEvaluationNumber { .. } => "other-evaluation-number",
            Self::Lags { .. } => "lags",
            Self::NotInPack => "not-in-pack",
            Self::NotTried => "not-tried",
            Self::NotAllowed => "not-allowed",
            Self::RateLimited => "rate-limited",
            Self::Interrupted => "interrupted",
        }
    }

    /// One sentence: what a person can do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::Timeout | Self::Connect(_) | Self::Closed | Self::NotTried => {
                "Check that a PCCS is reachable from the node, or give the node an offline pack."
            }
            Self::Tls(_) => {
                "Check the PCCS's certificate, or configure the root that issued it as an extra TLS root."
            }
            Self::Status(404) => {
                "Check the PCCS's URL, and that Intel publishes TDX collateral for this FMSPC and PCK CA."
            }
            Self::BadHead
            | Self::Status(_)
            | Self::TooLarge(_)
            | Self::Malformed(_)
            | Self::MissingHeader(_) => {
                "Check that the URL is that of a PCCS with the v4 interface, and its health; or use another."
            }
            Self::OtherEvaluationNumber { .. } => {
                "Ask Intel's own service for a certain evaluation number; a PCCS may know only its own."
            }
            Self::Refused(reason) => reason.code.fix(),
            Self::Lags { .. } => "Check that the PCCS can reach Intel's service, and how often it refreshes.",
            Self::NotInPack => "Make a new pack that holds collateral for this FMSPC and PCK CA.",
            Self::NotAllowed => "Add the FMSPC to allowed_fmspcs, or run on an allowed platform.",
            Self::RateLimited => "Wait a minute; list the FMSPCs that you run on in allowed_fmspcs.",
            Self::Interrupted => "Ask again.",
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Timeout | Self::Connect(_) | Self::Closed | Self::Status(429 | 500..=599))
    }

    pub(super) fn is_rollback(&self) -> bool {
        matches!(self, Self::Refused(reason) if reason.code == crate::deny::DenyCode::CollateralRolledBack)
    }
}

/// Text of a lower layer, made fit for logs: bounded, controls shown escaped.
pub(super) fn detail(error: &dyn fmt::Display) -> String {
    error.to_string().chars().take(MAX_DETAIL_CHARS).flat_map(char::escape_default).collect()
}

/// What happened at one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFault {
    /// The source.
    pub source: SourceName,
    /// The request that failed, if it was a single one.
    pub endpoint: Option<Endpoint>,
    /// What happened.
    pub fault: Fault,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if let Some(endpoint) = self.endpoint {
            write!(f, " ({endpoint})")?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// No source had collateral that can be used. It says nothing about any quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {} (found {}; expected {})", Self::CODE, Self::MESSAGE, self.found(), self.expected())]
pub struct CollateralUnavailable {
    /// What was asked for.
    pub key: CollateralKey,
    /// Every source in the order in which it was asked, with what happened there. Empty when none is configured.
    pub attempts: Vec<SourceFault>,
}

impl CollateralUnavailable {
    /// The stable code of this error in the protocol, in records and in JSON.
    pub const CODE: &'static str = "collateral-unavailable";
    /// One sentence: what is wrong.
    pub const MESSAGE: &'static str = "Intel's collateral for this kind of platform could not be had.";

    /// What never reached a source.
    pub(super) fn here(key: CollateralKey, fault: Fault) -> Self {
        Self { key, attempts: vec![SourceFault { source: SourceName::cache(), endpoint: None, fault }] }
    }

    /// Every source and what happened there.
    #[must_use]
    pub fn found(&self) -> String {
        if self.attempts.is_empty() {
            return "no source configured".to_owned();
        }
        let faults: Vec<_> = self.attempts.iter().map(ToString::to_string).collect();
        faults.join("; ")
    }

    /// What would have been used.
    #[must_use]
    pub fn expected(&self) -> String {
        let CollateralKey { fmspc, ca } = self.key;
        format!(
            "valid collateral for FMSPC {fmspc} and the {} CA, no older than what was seen before",
            ca.as_str()
        )
    }

    /// One sentence: what a person can do about it, judged by the source that was asked first.
    #[must_use]
    pub fn fix(&self) -> &'static str {
        self.attempts
            .first()
            .map_or("Configure a PCCS, or give the node an offline pack.", |attempt| attempt.fault.fix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::PckCa;
    use crate::deny::DenyCode;
    use crate::ids::Fmspc;

    #[test]
    fn unavailable__should_name_every_source_with_what_happened_there() {
        let fault =
            |source, endpoint, fault| SourceFault { source: SourceName::new(source), endpoint, fault };
        let error = CollateralUnavailable {
            key: CollateralKey { fmspc: Fmspc([0xb0, 0xc0, 0x6f, 0, 0, 0]), ca: PckCa::Platform },
            attempts: vec![
                fault("https://a.example", Some(Endpoint::TcbInfo), Fault::Status(404)),
                fault(
                    "https://b.example",
                    None,
                    DenyReason::new(DenyCode::CollateralExpired, "x", "y").into(),
                ),
            ],
        };
        assert_eq!(
            error.to_string(),
            "collateral-unavailable: Intel's collateral for this kind of platform could not be had. (found \
             https://a.example (TCB info): HTTP status 404; https://b.example: collateral-expired: The collateral \
             has expired. (found x; expected y); expected valid collateral for FMSPC b0c06f000000 and the \
             platform CA, no older than what was seen before)"
        );
        assert!(error.fix().contains("URL"));
        let none = CollateralUnavailable { attempts: Vec::new(), ..error };
        assert!(none.found().contains("no source") && none.fix().contains("Configure"));
    }

    #[test]
    fn detail__should_be_bounded_and_escaped() {
        let text = detail(&"\u{1b}[2J\n".repeat(100));
        assert!(text.is_ascii() && !text.contains('\n') && text.len() < 1100, "{text}");
    }
}
