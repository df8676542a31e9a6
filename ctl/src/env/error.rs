//! What keeps `kmsctl env` from its work. Names at most, never values.

use std::path::PathBuf;

use kms_client::env::{EnvCode, EnvError};
use kms_client::signature::SignatureDeny;

use crate::outcome::Exit;

/// What keeps `kmsctl env` from its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvCommandError {
    /// A line of a `.env` file, or a `NAME=VALUE`, that is neither.
    #[error("{place}: {found} (expected NAME=value; see kmsctl env encrypt --help)")]
    Line { place: String, found: &'static str },
    /// A variable that the app would not be given.
    #[error("{name} is not in allowed_envs of {}; add it there, which changes the compose hash, or leave it out", .path.display())]
    NotAllowed { name: String, path: PathBuf },
    /// The compose file has no list of names.
    #[error("{} has no allowed_envs that is a list of names; kmsctl compose build writes one", .path.display())]
    NoAllowedEnvs { path: PathBuf },
    /// The key file holds no key.
    #[error("{} is no private key: expected 32 bytes, or 64 hexadecimal digits", .path.display())]
    KeyFile { path: PathBuf },
    /// The signature is no hexadecimal.
    #[error("--signature: expected 65 bytes in hexadecimal")]
    SignatureHex,
    /// The public key is not proven to be the app's.
    #[error("the public key is not proven to be this app's: {0}; {fix}", fix = .0.code.fix())]
    Unproven(#[from] SignatureDeny),
    /// The variables cannot be encrypted or opened.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Env(#[from] EnvError),
}

impl EnvCommandError {
    /// The exit code: what does not prove itself is refused, the rest is for the person at the keyboard to mend.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unproven(_) | Self::NotAllowed { .. } => Exit::Refused,
            Self::Env(error) if error.code == EnvCode::NotOpened => Exit::Refused,
            _ => Exit::Usage,
        }
    }
}
