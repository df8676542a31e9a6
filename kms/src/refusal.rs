//! Why this node refuses: the codes of a verdict, of certificates, its own, and how each travels as a gRPC status.
//!
//! A status carries a `google.rpc.ErrorInfo`: `reason` is the stable code, `domain` is "onchain-kms", `metadata` has
//! `found`, `expected` and `fix`. Where trying again later makes sense, a `google.rpc.RetryInfo` says when. Only a refusal
//! that the log tells of becomes a status.

use std::collections::HashMap;
use std::time::Duration;

use kms_attestation::DenyCode;
use kms_attestation::refusal::{DenyClass, Refusal, StableCode};
use kms_chain::ChainDenyCode;
use kms_proto::ERROR_DOMAIN;
use tonic::{Code as Grpc, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::keys::CertificateCode;
use crate::node::OVERLOAD_PAUSE;
use crate::record::Entered;

/// How long a caller whose request took too long should wait: what was slow is seldom fast at once.
const TIMEOUT_PAUSE: Duration = Duration::from_secs(1);
/// The most characters of `found` and of `expected` in a status: gRPC details travel in a header.
const MAX_DETAIL_CHARS: usize = 600;

kms_attestation::deny_codes! {
    /// What this crate refuses.
    pub enum NodeCode {
        ClientCertificateMissing = "client-certificate-missing", Request,
            "The connection has no client certificate, which a session is bound to.",
            "Connect with a self-signed certificate over a fresh P-256 key.";
        FieldInvalid = "field-invalid", Request,
            "A field of the request has not the length or form that the protocol gives it.",
            "Send the field as docs/PROTOCOL.md has it.";
        ChallengeMissing = "challenge-missing", Request,
            "There is no open challenge on this connection, or it was used.",
            "Call Challenge on this connection first; each challenge serves one request.";
        ChallengeExpired = "challenge-expired", Request,
            "The challenge was not answered in time.",
            "Call Challenge again, and make the quote at once.";
        KeysNotReleased = "keys-not-released", Request,
            "No keys were released on this connection, so nothing says which app this is.",
            "Call GetAppKeys on this connection first.";
        RateLimited = "rate-limited", Node,
            "This app or this device has had its share of releases for now.",
            "Wait as long as the answer says, then try again.";
        Overloaded = "overloaded", Node,
            "The node has as much work as it can do in time.",
            "Try again after a pause, or at another node.";
        RequestTimeout = "request-timeout", Node,
            "The request was not done in the time that a request may take.",
            "Try again after a pause, or at another node; if it lasts, check the node's providers and its PCCS.";
        CollateralUnavailable = "collateral-unavailable", Node,
            "No current collateral could be had for this kind of platform.",
            "Check the node's PCCS; the answer says which failed and how.";
        QuoteUnavailable = "quote-unavailable", Node,
            "The node could not get a quote of its own.",
            "Check the node's guest agent, or configfs-tsm.";
        RecordUnavailable = "record-unavailable", Node,
            "The decision could not be recorded durably, so nothing was released.",
            "Check the disk of the node: full, read-only or failing.";
        LogContradicted = "log-contradicted", Node,
            "A witness has seen more of this node's log than there is, or another log: nothing is released or recorded.",
            "Stop the node: its disk was restored, rolled back or copied. Bring the newest copy of the log's folder back, or begin a new log under another node.name; docs/OPERATING.md has the steps.";
        LogUnwitnessed = "log-unwitnessed", Node,
            "Too few witnesses have cosigned this node's log of late, and its configuration then stops releases.",
            "Check the witnesses that the answer names, their clocks, and the way to them; releases go on by themselves.";
        NodeNotAllowed = "node-not-allowed", Node,
            "This node is not, or no longer, allowed by the KMS contract.",
            "Allow its measurement, device and OS image with `kmsctl kms`, or use another node.";
        Internal = "internal", Node,
            "The node failed in a way that it should not.",
            "Report it with the node's log of this moment.";
    }
}

/// The code of a refusal by this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Of a verdict.
    Verdict(kms_verdict::Code),
    /// Of a certificate.
    Certificate(CertificateCode),
    /// Of this node.
    Node(NodeCode),
}

/// A refusal by this node.
pub type Refused = Refusal<Code>;

impl Code {
    /// Every code that a caller of this node can meet.
    pub fn all() -> impl Iterator<Item = Self> {
        let certificate = CertificateCode::ALL.iter().copied().map(Self::Certificate);
        let node = NodeCode::ALL.iter().copied().map(Self::Node);
        kms_verdict::Code::all().map(Self::Verdict).chain(certificate).chain(node)
    }

