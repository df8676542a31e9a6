//! What a certificate's extensions say, whichever form they have: one quote and one log.
//!
//! The versioned attestation (`.8`) holds the events twice: in `event_log`, as the agent shows them, and in
//! `runtime_events`, which dstack's verifier replays. Only the second is used here, so that both verifiers
//! judge the same bytes.

use super::certificate::EvidenceForm;
use super::leaf::Leaf;
use super::{bounded, malformed, msgpack, oid, scale};
use crate::deny::{DenyCode, DenyReason};
use crate::event_log::{EventLog, MAX_EVENTS, RuntimeEvent};
use crate::ids::ReportData;
use crate::quote::MAX_QUOTE_BYTES;

/// The evidence of a certificate.
pub(super) struct Evidence {
    pub(super) form: EvidenceForm,
    pub(super) quote: Vec<u8>,
    /// JSON text.
    pub(super) event_log: Vec<u8>,
    /// The report data that stands beside the quote: only the versioned forms repeat it.
    pub(super) report_data: Option<ReportData>,
}

/// A decoded versioned attestation, before its bounds are checked.
pub(super) struct Versioned {
    pub(super) form: EvidenceForm,
    pub(super) quote: Vec<u8>,
    pub(super) events: Vec<RuntimeEvent>,
    pub(super) report_data: ReportData,
}

/// Reads `.8` where there is one, else `.1` and `.2`.
pub(super) fn read(leaf: &Leaf) -> Result<Evidence, DenyReason> {
    let evidence = match leaf.content(oid::ATTESTATION)? {
        Some(attestation) => versioned(attestation)?.checked()?,
        None => pair(leaf)?,
    };
    bounded("a quote", &evidence.quote, MAX_QUOTE_BYTES)?;
    Ok(evidence)
}

/// The two forms of `.8`, told apart by the first byte as dstack's readers do.
pub(super) fn versioned(attestation: &[u8]) -> Result<Versioned, DenyReason> {
    match attestation {
        [0x00, ..] => scale::decode(attestation),
        // The three headers of a MessagePack map: fixmap, map 16, map 32.
        [0x80..=0x8F | 0xDE | 0xDF, ..] => msgpack::decode(attestation),
        [other, ..] => Err(malformed(
            format_args!("an attestation that starts with {other:#04x}"),
            "0x00 (SCALE) or a MessagePack map",
        )),
        [] => Err(malformed("an empty attestation", "0x00 (SCALE) or a MessagePack map")),
    }
}

fn pair(leaf: &Leaf) -> Result<Evidence, DenyReason> {
    let Some(quote) = leaf.content(oid::QUOTE)? else {
        return Err(DenyReason::new(
            DenyCode::RatlsEvidenceMissing,
            "a certificate without evidence",
            "extension 1.3.6.1.4.1.62397.1.8, or .1 and .2",
        ));
    };
    let Some(event_log) = leaf.content(oid::EVENT_LOG)? else {
        return Err(malformed("a quote without an event log", "extension 1.3.6.1.4.1.62397.1.2 beside .1"));
    };
    Ok(Evidence {
        form: EvidenceForm::Pair,
        quote: quote.to_vec(),
        event_log: event_log.to_vec(),
        report_data: None,
    })
}

impl Versioned {
    /// Bounds the events before each of them is hashed and written out.
    fn checked(self) -> Result<Evidence, DenyReason> {
        if self.events.len() > MAX_EVENTS {
            let found = format_args!("{} events", self.events.len());
            return Err(malformed(found, format_args!("at most {MAX_EVENTS} events")));
        }
        Ok(Evidence {
            form: self.form,
            quote: self.quote,
            event_log: EventLog::new(self.events).to_json().into_bytes(),
            report_data: Some(self.report_data),
        })
    }
}
