//! The public key of the KMS root signer, as the chain names it.

use std::fmt;
use std::str::FromStr;

use k256::CompressedPoint;
use k256::ecdsa::VerifyingKey;

use super::statement::COMPRESSED_POINT_LEN;

/// Bytes that are no root public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{code}: not the public key of a KMS root signer (found {found}; expected a point of secp256k1, 33 bytes \
     compressed or 65 uncompressed); read it from kmsInfo().k256Pubkey of the DstackKms contract",
    code = Self::CODE
)]
pub struct RootKeyError {
    /// What was found instead.
    pub found: String,
}

impl RootKeyError {
    /// The stable code.
    pub const CODE: &str = "root-key-malformed";
}

/// The public key of a KMS root signer: `kmsInfo().k256Pubkey` of the `DstackKms` contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmsRootKey(VerifyingKey);

impl KmsRootKey {
    /// From a point in either form of SEC 1.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, RootKeyError> {
        let key = VerifyingKey::from_sec1_bytes(bytes);
        key.map(Self).map_err(|_| RootKeyError { found: format!("{} other bytes", bytes.len()) })
    }

    /// The compressed point.
    #[must_use]
    pub fn to_compressed(&self) -> [u8; COMPRESSED_POINT_LEN] {
        CompressedPoint::from(self.0).into()
    }

    pub(super) fn of_recovered(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for KmsRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_compressed()))
    }
}

impl FromStr for KmsRootKey {
    type Err = RootKeyError;

    fn from_str(text: &str) -> Result<Self, RootKeyError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).map_err(|_| RootKeyError { found: "no hexadecimal".to_owned() })?;
        Self::from_sec1(&bytes)
    }
}
