//! What tests of this crate share: a signer whose key is a fixed seed.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::note::{KeyName, LogKey, LogSigner, WitnessKey};

pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn log_key(&self, name: &str) -> LogKey {
        LogKey::new(name.parse().unwrap(), self.public_key())
    }

    pub(crate) fn witness_key(&self, name: &str) -> WitnessKey {
        WitnessKey::new(name.parse().unwrap(), self.public_key())
    }
}

impl LogSigner for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

pub(crate) fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

/// The same bytes with one of them changed, once for each place.
pub(crate) fn changed_bytes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        changed
    })
}
