//! Which records: by app, device, code, answer and time.

use clap::Args;
use kms_attestation::ids::{AppId, DeviceId};
use kms_ledger::Record;
use kms_ledger::record::{Event, Identity, SealedIdentity, Who};
use kms_ledger::replay::{Archive, Gap, ReplayCode};

use crate::input::parse_time;

/// What to look for: a record must fit all that is given.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Of this app, hexadecimal
    #[arg(long, value_name = "HEX")]
    app: Option<AppId>,
    /// On this device, hexadecimal
    #[arg(long, value_name = "HEX")]
    device: Option<DeviceId>,
    /// With this answer: a code, or allow
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// At this time or later: Unix seconds or an RFC 3339 date
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<u64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<u64>,
}

impl Filter {
    /// Whether a record fits. Refused with `replay-blob-missing` where all else fits, and who asked is sealed in a blob that
    /// is not there.
    pub(super) fn fits(&self, archive: &dyn Archive, record: &Record) -> Result<bool, Gap> {
        let in_time =
            self.from.is_none_or(|from| record.time >= from) && self.to.is_none_or(|to| record.time < to);
        Ok(in_time && self.fits_code(record) && self.fits_identity(archive, record)?)
    }

    fn fits_code(&self, record: &Record) -> bool {
        let Some(wanted) = &self.code else { return true };
        match &record.event {
            Event::Decision(decision) => decision.outcome.code().unwrap_or("allow") == wanted,
            Event::Unstored(unstored) => unstored.refusals.iter().any(|refusal| refusal.code == *wanted),
            Event::Started(_) | Event::Stopped => false,
        }
    }

    fn fits_identity(&self, archive: &dyn Archive, record: &Record) -> Result<bool, Gap> {
        if self.app.is_none() && self.device.is_none() {
            return Ok(true);
        }
        Ok(identity(archive, record)?.is_some_and(|identity| {
            self.app.is_none_or(|app| identity.app_id == app)
                && self.device.is_none_or(|device| identity.device_id == device)
        }))
    }
}

/// Who asked, where that was proven. Refused where it is sealed, and the sealed blob cannot be had or is none.
pub(super) fn identity(archive: &dyn Archive, record: &Record) -> Result<Option<Identity>, Gap> {
    let Event::Decision(decision) = &record.event else { return Ok(None) };
    match &decision.who {
        Who::Unknown => Ok(None),
        Who::Open(identity) => Ok(Some(identity.clone())),
        Who::Sealed(id) => {
            let bytes = archive.blob(id)?;
            let damaged = |found: &dyn std::fmt::Display| Gap::new(ReplayCode::BlobDamaged, found, id);
            let name = kms_ledger::BlobId::of(&bytes);
            if name != *id {
                return Err(damaged(&name));
            }
            let sealed = SealedIdentity::decode(&bytes).map_err(|refusal| damaged(&refusal))?;
            Ok(Some(sealed.identity))
        }
    }
}
