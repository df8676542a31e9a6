//! Which records: by app, device, code, answer and time.

use clap::Args;
use kms_attestation::ids::{AppId, DeviceId};
use kms_ledger::Record;
use kms_ledger::record::{Event, Identity, SealedIdentity, Who};
use kms_ledger::replay::Archive;

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
    /// Whether a record fits. A sealed identity fits if its blob is there and fits.
    pub(super) fn fits(&self, archive: &dyn Archive, record: &Record) -> bool {
        let in_time =
            self.from.is_none_or(|from| record.time >= from) && self.to.is_none_or(|to| record.time < to);
        in_time && self.fits_code(record) && self.fits_identity(archive, record)
    }

    fn fits_code(&self, record: &Record) -> bool {
        let Some(wanted) = &self.code else { return true };
        match &record.event {
            Event::Decision(decision) => decision.outcome.code().unwrap_or("allow") == wanted,
            Event::Unstored(unstored) => unstored.refusals.iter().any(|refusal| refusal.code == *wanted),
            Event::Started(_) | Event::Stopped => false,
        }
    }

    fn fits_identity(&self, archive: &dyn Archive, record: &Record) -> bool {
        if self.app.is_none() && self.device.is_none() {
            return true;
        }
        identity(archive, record).is_some_and(|identity| {
            self.app.is_none_or(|app| identity.app_id == app)
                && self.device.is_none_or(|device| identity.device_id == device)
        })
    }
}

/// Who asked, where that was proven and can be known.
pub(super) fn identity(archive: &dyn Archive, record: &Record) -> Option<Identity> {
    let Event::Decision(decision) = &record.event else { return None };
    match &decision.who {
        Who::Unknown => None,
        Who::Open(identity) => Some(identity.clone()),
        Who::Sealed(id) => {
            let bytes = archive.blob(id).ok()?;
            (kms_ledger::BlobId::of(&bytes) == *id).then_some(())?;
            SealedIdentity::decode(&bytes).ok().map(|sealed| sealed.identity)
        }
    }
}
