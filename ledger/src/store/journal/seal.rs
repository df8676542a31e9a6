//! What makes the journal the node's own: a MAC under a key that the host of the node does not have.
//!
//! ```text
//! key of a log = HMAC-SHA256(journal key, field("onchain-kms/journal/key/v2") | field(origin) | field(log's public key))
//! tag          = HMAC-SHA256(key of the log, context | bytes)
//! ```
//!
//! A log has a key of its own, so that nothing of another log of the same node passes. Owns the keys and never shows them:
//! no `Debug`, no `Clone`, wiped when dropped. Called by the journal alone; the node derives the key with which it starts.
//! Threat: a host that writes into the journal what the node never decided, and has the node publish and sign it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::note::LogKey;

const LOG_CONTEXT: &[u8] = b"onchain-kms/journal/key/v2";
/// The bytes of a tag.
pub(super) const TAG_BYTES: usize = 32;
/// The bytes of a block of SHA-256: HMAC fills a shorter key with zeros.
const BLOCK_BYTES: usize = 64;

/// The secret that the journals of a node are authenticated with: 32 bytes that only the node can derive.
///
/// What is kept of it are states of SHA-256, which wipe themselves.
pub struct JournalKey(Hmac<Sha256>);

impl JournalKey {
    /// The key with these secret bytes; the caller wipes them.
    #[must_use]
    pub fn new(secret: &[u8; TAG_BYTES]) -> Self {
        Self(keyed(secret))
    }
}

/// What one log's journal is authenticated with.
pub(in crate::store) struct Seal(Hmac<Sha256>);

impl Seal {
    /// The seal of the log with this key.
    pub(in crate::store) fn of(key: &JournalKey, log: &LogKey) -> Self {
        let mut mac = key.0.clone();
        for field in [LOG_CONTEXT, log.name().as_str().as_bytes(), log.public_key()] {
            // A name has at most 255 bytes.
            mac.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(field);
        }
        let secret = Zeroizing::new(<[u8; TAG_BYTES]>::from(mac.finalize().into_bytes()));
        Self(keyed(&secret))
    }

    /// The tag of these bytes.
    pub(super) fn tag(&self, context: &[u8], bytes: &[&[u8]]) -> [u8; TAG_BYTES] {
        self.mac(context, bytes).finalize().into_bytes().into()
    }

    /// Whether the tag is that of these bytes. Takes as long for any tag.
    pub(super) fn holds(&self, context: &[u8], bytes: &[&[u8]], tag: &[u8; TAG_BYTES]) -> bool {
        self.mac(context, bytes).verify(tag.into()).is_ok()
    }

    fn mac(&self, context: &[u8], bytes: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(context);
        for bytes in bytes {
            mac.update(bytes);
        }
        mac
    }
}

fn keyed(secret: &[u8; TAG_BYTES]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    block.iter_mut().zip(secret).for_each(|(slot, byte)| *slot = *byte);
    Hmac::new((&*block).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_not_impl_any!(JournalKey: std::fmt::Debug, std::fmt::Display, Clone, PartialEq);
    static_assertions::assert_not_impl_any!(Seal: std::fmt::Debug, std::fmt::Display, Clone, PartialEq);
    // An HMAC is two states of this, and its buffer; the type itself does not say so.
    static_assertions::assert_impl_all!(Sha256: zeroize::ZeroizeOnDrop);

    fn log(name: &str, key: u8) -> LogKey {
        LogKey::new(name.parse().unwrap(), [key; 32])
    }

    #[test]
    fn tag__should_match_an_independent_computation() {
        // python3: k = hmac.digest(bytes([7]) * 32, b"".join(struct.pack(">I", len(f)) + f for f in
        //     [b"onchain-kms/journal/key/v2", b"log.example", bytes([9]) * 32]), "sha256")
        // hmac.digest(k, b"context" + b"one" + b"two", "sha256").hex()
        let seal = Seal::of(&JournalKey::new(&[7; 32]), &log("log.example", 9));
        assert_eq!(
            hex::encode(seal.tag(b"context", &[b"one", b"two"])),
            "975a68557ccfba36b40920c3f956743147fe38b33c18457968feb15e31eb65a2"
        );
    }

    #[test]
    fn tag__should_be_refused_of_another_log_key_context_or_text() {
        let seal = Seal::of(&JournalKey::new(&[7; 32]), &log("log.example", 9));
        let tag = seal.tag(b"context", &[b"text"]);
        assert!(seal.holds(b"context", &[b"te", b"xt"], &tag));
        assert!(!seal.holds(b"another", &[b"text"], &tag) && !seal.holds(b"context", &[b"test"], &tag));
        for (key, log) in [(8, log("log.example", 9)), (7, log("log.exampl", 9)), (7, log("log.example", 8))]
        {
            assert!(!Seal::of(&JournalKey::new(&[key; 32]), &log).holds(b"context", &[b"text"], &tag));
        }
    }
}