    /// The code of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|code| code.as_str() == name)
    }
}

impl StableCode for Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::Verdict(code) => code.as_str(),
            Self::Certificate(code) => code.as_str(),
            Self::Node(code) => code.as_str(),
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Verdict(code) => code.message(),
            Self::Certificate(code) => code.message(),
            Self::Node(code) => code.message(),
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::Verdict(code) => code.fix(),
            Self::Certificate(code) => code.fix(),
            Self::Node(code) => code.fix(),
        }
    }

    fn class(self) -> DenyClass {
        match self {
            Self::Verdict(code) => code.class(),
            Self::Certificate(code) => code.class(),
            Self::Node(code) => code.class(),
        }
    }
}

impl From<NodeCode> for Code {
    fn from(code: NodeCode) -> Self {
        Self::Node(code)
    }
}

impl From<CertificateCode> for Code {
    fn from(code: CertificateCode) -> Self {
        Self::Certificate(code)
    }
}

impl From<kms_verdict::Code> for Code {
    fn from(code: kms_verdict::Code) -> Self {
        Self::Verdict(code)
    }
}

impl From<DenyCode> for Code {
    fn from(code: DenyCode) -> Self {
        Self::Verdict(code.into())
    }
}

impl From<ChainDenyCode> for Code {
    fn from(code: ChainDenyCode) -> Self {
        Self::Verdict(code.into())
    }
}

/// The gRPC code: whether the caller is refused, should change the request, or may try again.
#[must_use]
pub fn grpc_code(code: Code) -> Grpc {
    match code {
        Code::Node(NodeCode::RateLimited | NodeCode::Overloaded) => Grpc::ResourceExhausted,
        Code::Node(NodeCode::ClientCertificateMissing) => Grpc::Unauthenticated,
        Code::Node(NodeCode::FieldInvalid) => Grpc::InvalidArgument,
        Code::Certificate(code) if code.class() == DenyClass::Request => Grpc::InvalidArgument,
        Code::Node(NodeCode::Internal) => Grpc::Internal,
        _ => match code.class() {
            DenyClass::Evidence | DenyClass::Platform | DenyClass::Guest | DenyClass::Contract => {
                Grpc::PermissionDenied
            }
            DenyClass::Request => Grpc::FailedPrecondition,
            DenyClass::Collateral
            | DenyClass::Head
            | DenyClass::Proof
            | DenyClass::Provider
            | DenyClass::Node => Grpc::Unavailable,
        },
    }
}

/// The refusal as a caller sees it. What passes by itself always says when to try again.
#[must_use]
pub(crate) fn status(entered: &Entered) -> Status {
    let (refused, retry_after) = (entered.refused(), entered.retry_after());
    let cut = |text: &str| text.chars().take(MAX_DETAIL_CHARS).collect::<String>();
    let metadata = HashMap::from([
        ("found".to_owned(), cut(&refused.found)),
        ("expected".to_owned(), cut(&refused.expected)),
        ("fix".to_owned(), refused.code.fix().to_owned()),
    ]);
    let mut details = ErrorDetails::with_error_info(refused.code.as_str(), ERROR_DOMAIN, metadata);
    if let Some(pause) = retry_after.or(usual_pause(refused.code)) {
        details.set_retry_info(Some(pause));
    }
    Status::with_error_details(grpc_code(refused.code), refused.code.message(), details)
}

/// When to try again, where that does not depend on who asks.
const fn usual_pause(code: Code) -> Option<Duration> {
    match code {
        Code::Node(NodeCode::Overloaded) => Some(OVERLOAD_PAUSE),
        Code::Node(NodeCode::RequestTimeout) => Some(TIMEOUT_PAUSE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::node::Limited;
    use crate::record::Books;

    #[test]
    fn codes__should_be_distinct_across_crates() {
        let all: BTreeSet<_> = Code::all().map(StableCode::as_str).collect();
        assert_eq!(all.len(), Code::all().count());
    }

    #[test]
    fn status__should_never_say_ok_and_always_name_the_code_and_its_fix() {
        let books = Books::new(1, Arc::default());
        for code in Code::all() {
            let refused = Refused::new(code, "x".repeat(5000), "y");
            let status =
                status(&books.count_limited(Limited { refused, retry_after: Duration::from_secs(2) }));
            assert_ne!(status.code(), Grpc::Ok);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (code.as_str(), ERROR_DOMAIN));
            assert_eq!(info.metadata["fix"], code.fix());
            assert_eq!(info.metadata["found"].len(), MAX_DETAIL_CHARS);
            assert!(details.retry_info().is_some());
        }
    }
}
