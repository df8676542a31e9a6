//! What keeps a CVM from its keys, for a person who reads it at 3 a.m.

use std::fmt;
use std::time::Duration;

use kms_attestation::DenyReason;
use kms_attestation::platform::PlatformError;
use kms_attestation::refusal::DenyClass;
#[cfg(feature = "chain")]
use kms_chain::ChainDeny;
use kms_proto::ERROR_DOMAIN;
use tonic::Status;
use tonic_types::StatusExt as _;

/// Why there are no keys. Every kind has a stable code and says what fixes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// No connection to the node, or one that broke off.
    #[error("node-unreachable: no connection to {node}: {why}; check its address and the network")]
    Unreachable {
        /// The node's address.
        node: String,
        /// What happened.
        why: String,
    },
    /// The node's evidence does not show what it must.
    #[error("node-refused: this node is not to be trusted: {0}; {fix}", fix = .0.code.fix())]
    Node(DenyReason),
    /// The node's evidence is genuine, but it is not one of the pinned nodes.
    #[error(
        "node-not-pinned: found {found} (expected {expected}); use a node of this KMS, or correct the pins"
    )]
    NotPinned {
        /// What the node showed.
        found: String,
        /// What the pins say.
        expected: String,
    },
    /// The contract says something else than the pins.
    #[error(
        "pins-contradicted: found {found} (expected {expected}); correct the pins, or kmsInfo of the contract"
    )]
    PinsContradicted {
        /// What the chain says.
        found: String,
        /// What the pins say.
        expected: String,
    },
    /// What the contract says cannot be established, or is of no use.
    #[cfg(feature = "chain")]
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Chain(ChainDeny),
    /// The node is genuine, and the contract does not allow it.
    #[cfg(feature = "chain")]
    #[error("node-not-allowed: the KMS contract does not allow this node: {0}; {fix}", fix = .0.code.fix())]
    NotAllowed(ChainDeny),
    /// The node said no, and why.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// The node's answer has not the form that the protocol promises.
    #[error("node-answer-invalid: the node's answer has no usable {what}; use another node")]
    Answer {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The node released, and its log does not show it.
    #[error(
        "receipt-invalid: the node does not show the release in its log: found {found} (expected {expected}); use another node, and tell whoever audits this one"
    )]
    ReceiptInvalid {
        /// What the node answered.
        found: String,
        /// What proves the release.
        expected: String,
    },
    /// No proof that the release is in the log could be had in time.
    #[error(
        "receipt-unavailable: no proof that the log has the release: {why}; ask again, or ask the log for record {index} later"
    )]
    ReceiptUnavailable {
        /// What happened.
        why: String,
        /// The record's index, as the node named it.
        index: u64,
    },
    /// This guest gives no quote.
    #[error("quote-unavailable: {}; {}", .0.found(), .0.fix())]
    Quote(PlatformError),
    /// This machine lacks something.
    #[error("guest-unfit: {what}; check the guest image")]
    Guest {
        /// What it lacks.
        what: &'static str,
    },
}

/// What a boot without keys means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nobody said no: somebody could not be reached, or could not decide.
    Undecided,
    /// A node refused this guest, or this guest the node.
    Refused,
    /// This guest cannot ask at all.
    Unfit,
}

/// A node's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The stable code, as in `docs/deny-codes.md`.
    pub code: String,
    /// One sentence: what is wrong.
    pub message: String,
    /// What the node found.
    pub found: String,
    /// What it expected.
    pub expected: String,
    /// What fixes it.
    pub fix: String,
    /// When to try again, if the node says so.
    pub retry_after: Option<Duration>,
    /// Whether trying again, here or at another node, may end otherwise.
    pub transient: bool,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message, found, expected, fix, .. } = self;
        write!(f, "{code}: {message} (found {found}; expected {expected}) {fix}")
    }
}

impl BootError {
    /// Whether another attempt, here or at another node, may end otherwise.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Denied(denial) => denial.transient,
            #[cfg(feature = "chain")]
            Self::Chain(deny) => deny.code.class() != DenyClass::Contract,
            Self::Guest { .. } | Self::PinsContradicted { .. } => false,
            _ => true,
        }
    }

    /// What it means to whoever watches the boot.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Guest { .. } => FailureKind::Unfit,
            Self::Unreachable { .. } | Self::Quote(_) | Self::ReceiptUnavailable { .. } => {
                FailureKind::Undecided
            }
            Self::Denied(denial) if denial.transient => FailureKind::Undecided,
            Self::Node(deny) if deny.code.class() == DenyClass::Collateral => FailureKind::Undecided,
            #[cfg(feature = "chain")]
            Self::Chain(deny) if deny.code.class() != DenyClass::Contract => FailureKind::Undecided,
            _ => FailureKind::Refused,
        }
    }

    pub(super) fn unreachable(node: &str, why: impl fmt::Display) -> Self {
        Self::Unreachable { node: node.to_owned(), why: why.to_string() }
    }

    /// A status as it came from a node. What is not of this protocol is a broken connection.
    pub(super) fn of_status(node: &str, status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == ERROR_DOMAIN);
        let Some(info) = info else { return Self::unreachable(node, printable(status.message())) };
        let value = |key: &str| info.metadata.get(key).map(|text| printable(text)).unwrap_or_default();
        Self::Denied(Box::new(Denial {
            code: printable(&info.reason),
            message: printable(status.message()),
            found: value("found"),
            expected: value("expected"),
            fix: value("fix"),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            transient: matches!(status.code(), tonic::Code::Unavailable | tonic::Code::ResourceExhausted),
        }))
    }
}

/// A node's text, fit for a console.
fn printable(text: &str) -> String {
    kms_attestation::refusal::sanitise(text)
}
