//! An app's environment, encrypted so that only the app can read it.
//!
//! ```text
//! NAME=value ... ─▶ EnvVars ─▶ JSON ─▶ seal (native | dstack) ─▶ blob, stored by a host that nobody trusts
//!                                                                      │
//!                  EnvVars ◀─ JSON ◀─ open (native | dstack) ◀─────────┘  in the guest, with the app's env key
//! ```
//!
//! Owns both blob formats and the plaintext. Never decides which variables an app may be given: the measured
//! `allowed_envs` of `app-compose.json` does. The owner encrypts with `kmsctl`, the guest's boot opens.
//!
//! Threats: a host that reads the environment; one that gives an app another app's blob, or one of another epoch (the
//! native format binds both; dstack's binds neither). Not answered here: the key is public, so anyone can encrypt *an*
//! environment, and the host can serve an older blob. See `docs/KEYS.md`.

mod dstack;
mod error;
mod key;
mod native;
mod vars;

use kms_attestation::ids::{AppId, RootEpoch};

pub use self::error::{EnvCode, EnvError};
pub use self::key::{EnvPrivateKey, EnvPublicKey};
pub use self::vars::{EnvName, EnvVars, MAX_NAME_BYTES, MAX_VARS};

/// The largest blob, in bytes. A Linux process can be given some 2 MiB of environment; this is for secrets, not files.
pub const MAX_BLOB_BYTES: usize = 256 * 1024;

/// Which environment a blob is: authenticated in the native format, not at all in dstack's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvContext {
    /// Whose environment.
    pub app_id: AppId,
    /// Under which root the key was derived.
    pub epoch: RootEpoch,
}

/// The form of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFormat {
    /// Ours: HPKE, bound to app and root epoch.
    Native,
    /// dstack's: X25519 and AES-256-GCM, bound to nothing but the key.
    Dstack,
}

impl EnvVars {
    /// Encrypts to an app's public key.
    ///
    /// Errors when the environment is too large, or the key is one that no honest party has. Panics only where the
    /// operating system has no randomness, on which nothing else could be built either.
    pub fn seal(
        &self,
        format: BlobFormat,
        context: &EnvContext,
        key: &EnvPublicKey,
    ) -> Result<Vec<u8>, EnvError> {
        let plaintext = self.to_plaintext()?;
        let blob = match format {
            BlobFormat::Native => native::seal(&plaintext, context, key)?,
            BlobFormat::Dstack => dstack::seal(&plaintext, key)?,
        };
        check_size("a blob", blob.len())?;
        Ok(blob)
    }

    /// Decrypts with the app's private key.
    ///
    /// Errors do not tell a wrong key from a changed blob: neither does the cipher. They never repeat any plaintext.
    pub fn open(
        blob: &[u8],
        format: BlobFormat,
        context: &EnvContext,
        key: &EnvPrivateKey,
    ) -> Result<Self, EnvError> {
        check_size("a blob", blob.len())?;
        let plaintext = match format {
            BlobFormat::Native => native::open(blob, context, key)?,
            BlobFormat::Dstack => dstack::open(blob, key)?,
        };
        Self::from_plaintext(&plaintext)
    }
}

/// The root epoch that a native blob claims; not authenticated until it is opened.
///
/// For a guest that may hold keys of several epochs, and for people who look at a file.
pub fn claimed_epoch(blob: &[u8]) -> Result<RootEpoch, EnvError> {
    native::Blob::parse(blob).map(|blob| blob.epoch)
}

fn check_size(what: &'static str, found: usize) -> Result<(), EnvError> {
    if found > MAX_BLOB_BYTES {
        return Err(error::too_large(what, found, MAX_BLOB_BYTES));
    }
    Ok(())
}
