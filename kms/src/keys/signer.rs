//! The KMS root signer: endorses the public keys of apps, so that anyone can check them with the chain alone.
//!
//! What is signed is `kms_client::signature`'s to define. Signatures are deterministic (RFC 6979): the same statement
//! has the same signature on every node, and no bad randomness can give the key away.

use k256::Secp256k1;
use k256::ecdsa::{SigningKey, VerifyingKey};
use k256::elliptic_curve::Curve;
use kms_attestation::ids::{AppId, RootEpoch};
use kms_client::secret::Secret;
use kms_client::signature::{
    AppKeyStatement, COMPRESSED_POINT_LEN, KmsRootKey, RecoverableSignature, SIGNATURE_LEN,
};

use super::error::KeyError;
use super::scalar;

/// A private scalar of secp256k1 from derived bytes.
pub(super) fn scalar(wide: &Secret<48>) -> Result<Secret<32>, KeyError> {
    scalar::reduce(wide, Secp256k1::ORDER.as_ref())
}

/// The key with that scalar.
pub(super) fn key_of(scalar: &Secret<32>) -> Result<SigningKey, KeyError> {
    SigningKey::from_slice(scalar.expose()).map_err(|_| KeyError::derivation("secp256k1 key"))
}

/// The compressed point of a public key.
pub(super) fn compressed(key: &VerifyingKey) -> [u8; COMPRESSED_POINT_LEN] {
    k256::CompressedPoint::from(key).into()
}

/// The root signer of one epoch.
pub struct RootSigner {
    epoch: RootEpoch,
    key: SigningKey,
    public_key: KmsRootKey,
}

impl RootSigner {
    pub(super) fn from_wide(epoch: RootEpoch, wide: &Secret<48>) -> Result<Self, KeyError> {
        let key = key_of(&scalar(wide)?)?;
        let public_key = KmsRootKey::from_sec1(&compressed(key.verifying_key()))
            .map_err(|_| KeyError::derivation("root public key"))?;
        Ok(Self { epoch, key, public_key })
    }

    /// The public half, as the chain names it.
    #[must_use]
    pub fn public_key(&self) -> KmsRootKey {
        self.public_key
    }

    /// "This is the signing key of that app."
    pub fn endorse_app_key(
        &self,
        app_id: AppId,
        public_key: [u8; COMPRESSED_POINT_LEN],
    ) -> Result<RecoverableSignature, KeyError> {
        self.sign(&AppKeyStatement { app_id, epoch: self.epoch, public_key }.digest())
    }

    /// Signs the digest of a statement.
    pub(super) fn sign(&self, digest: &[u8; 32]) -> Result<RecoverableSignature, KeyError> {
        let (signature, recovery) = self.key.sign_prehash_recoverable(digest);
        let mut bytes = [recovery.to_byte(); SIGNATURE_LEN];
        let (scalars, _) = bytes.split_at_mut(SIGNATURE_LEN - 1);
        scalars.copy_from_slice(&signature.to_bytes());
        RecoverableSignature::from_bytes(&bytes).map_err(|_| KeyError::derivation("signature"))
    }
}
