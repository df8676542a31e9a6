//! `kmsctl env`: an app's environment variables, encrypted to the app's env key, and opened again.
//!
//! Owns reading variables (`.env` files, `NAME=value`) and files of keys and blobs; the formats are `kms_client::env`'s.
//! No value of a variable ever stands in an error.

mod args;
mod decrypt;
mod dotenv;
mod encrypt;
mod error;
mod files;

pub(crate) use self::args::EnvCommand;
pub(crate) use self::error::EnvCommandError;
use crate::error::CtlError;
use crate::outcome::Outcome;

/// Runs one of the commands.
pub(crate) fn run(command: &EnvCommand) -> Result<Outcome, CtlError> {
    Ok(match command {
        EnvCommand::Encrypt(args) => encrypt::encrypt(args)?,
        EnvCommand::Decrypt(args) => decrypt::decrypt(args)?,
    })
}
