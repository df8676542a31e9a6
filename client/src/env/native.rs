//! The native blob: HPKE (RFC 9180), base mode, bound to app and root epoch.
//!
//! ```text
//! blob = version (1 byte, 1) || root epoch (u32 BE) || enc (32) || ciphertext and tag
//! suite: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, ChaCha20Poly1305 0x0003
//! info = "onchain-kms/env/v1"
//! aad  = field(app id, 20) || field(root epoch, u32 BE)
//! ```

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use kms_attestation::ids::RootEpoch;
use zeroize::Zeroizing;

use super::EnvContext;
use super::error::{self, EnvError};
use super::key::{EnvPrivateKey, EnvPublicKey};
use crate::field::fields;

/// The first byte of a blob.
const VERSION: u8 = 1;
/// The `info` of HPKE: the version of everything around it.
const INFO: &[u8] = b"onchain-kms/env/v1";
const EPOCH_LEN: usize = 4;
const ENC_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// The smallest blob: an empty plaintext.
const MIN_LEN: usize = 1 + EPOCH_LEN + ENC_LEN + TAG_LEN;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// The parts of a blob, not yet opened.
pub(super) struct Blob<'a> {
    pub(super) epoch: RootEpoch,
    enc: &'a [u8; ENC_LEN],
    ciphertext: &'a [u8],
}

impl<'a> Blob<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, EnvError> {
        let truncated = error::truncated(bytes.len(), MIN_LEN);
        let (version, rest) = bytes.split_first().ok_or(truncated.clone())?;
        if *version != VERSION {
            return Err(error::version(*version, VERSION));
        }
        let (epoch, rest) = rest.split_first_chunk::<EPOCH_LEN>().ok_or(truncated.clone())?;
        let (enc, ciphertext) = rest.split_first_chunk::<ENC_LEN>().ok_or(truncated.clone())?;
        if ciphertext.len() < TAG_LEN {
            return Err(truncated);
        }
        Ok(Self { epoch: RootEpoch(u32::from_be_bytes(*epoch)), enc, ciphertext })
    }
}

fn aad(context: &EnvContext) -> Vec<u8> {
    fields(&[context.app_id.as_bytes(), &context.epoch.to_be_bytes()])
}

pub(super) fn seal(plaintext: &[u8], context: &EnvContext, key: &EnvPublicKey) -> Result<Vec<u8>, EnvError> {
    let recipient = PublicKey::from_bytes(key.as_bytes()).map_err(|_| error::small_order())?;
    let (enc, ciphertext) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        INFO,
        plaintext,
        &aad(context),
    )
    .map_err(|error| match error {
        hpke::HpkeError::EncapError => error::small_order(),
        _ => error::not_sealed(),
    })?;
    Ok([&[VERSION][..], &context.epoch.to_be_bytes(), &enc.to_bytes(), &ciphertext].concat())
}

pub(super) fn open(
    blob: &[u8],
    context: &EnvContext,
    key: &EnvPrivateKey,
) -> Result<Zeroizing<Vec<u8>>, EnvError> {
    let blob = Blob::parse(blob)?;
    if blob.epoch != context.epoch {
        return Err(error::epoch(blob.epoch, context.epoch));
    }
    open_with(key, blob.enc, INFO, &aad(context), blob.ciphertext)
}

fn open_with(
    key: &EnvPrivateKey,
    enc: &[u8; ENC_LEN],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvError> {
    let recipient = PrivateKey::from_bytes(key.expose()).map_err(|_| error::not_opened())?;
    let enc = EncappedKey::from_bytes(enc).map_err(|_| error::not_opened())?;
    let plaintext = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &recipient,
        &enc,
        info,
        ciphertext,
        aad,
    );
    plaintext.map(Zeroizing::new).map_err(|_| error::not_opened())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn suite__should_open_the_vector_of_rfc_9180_appendix_a_2_1() {
        let bytes = |text| hex::decode(text).unwrap();
        let key = bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let key = EnvPrivateKey::new(Secret::copy_of(&key).unwrap());
        let public = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
        assert_eq!(key.public_key().to_string(), public);
        let enc = bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let ciphertext = bytes(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        );
        let info = b"Ode on a Grecian Urn";
        let plaintext =
            open_with(&key, enc.as_slice().try_into().unwrap(), info, b"Count-0", &ciphertext).unwrap();
        assert_eq!(plaintext.as_slice(), b"Beauty is truth, truth beauty");
    }
}
