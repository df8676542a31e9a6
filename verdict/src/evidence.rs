//! What is judged, as it came in: bytes that prove nothing yet.

use kms_attestation::SessionBinding;
use kms_attestation::ids::ReportData;

/// What a CVM presents when it asks for keys.
#[derive(Debug, Clone, Copy)]
pub struct BootEvidence<'a> {
    /// The TDX quote.
    pub quote: &'a [u8],
    /// The event log of RTMR3, JSON.
    pub event_log: &'a [u8],
    /// The OS-image manifest.
    pub os_image_manifest: &'a [u8],
    /// The session that the quote must have been made for.
    pub binding: SessionBinding,
}

/// What a KMS node presents when its own standing is in question.
#[derive(Debug, Clone, Copy)]
pub struct NodeEvidence<'a> {
    /// The TDX quote.
    pub quote: &'a [u8],
    /// The OS-image manifest.
    pub os_image_manifest: &'a [u8],
    /// What the quote must have been made for: a session with role `kms`, or the node's certificate.
    pub report_data: ReportData,
}

/// What a decision depends on beside the evidence: it stands in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The time of the decision, in Unix seconds.
    pub now: u64,
    /// Since when the node knew the platform to be out of date, in Unix seconds; none if it never saw it up to date.
    pub out_of_date_since: Option<u64>,
}
