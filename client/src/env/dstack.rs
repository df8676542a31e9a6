//! dstack's blob, for guests and tools that know no other: X25519 and AES-256-GCM.
//!
//! ```text
//! blob = ephemeral X25519 public key (32) || IV (12) || ciphertext and tag
//! AES key = the raw shared secret; no key derivation, no additional data
//! ```
//!
//! As published with dstack's SDKs (`encryptEnvVars`). It binds neither app nor epoch: an env key is of one app and one
//! epoch, so a blob opens for no other, but that is all that says so. New apps take the native format.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use x25519_dalek::{PublicKey, SharedSecret};
use zeroize::Zeroizing;

use super::error::{self, EnvError};
use super::key::{EnvPrivateKey, EnvPublicKey};
use crate::secret::Secret;

const POINT_LEN: usize = 32;
const TAG_LEN: usize = 16;
const MIN_LEN: usize = POINT_LEN + NONCE_LEN + TAG_LEN;

pub(super) fn seal(plaintext: &[u8], key: &EnvPublicKey) -> Result<Vec<u8>, EnvError> {
    let ephemeral = EnvPrivateKey::new(Secret::random().map_err(|_| error::no_randomness())?);
    let mut iv = [0; NONCE_LEN];
    getrandom::fill(&mut iv).map_err(|_| error::no_randomness())?;
    seal_with(plaintext, key, &ephemeral, iv)
}

fn seal_with(
    plaintext: &[u8],
    key: &EnvPublicKey,
    ephemeral: &EnvPrivateKey,
    iv: [u8; NONCE_LEN],
) -> Result<Vec<u8>, EnvError> {
    let shared = ephemeral.scalar().diffie_hellman(&PublicKey::from(*key.as_bytes()));
    let cipher = cipher(&shared).ok_or_else(error::small_order)?;
    // Encrypted in place: the plaintext is gone from this buffer when it is returned.
    let mut buffer = Zeroizing::new(plaintext.to_vec());
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), &mut buffer)
        .map_err(|_| error::not_sealed())?;
    Ok([ephemeral.public_key().as_bytes(), &iv[..], &buffer, tag.as_ref()].concat())
}

pub(super) fn open(blob: &[u8], key: &EnvPrivateKey) -> Result<Zeroizing<Vec<u8>>, EnvError> {
    let truncated = error::truncated(blob.len(), MIN_LEN);
    let (point, rest) = blob.split_first_chunk::<POINT_LEN>().ok_or(truncated.clone())?;
    let (iv, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(truncated.clone())?;
    if ciphertext.len() < TAG_LEN {
        return Err(truncated);
    }
    let cipher =
        cipher(&key.scalar().diffie_hellman(&PublicKey::from(*point))).ok_or_else(error::not_opened)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let opened = cipher.open_in_place(Nonce::assume_unique_for_key(*iv), Aad::empty(), &mut buffer);
    let length = opened.map_err(|_| error::not_opened())?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// The cipher under a shared secret, unless that secret is one that everybody knows.
fn cipher(shared: &SharedSecret) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, shared.as_bytes()).ok()?;
    shared.was_contributory().then(|| LessSafeKey::new(key))
}
