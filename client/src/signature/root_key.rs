//! The public key of the KMS root signer, as the chain names it.

use std::fmt;
use std::str::FromStr;

use k256::CompressedPoint;
use k256::ecdsa::VerifyingKey;

use super::statement::COMPRESSED_POINT_LEN;
use super::verify::{SignatureCode, SignatureDeny};

/// The form of a key.
const FORM: &str = "a point of secp256k1, 33 bytes compressed or 65 uncompressed";

/// The public key of a KMS root signer: `kmsInfo().k256Pubkey` of the `DstackKms` contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmsRootKey(VerifyingKey);

impl KmsRootKey {
    /// From a point in either form of SEC 1.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, SignatureDeny> {
        let key = VerifyingKey::from_sec1_bytes(bytes);
        key.map(Self).map_err(|_| malformed(&format!("{} other bytes", bytes.len())))
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

fn malformed(found: &str) -> SignatureDeny {
    SignatureDeny::new(SignatureCode::RootKeyMalformed, found, FORM)
}

impl fmt::Display for KmsRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_compressed()))
    }
}

impl FromStr for KmsRootKey {
    type Err = SignatureDeny;

    fn from_str(text: &str) -> Result<Self, SignatureDeny> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).map_err(|_| malformed("no hexadecimal"))?;
        Self::from_sec1(&bytes)
    }
}
