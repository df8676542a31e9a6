//! What is judged, as it came in: bytes that prove nothing yet.

use kms_attestation::ids::ReportData;
use kms_attestation::{DenyReason, Quote, SessionBinding, Verifier};

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

impl BootEvidence<'_> {
    /// Reads the quote. Refused with one of the `quote-*` codes about form, or with `binding-mismatch` where it was, by its own
    /// words, made for another session: that is not worth a signature check.
    pub fn session_quote(&self, verifier: &Verifier) -> Result<SessionQuote, DenyReason> {
        let quote = verifier.parse(self.quote)?;
        self.binding.check(&quote.td().report_data)?;
        Ok(SessionQuote(quote))
    }
}

/// A quote that claims to be of this session. Only [`BootEvidence::session_quote`] makes one.
#[derive(Debug)]
pub struct SessionQuote(Quote);

impl SessionQuote {
    /// The quote: tells which collateral to get.
    #[must_use]
    pub const fn quote(&self) -> &Quote {
        &self.0
    }
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
