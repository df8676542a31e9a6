//! Why a record cannot be decided again.

use kms_attestation::refusal::Refusal;

/// A record that cannot be decided again.
pub type Gap = Refusal<ReplayCode>;

kms_attestation::deny_codes! {
    /// What keeps a record from being decided again.
    pub enum ReplayCode {
        EvidenceUnnamed = "replay-evidence-unnamed", Evidence,
            "The record does not name a piece of evidence that its decision rests on.",
            "Ask the node's operator: such a decision cannot be checked by anyone.";
        BlobMissing = "replay-blob-missing", Evidence,
            "A blob that the record names is not there.",
            "Get the blob from a mirror or the operator; old evidence may have been pruned.";
        BlobPruned = "replay-blob-pruned", Evidence,
            "A blob that the record names was removed: so old is evidence not kept, as the log says.",
            "Get the blob from a mirror that keeps more; nobody signs what was removed, so ask the operator if it is young.";
        BlobDamaged = "replay-blob-damaged", Evidence,
            "A blob has not the bytes that it is named by.",
            "Get the blob from a mirror or the operator again: this copy was changed.";
        RecordMissing = "replay-record-missing", Evidence,
            "A record that is needed is not there.",
            "Get the whole log, or a bundle that holds the record.";
        RecordUnproven = "replay-record-unproven", Evidence,
            "Nothing shows that the record stands in the log: a tile, a bundle or the record was changed.",
            "Run `kmsctl audit verify`, which says what was changed, and keep what you have.";
        SourceUnavailable = "replay-source-unavailable", Provider,
            "The log's files could not be had.",
            "Try again, or use a mirror.";
        PolicyUnreadable = "replay-policy-unreadable", Evidence,
            "The policy document that the record names cannot be read.",
            "Use the release that wrote it, or a later one.";
        OtherRoot = "replay-other-root", Evidence,
            "The node believes another root of trust than the auditor.",
            "Give the node's root with --root, if you mean to believe it; Intel's is the default.";
        RulesUnknown = "replay-rules-unknown", Evidence,
            "The record was decided by rules that this software does not know.",
            "Use a newer kmsctl.";
        IdentityUnavailable = "replay-identity-unavailable", Evidence,
            "Who asked is sealed, and the sealed blob is not there.",
            "Ask the node's operator for the sealed blobs.";
        LogUnknown = "replay-log-unknown", Evidence,
            "Which log the record stands in is not known, so its key cannot be compared.",
            "Give the checkpoint that belongs to the record.";
    }
}
