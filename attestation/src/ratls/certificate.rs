//! An RA-TLS certificate as its reader needs it: evidence, key and claims, and the check that binds them.

use super::evidence::{self, Evidence};
use super::leaf::Leaf;
use super::{MAX_USAGE_BYTES, bounded, malformed, oid, report_data_for_spki};
use crate::deny::{DenyCode, DenyReason};
use crate::ids::{AppId, ReportData};

/// In which form a certificate carries its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvidenceForm {
    /// Extensions `.1` and `.2`: raw quote and JSON log.
    Pair,
    /// Extension `.8` in SCALE, version 0.
    ScaleV0,
    /// Extension `.8` in `MessagePack`, version 1.
    MsgpackV1,
}

/// What an RA-TLS certificate says. Nothing in it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RatlsCertificate {
    /// In which form the evidence stood.
    pub form: EvidenceForm,
    /// The raw quote, at most [`crate::quote::MAX_QUOTE_BYTES`].
    pub quote: Vec<u8>,
    /// The event log as JSON text, for [`crate::event_log::EventLog::parse`]. From the pair verbatim, from the
    /// other forms rebuilt from the runtime events.
    pub event_log: Vec<u8>,
    /// The certificate's SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
    /// The app that the certificate's signer says it is for.
    pub app_id: Option<AppId>,
    /// What the certificate's signer says it is for.
    pub usage: Option<String>,
}

impl RatlsCertificate {
    /// Reads a leaf certificate in DER.
    ///
    /// Refused with `ratls-evidence-missing`, `ratls-evidence-malformed`, or `ratls-binding-mismatch` where the
    /// report data beside the quote already contradicts the key.
    pub fn parse(certificate_der: &[u8]) -> Result<Self, DenyReason> {
        let leaf = Leaf::parse(certificate_der)?;
        let Evidence { form, quote, event_log, report_data } = evidence::read(&leaf)?;
        let certificate =
            Self { form, quote, event_log, spki: leaf.spki()?, app_id: app_id(&leaf)?, usage: usage(&leaf)? };
        match report_data {
            Some(claimed) => certificate.check_binding(&claimed).map(|()| certificate),
            None => Ok(certificate),
        }
    }

    /// Refuses with `ratls-binding-mismatch` a quote that was not made for this certificate's key.
    ///
    /// `report_data` is that of the *verified* quote: the copy that may stand beside it proves nothing.
    pub fn check_binding(&self, report_data: &ReportData) -> Result<(), DenyReason> {
        let expected = report_data_for_spki(&self.spki);
        if *report_data == expected {
            return Ok(());
        }
        Err(DenyReason::new(
            DenyCode::RatlsBinding,
            format_args!("report data {report_data}"),
            format_args!("{expected}, made for this key"),
        ))
    }
}

/// The SubjectPublicKeyInfo of any leaf certificate, with or without evidence: what a session is bound to.
///
/// Refused with `ratls-evidence-malformed`.
pub fn subject_public_key_info(certificate_der: &[u8]) -> Result<Vec<u8>, DenyReason> {
    Leaf::parse(certificate_der)?.spki()
}

fn app_id(leaf: &Leaf) -> Result<Option<AppId>, DenyReason> {
    let Some(content) = leaf.content(oid::APP_ID)? else { return Ok(None) };
    let app_id = AppId::try_from(content);
    app_id.map(Some).map_err(|error| malformed(format_args!("an app id of {}", error.found), "20 bytes"))
}

fn usage(leaf: &Leaf) -> Result<Option<String>, DenyReason> {
    let Some(content) = leaf.content(oid::USAGE)? else { return Ok(None) };
    let text = String::from_utf8(bounded("a usage", content, MAX_USAGE_BYTES)?.to_vec());
    text.map(Some).map_err(|_| malformed("a usage of other bytes", "UTF-8 text"))
}
