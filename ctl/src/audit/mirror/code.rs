//! Why a log is not mirrored: a code, and what to do about it.

use kms_attestation::refusal::{DenyClass, Refusal};
use kms_ledger::refusal::LedgerRefusal;

use crate::outcome::Exit;

kms_attestation::deny_codes! {
    /// What keeps a log from its target.
    pub(crate) enum MirrorCode {
        SourceBundle = "mirror-source-bundle", Request,
            "A bundle has no tiles, and cannot be mirrored.",
            "Give the log's URL, or a folder with its files.";
        TargetAddress = "mirror-target-invalid", Request,
            "This is no target of a mirror.",
            "Give a folder, or s3://<bucket>/<prefix>, and --endpoint for a store that is not AWS's.";
        Credentials = "mirror-credentials-missing", Request,
            "There are no credentials for the object store.",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or other AWS_* variables that docs/AUDIT.md names.";
        Denied = "mirror-target-denied", Provider,
            "The object store refused access.",
            "Check credentials, region and the bucket's policy: it must allow GetObject, PutObject, DeleteObject and ListBucket.";
        Unavailable = "mirror-target-unavailable", Provider,
            "The target cannot be read or written.",
            "Check the folder or the bucket, its address and the network; then run the same command again: it goes on from there.";
        Busy = "mirror-target-busy", Provider,
            "Another process writes to the target.",
            "Stop the other mirror, or give this one a target of its own.";
        Foreign = "mirror-target-foreign", Evidence,
            "A file in the target is not the log's. Nothing was overwritten.",
            "Compare it with the log, and keep both if they contradict each other; then mirror to an empty place.";
    }
}

/// A refusal of the target.
pub(super) type TargetRefusal = Refusal<MirrorCode>;

/// Why a round of a mirror ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    /// A file of the source is refused, or cannot be had.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Source(#[from] LedgerRefusal),
    /// The target's checkpoint and the source's are not of one history.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// The target cannot be used.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Target(#[from] TargetRefusal),
}

/// Two checkpoints of which the source's does not continue the target's.
#[derive(Debug, thiserror::Error)]
#[error("the target's checkpoint: {refusal}; {fix}\n\nsource:\n{source_note}\ntarget:\n{target_note}", fix = .refusal.code.fix())]
pub(crate) struct Conflict {
    pub(super) refusal: LedgerRefusal,
    /// The source's checkpoint, with its signatures.
    pub(super) source_note: String,
    /// What stands in the target.
    pub(super) target_note: String,
}

impl MirrorError {
    /// What it means for whoever asked.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Conflict(_) => Exit::Refused,
            Self::Source(refusal) => match refusal.code.class() {
                DenyClass::Provider => Exit::Undecided,
                DenyClass::Request => Exit::Usage,
                _ => Exit::Refused,
            },
            Self::Target(refusal) => match refusal.code.class() {
                DenyClass::Evidence => Exit::Refused,
                DenyClass::Request => Exit::Usage,
                _ => Exit::NotWritten,
            },
        }
    }
}
