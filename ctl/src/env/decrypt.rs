//! `kmsctl env decrypt`.

use kms_attestation::ids::RootEpoch;
use kms_client::env::{EnvContext, EnvError, EnvVars, claimed_epoch};

use super::args::{DecryptArgs, Format};
use super::error::EnvCommandError;
use super::{dotenv, files};
use crate::error::CtlError;
use crate::input;
use crate::outcome::Outcome;

/// Opens a blob and writes the variables as a `.env` file.
pub(super) fn decrypt(args: &DecryptArgs) -> Result<Outcome, CtlError> {
    let key = files::read_key(&args.key_file)?;
    let blob = input::bytes_or_hex(input::read(&args.blob)?);
    let epoch = epoch(&blob, args.format).map_err(EnvCommandError::from)?;
    let context = EnvContext { app_id: args.app, epoch };
    let vars = EnvVars::open(&blob, args.format.into(), &context, &key).map_err(EnvCommandError::from)?;
    files::write(&args.output, dotenv::write(&vars).as_bytes(), files::Readers::Owner, args.force)
}

/// The epoch that the blob claims, and proves by opening; dstack's names none.
fn epoch(blob: &[u8], format: Format) -> Result<RootEpoch, EnvError> {
    match format {
        Format::Native => claimed_epoch(blob),
        Format::Dstack => Ok(RootEpoch::FIRST),
    }
}
