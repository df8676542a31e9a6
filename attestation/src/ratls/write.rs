//! The extensions as a certificate's issuer needs them: object identifier and extnValue content.
//!
//! They are plain data, so that any certificate writer can take them; with rcgen,
//! `CustomExtension::from_oid_content(extension.oid, extension.value)`. They are to be marked non-critical.
//! What a reader of this crate would refuse is not written.

use der::Encode;
use der::asn1::OctetStringRef;

use super::{MAX_CERTIFICATE_BYTES, MAX_USAGE_BYTES, bounded, malformed, msgpack, oid, scale};
use crate::deny::DenyReason;
use crate::event_log::{DigestVersion, EventLog};
use crate::ids::{AppId, ReportData};
use crate::quote::MAX_QUOTE_BYTES;

/// An extension for a certificate, non-critical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The object identifier, by arcs.
    pub oid: &'static [u64],
    /// What goes into extnValue: a DER OCTET STRING that holds the content.
    pub value: Vec<u8>,
}

/// What the newer form of evidence holds.
#[derive(Debug, Clone, Copy)]
pub struct Attestation<'a> {
    /// The raw quote.
    pub quote: &'a [u8],
    /// The events up to the quote.
    pub event_log: &'a EventLog,
    /// The quote's report data, [`super::report_data_for_spki`] of the certificate's key.
    pub report_data: &'a ReportData,
    /// The VM configuration as JSON text, as the guest agent gave it; dstack's tools take the OS image's hash
    /// from it. May be empty.
    pub config: &'a str,
}

/// The older form: the raw quote, and the event log as JSON text. Every reader knows it.
///
/// Refused with `ratls-evidence-malformed` when one of them is larger than a reader accepts.
pub fn pair_extensions(quote: &[u8], event_log_json: &[u8]) -> Result<[Extension; 2], DenyReason> {
    Ok([
        extension(oid::QUOTE, bounded("a quote", quote, MAX_QUOTE_BYTES)?)?,
        extension(oid::EVENT_LOG, event_log_json)?,
    ])
}

/// The newer form. As dstack's writer does: in SCALE, which every reader of this form knows, unless an event has
/// digest version 2, which only `MessagePack` can say.
///
/// Refused with `ratls-evidence-malformed`.
pub fn attestation_extension(attestation: &Attestation<'_>) -> Result<Extension, DenyReason> {
    bounded("a quote", attestation.quote, MAX_QUOTE_BYTES)?;
    let events = attestation.event_log.events();
    let content = if events.iter().all(|event| event.version == DigestVersion::V1) {
        scale::encode(attestation)
    } else {
        msgpack::encode(attestation)?
    };
    extension(oid::ATTESTATION, &content)
}

/// The app that the certificate is for.
///
/// Refused with `ratls-evidence-malformed`, which no app id causes.
pub fn app_id_extension(app_id: &AppId) -> Result<Extension, DenyReason> {
    extension(oid::APP_ID, app_id.as_bytes())
}

/// What the certificate is for; see [`super::usage`].
///
/// Refused with `ratls-evidence-malformed` when the text is longer than a reader accepts.
pub fn usage_extension(usage: &str) -> Result<Extension, DenyReason> {
    extension(oid::USAGE, bounded("a usage", usage.as_bytes(), MAX_USAGE_BYTES)?)
}

fn extension(oid: &'static [u64], content: &[u8]) -> Result<Extension, DenyReason> {
    let content = bounded("an extension", content, MAX_CERTIFICATE_BYTES)?;
    let value = OctetStringRef::new(content).and_then(|content| content.to_der());
    let value =
        value.map_err(|_| malformed(format_args!("{} bytes", content.len()), "a DER OCTET STRING"))?;
    Ok(Extension { oid, value })
}
