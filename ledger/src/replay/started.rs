//! The start of a node, checked again: a genuine quote of the measured node over the key that signs this log.
//!
//! Whether its platform was up to date, and whether the contract allowed it, is for the records of its standing to say. A node
//! that got no collateral at its start names none there. It names some as soon as it has it, in the first record of its
//! standing that rests on it: the quote is checked with that, at the time of that. It needs nobody's word: collateral is
//! signed by the root of trust.

use std::sync::Arc;

use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::ReportData;
use kms_attestation::{AuthenticQuote, CheckedCollateral, DenyCode, DenyReason, OsImageManifest, Verifier};

use super::Case;
use super::archive::Archive;
use super::code::{Gap, ReplayCode};
use super::outcome::Replayed;
use crate::blob::BlobId;
use crate::log_key::log_key_report_data;
use crate::record::{Event, Record, Started, Subject};

/// How many records after a start are looked through for collateral. A node that has none records its counts each hour, and
/// a sample of each code.
const FOLLOW_UP_WITHIN: u64 = 4096;

/// The record of the same run that names the collateral which a start lacks, with its index; none where there is none, or the
/// start lacks none.
pub fn follow_up(
    archive: &dyn Archive,
    index: u64,
    started: &Started,
) -> Result<Option<(u64, Arc<Record>)>, Gap> {
    if started.evidence.collateral.is_some() {
        return Ok(None);
    }
    for index in index.saturating_add(1)..=index.saturating_add(FOLLOW_UP_WITHIN) {
        match archive.record(index) {
            Ok(record) if matches!(record.event, Event::Started(_)) => break,
            Ok(record) if standing_collateral(&record).is_some() => return Ok(Some((index, record))),
            Ok(_) => {}
            // A bundle holds some records, and every log has an end.
            Err(gap) if gap.code == ReplayCode::RecordMissing => {}
            Err(gap) => return Err(gap),
        }
    }
    Ok(None)
}

fn standing_collateral(record: &Record) -> Option<BlobId> {
    match &record.event {
        Event::Decision(decision) if decision.subject == Subject::Node => decision.evidence.collateral,
        _ => None,
    }
}

impl Case<'_> {
    pub(super) fn started(self, started: &Started) -> Result<Replayed, Replayed> {
        let unknown = || Gap::new(ReplayCode::LogUnknown, "no checkpoint", "the log's origin");
        let log = self.replayer.log.as_ref().ok_or_else(unknown)?;
        if let Some(key) = log.key.filter(|key| *key != started.log_key) {
            return Err(Replayed::different("log_key", hex::encode(started.log_key), hex::encode(key)));
        }
        let (policy, evidence) = (self.policy()?, &started.evidence);
        let quote = self.need("quote", evidence.quote)?;
        let manifest = self.need("OS-image manifest", evidence.os_image_manifest)?;
        let (collateral, now) = self.start_collateral(started)?;
        let collateral = self.replayer.collateral(self.archive, Some(collateral))?;
        let expected = log_key_report_data(&log.origin, &started.log_key);
        let genuine = collateral.and_then(|collateral| {
            authenticate(policy.judge.verifier(), &quote, &manifest, expected, &collateral, now)
        });
        let genuine = genuine.map_err(|reason| {
            Replayed::different("evidence", reason, "a genuine quote of this node over its log's key")
        })?;
        let (found, recorded) = (mr_aggregated(genuine.td()), self.record.node.measurement);
        if found != recorded {
            return Err(Replayed::different("node.measurement", recorded, found));
        }
        Ok(Replayed::Identical)
    }

    /// The collateral for a start's quote, and the time at which it counts.
    fn start_collateral(&self, started: &Started) -> Result<(BlobId, u64), Gap> {
        if let Some(id) = started.evidence.collateral {
            return Ok((id, self.record.time));
        }
        let later = follow_up(self.archive, self.index, started)?;
        let found = later.and_then(|(_, record)| Some((standing_collateral(&record)?, record.time)));
        found.ok_or_else(|| {
            let found = "no collateral, here or in a record of the node's standing in this run";
            Gap::new(ReplayCode::EvidenceUnnamed, found, "its digest")
        })
    }
}

fn authenticate(
    verifier: &Verifier,
    quote: &[u8],
    manifest: &[u8],
    expected: ReportData,
    collateral: &CheckedCollateral,
    now: u64,
) -> Result<AuthenticQuote, DenyReason> {
    let quote = verifier.parse(quote)?;
    let found = quote.td().report_data;
    if found != expected {
        return Err(DenyReason::new(
            DenyCode::BindingMismatch,
            format_args!("report data {found}"),
            expected,
        ));
    }
    let manifest = OsImageManifest::parse(manifest)?;
    let quote = verifier.authenticate(&quote, collateral, now)?;
    manifest.check_runs(quote.td())?;
    Ok(quote)
}
