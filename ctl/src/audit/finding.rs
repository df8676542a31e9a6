//! What an auditor finds wrong with a log: a code, the place, and what to do.

use std::fmt;

use kms_attestation::refusal::{DenyClass, Refusal, StableCode};
use kms_ledger::refusal::LedgerCode;
use kms_ledger::replay::ReplayCode;
use serde::{Serialize, Serializer};

kms_attestation::deny_codes! {
    /// What the whole of a log shows, beside what its parts show.
    pub(crate) enum AuditCode {
        EntryChanged = "audit-entry-changed", Evidence,
            "The record is another than the one that the log signed.",
            "Keep this copy as evidence, and get the log from a mirror.";
        TileChanged = "audit-tile-changed", Evidence,
            "The tile's hashes are not those of the records.",
            "Keep this copy as evidence, and get the log from a mirror.";
        RootMismatch = "audit-root-mismatch", Evidence,
            "The records and tiles give another root than the log signed.",
            "Keep this copy as evidence: the records were changed, and the tiles with them.";
        NotStarted = "audit-not-started", Evidence,
            "The log does not begin with the start of a node.",
            "Ask the operator: a log's first record says which enclave signs it.";
        StampChanged = "audit-stamp-changed", Evidence,
            "The record names another measurement, software, version of the rules, root epoch or policy than the node's last start.",
            "Ask the operator: none of these can change while a node runs.";
        KeyUnbound = "audit-key-unbound", Evidence,
            "No genuine quote of the node vouches for the key that signs the log.",
            "Pin the log's key with --key, or give the root of trust with --root.";
        Unwitnessed = "audit-unwitnessed", Evidence,
            "Fewer witnesses have cosigned the checkpoint than you asked for.",
            "Ask the operator, and the witnesses: a log that they have not seen may be shown to you alone.";
    }
}

/// Any code of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Audit(AuditCode),
    Ledger(LedgerCode),
    Replay(ReplayCode),
}

impl StableCode for Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::Audit(code) => code.as_str(),
            Self::Ledger(code) => code.as_str(),
            Self::Replay(code) => code.as_str(),
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Audit(code) => code.message(),
            Self::Ledger(code) => code.message(),
            Self::Replay(code) => code.message(),
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::Audit(code) => code.fix(),
            Self::Ledger(code) => code.fix(),
            Self::Replay(code) => code.fix(),
        }
    }

    fn class(self) -> DenyClass {
        match self {
            Self::Audit(code) => code.class(),
            Self::Ledger(code) => code.class(),
            Self::Replay(code) => code.class(),
        }
    }
}

impl From<AuditCode> for Code {
    fn from(code: AuditCode) -> Self {
        Self::Audit(code)
    }
}

impl From<LedgerCode> for Code {
    fn from(code: LedgerCode) -> Self {
        Self::Ledger(code)
    }
}

impl From<ReplayCode> for Code {
    fn from(code: ReplayCode) -> Self {
        Self::Replay(code)
    }
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The signed checkpoint.
    Checkpoint,
    /// A record, by its index.
    Entry(u64),
    /// A file of the log, by its path.
    File(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Entry(index) => write!(f, "record {index}"),
            Self::File(path) => f.write_str(path),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(super) place: Place,
    #[serde(flatten)]
    pub(super) refusal: Refusal<Code>,
}

impl Finding {
    pub(super) fn new<C: StableCode>(place: Place, refusal: Refusal<C>) -> Self
    where
        Code: From<C>,
    {
        Self { place, refusal: refusal.lift() }
    }

    /// The line for people, and what to do.
    pub(super) fn text(&self) -> String {
        format!("{}: {}\n    {}\n", self.place, self.refusal, self.refusal.code.fix())
    }
}
