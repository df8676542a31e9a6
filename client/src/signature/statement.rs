//! The statements, byte for byte as they are signed.
//!
//! ```text
//! digest = Keccak-256(field(context) || field(app id, 20) || field(root epoch, u32 BE) || ...)
//! app key: context "onchain-kms/app-key/v1", then field(public key, 33, compressed SEC1)
//! env key: context "onchain-kms/env-key/v1", then field(timestamp, u64 BE, Unix seconds) || field(public key, 32)
//! field(x) = length of x in bytes, u32 big endian || x
//! ```

use kms_attestation::ids::{AppId, RootEpoch};
use sha3::{Digest, Keccak256};

use crate::env::EnvPublicKey;
use crate::field::fields;

/// The first field of an app key's statement.
const APP_KEY_CONTEXT: &str = "onchain-kms/app-key/v1";
/// The first field of an env key's statement.
const ENV_KEY_CONTEXT: &str = "onchain-kms/env-key/v1";

/// The length of a compressed point of secp256k1.
pub const COMPRESSED_POINT_LEN: usize = 33;

/// "This is the signing key of that app, under the root of that epoch."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppKeyStatement {
    /// Whose key.
    pub app_id: AppId,
    /// Under which root.
    pub epoch: RootEpoch,
    /// The key: a compressed point of secp256k1.
    pub public_key: [u8; COMPRESSED_POINT_LEN],
}

impl AppKeyStatement {
    /// The bytes that are hashed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let epoch = self.epoch.to_be_bytes();
        fields(&[APP_KEY_CONTEXT.as_bytes(), self.app_id.as_bytes(), &epoch, &self.public_key])
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Keccak256::digest(self.message()).into()
    }
}

/// "This is the key to encrypt that app's environment to, under the root of that epoch, as of that time."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvKeyStatement {
    /// Whose key.
    pub app_id: AppId,
    /// Under which root.
    pub epoch: RootEpoch,
    /// When it was said, in Unix seconds.
    pub timestamp: u64,
    /// The key.
    pub public_key: EnvPublicKey,
}

impl EnvKeyStatement {
    /// The bytes that are hashed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let (epoch, time) = (self.epoch.to_be_bytes(), self.timestamp.to_be_bytes());
        let key = self.public_key.as_bytes();
        fields(&[ENV_KEY_CONTEXT.as_bytes(), self.app_id.as_bytes(), &epoch, &time, key])
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Keccak256::digest(self.message()).into()
    }
}
