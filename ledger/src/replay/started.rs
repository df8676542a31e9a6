//! The start of a node, checked again: a genuine quote of the measured node over the key that signs this log.
//!
//! Whether its platform was up to date, and whether the contract allowed it, is for the records of its standing to say.

use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::ReportData;
use kms_attestation::{AuthenticQuote, CheckedCollateral, DenyCode, DenyReason, OsImageManifest, Verifier};

use super::Case;
use super::code::{Gap, ReplayCode};
use super::outcome::Replayed;
use crate::log_key::log_key_report_data;
use crate::record::Started;

impl Case<'_> {
    pub(super) fn started(self, started: &Started) -> Result<Replayed, Replayed> {
        let unknown = || Gap::new(ReplayCode::LogUnknown, "no checkpoint", "the log's origin");
        let log = self.replayer.log.as_ref().ok_or_else(unknown)?;
        if let Some(key) = log.key.filter(|key| *key != started.log_key) {
            return Err(Replayed::different("log_key", hex::encode(started.log_key), hex::encode(key)));
        }
        let (judge, evidence) = (self.judge()?, &started.evidence);
        let quote = self.need("quote", evidence.quote)?;
        let manifest = self.need("OS-image manifest", evidence.os_image_manifest)?;
        let collateral = self.replayer.collateral(self.archive, evidence.collateral)?;
        let expected = log_key_report_data(&log.origin, &started.log_key);
        let genuine = collateral.and_then(|collateral| {
            authenticate(judge.verifier(), &quote, &manifest, expected, &collateral, self.record.time)
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
