//! An app's env key, X25519: the public half for owners, the private half for the app.

use std::fmt;
use std::str::FromStr;

use x25519_dalek::{PublicKey, StaticSecret};

use super::error::{self, EnvError};
use crate::secret::Secret;

/// The public half: what an owner encrypts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvPublicKey([u8; 32]);

impl EnvPublicKey {
    /// The u-coordinate in the 32 bytes of RFC 7748. A point of small order is refused when it is encrypted to.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of RFC 7748.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for EnvPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for EnvPublicKey {
    type Err = EnvError;

    fn from_str(text: &str) -> Result<Self, EnvError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 32];
        let found = || error::key(format_args!("{} characters", text.chars().count()));
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| found())?;
        Ok(Self(bytes))
    }
}

/// The private half. As secret as everything that was ever encrypted to it.
pub struct EnvPrivateKey(Secret<32>);

impl EnvPrivateKey {
    /// From the 32 bytes of RFC 7748, clamped only when used.
    #[must_use]
    pub fn new(bytes: Secret<32>) -> Self {
        Self(bytes)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> EnvPublicKey {
        EnvPublicKey(PublicKey::from(&self.scalar()).to_bytes())
    }

    /// The private bytes, for the release to the app and for opening blobs.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(super) fn scalar(&self) -> StaticSecret {
        StaticSecret::from(*self.0.expose())
    }
}
