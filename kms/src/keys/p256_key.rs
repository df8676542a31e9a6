//! A P-256 key that signs certificates.
//!
//! Signatures are deterministic (RFC 6979), which ring's are not: two nodes of one root make the same certificate, and
//! no bad randomness can give the key away. rcgen sees the key through its trait and never holds a copy of it.

use kms_client::secret::Secret;
use p256::NistP256;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Curve;
use rcgen::PublicKeyData as _;

use super::error::KeyError;
use super::scalar;

/// A P-256 key pair.
pub(super) struct P256Key {
    key: SigningKey,
    /// The public point: `04 || x || y`.
    point: Vec<u8>,
}

impl P256Key {
    pub(super) fn from_wide(wide: &Secret<48>) -> Result<Self, KeyError> {
        let scalar = scalar::reduce(wide, NistP256::ORDER.as_ref())?;
        let key = SigningKey::from_slice(scalar.expose());
        let key = key.map_err(|_| KeyError::derivation("P-256 key"))?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Self { key, point })
    }

    /// The SubjectPublicKeyInfo in DER.
    pub(super) fn spki_der(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }
}

impl rcgen::PublicKeyData for P256Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for P256Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}
