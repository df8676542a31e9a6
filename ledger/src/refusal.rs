//! Every reason for which the log, or a part of it, is refused.

use kms_attestation::refusal::Refusal;

/// A refusal of this crate.
pub type LedgerRefusal = Refusal<LedgerCode>;

kms_attestation::deny_codes! {
    /// What this crate refuses.
    pub enum LedgerCode {
        RecordTooLarge = "record-too-large", Evidence,
            "The record is larger than an entry of the log may be.",
            "Get the log from its operator again; the node never writes such a record.";
        RecordVersion = "record-version-unsupported", Evidence,
            "The record is of a version that this software does not know.",
            "Use a newer kmsctl.";
        RecordMalformed = "record-malformed", Evidence,
            "The bytes are no record.",
            "Get the log from its operator again; if it stays so, the log was not written by this software.";
        RecordNotCanonical = "record-not-canonical", Evidence,
            "The record's bytes are not those that the same record encodes to.",
            "Get the log from its operator again; if it stays so, the log was not written by this software.";
    }
}
