//! A P-256 key of the simulator: derived from the seed, deterministic in what it signs.
//!
//! ring draws ECDSA nonces at random, which would make no two runs alike, so these signatures are p256's, whose
//! nonces are those of RFC 6979. Verification is the production code's affair.

use anyhow::Context as _;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use crate::seed::Seed;

/// A P-256 key pair.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedKey {
    key: SigningKey,
    /// The public point: `04 || x || y`.
    point: Vec<u8>,
}

impl SimulatedKey {
    /// The key of that name.
    pub(crate) fn derive(seed: &Seed, label: &str) -> anyhow::Result<Self> {
        // One candidate in 2^32 is not below the group's order.
        let candidate =
            |attempt| SigningKey::from_slice(&seed.bytes::<32>(&format!("key/{label}/{attempt}"))).ok();
        let key = (0..4).find_map(candidate).context("no P-256 key in four candidates")?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Self { key, point })
    }

    /// The public key as quotes carry it: `x || y`.
    pub(crate) fn public(&self) -> anyhow::Result<[u8; 64]> {
        let coordinates = self.point.strip_prefix(&[4]).context("an uncompressed point begins with 04")?;
        coordinates.try_into().context("a P-256 point has two coordinates of 32 bytes")
    }

    /// The signature as quotes and collateral carry it: `r || s`.
    pub(crate) fn sign_raw(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.key.sign(message);
        signature.to_bytes().into()
    }
}

impl rcgen::PublicKeyData for SimulatedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SimulatedKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}
