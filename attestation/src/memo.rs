//! Remembers ECDSA P-256 signatures that have been verified, so that the same bytes are not verified again.
//!
//! A signature check is a pure function of key, message and signature: an answer "valid" stays right for ever.
//! Six of the nine checks that one quote needs are over collateral, which is the same for every quote of a kind
//! of platform. Everything that can change with time (validity periods, revocation, TCB levels, policy) is
//! evaluated anew for every quote by the code around this; only the curve arithmetic is saved.
//!
//! Entries are compared byte for byte, not by a hash of them. They are learned while collateral is loaded, and
//! dropped with it. What a quote adds lives for that one verification, where the checks of this crate and those of
//! the quote verifier meet the same signatures; of a quote that was found genuine, the signatures of its platform
//! (`platforms`) are kept. Nothing stays that an outsider without genuine hardware sends.

use std::cell::RefCell;
use std::sync::Arc;

use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::crypto::RingCrypto;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// The largest number of signatures that one memo holds. Collateral has six or seven, a quote's chain three.
const MAX_ENTRIES: usize = 16;

thread_local! {
    /// The memos of the verification that runs on this thread, if any.
    static ACTIVE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

#[derive(PartialEq, Eq)]
struct Entry {
    public_key: Box<[u8]>,
    message: Box<[u8]>,
    signature: Box<[u8]>,
}

impl Entry {
    fn is(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        *self.signature == *signature && *self.public_key == *public_key && *self.message == *message
    }
}

/// Signatures that are known to be valid.
#[derive(Default)]
pub(crate) struct SignatureMemo(Vec<Entry>);

impl std::fmt::Debug for SignatureMemo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignatureMemo({} signatures)", self.0.len())
    }
}

impl SignatureMemo {
    fn knows(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.0.iter().any(|entry| entry.is(public_key, message, signature))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that were made by one of these keys.
    pub(crate) fn by_keys(mut self, public_keys: &[&[u8]]) -> Self {
        self.0.retain(|entry| public_keys.contains(&&*entry.public_key));
        self
    }

    /// These, and as many of the others as there is room for.
    pub(crate) fn with(mut self, others: &Self) -> Self {
        for Entry { public_key, message, signature } in &others.0 {
            self.learn(public_key, message, signature);
        }
        self
    }

    fn learn(&mut self, public_key: &[u8], message: &[u8], signature: &[u8]) {
        if self.0.len() < MAX_ENTRIES {
            let [public_key, message, signature] = [public_key, message, signature].map(Box::from);
            self.0.push(Entry { public_key, message, signature });
        }
    }
}

struct Scope {
    known: Vec<Arc<SignatureMemo>>,
    learned: SignatureMemo,
}

impl Scope {
    fn knows(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let mut memos = self.known.iter().map(|memo| &**memo).chain([&self.learned]);
        memos.any(|memo| memo.knows(public_key, message, signature))
    }
}

/// Puts the thread's former scope back, also when the verification unwinds.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        ACTIVE.set(self.0.take());
    }
}

/// Runs a verification that takes the signatures in `known` as verified, and each further one at most once.
/// Returns what the verification returned, and the signatures that it verified itself.
pub(crate) fn scoped<T>(
    known: Vec<Arc<SignatureMemo>>,
    verification: impl FnOnce() -> T,
) -> (T, SignatureMemo) {
    let scope = Scope { known, learned: SignatureMemo::default() };
    let restore = Restore(ACTIVE.replace(Some(scope)));
    let result = verification();
    let learned = ACTIVE.take().map(|scope| scope.learned).unwrap_or_default();
    drop(restore);
    (result, learned)
}

/// ECDSA P-256 with SHA-256 on ring, through the memos of the running verification.
#[derive(Debug)]
pub(crate) struct MemoisedP256;

impl SignatureVerificationAlgorithm for MemoisedP256 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let known = ACTIVE.with_borrow(|scope| {
            scope.as_ref().is_some_and(|scope| scope.knows(public_key, message, signature))
        });
        if known {
            return Ok(());
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)?;
        ACTIVE.with_borrow_mut(|scope| {
            if let Some(scope) = scope {
                scope.learned.learn(public_key, message, signature);
            }
        });
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

/// The quote verifier's own parsers and hashes, with [`MemoisedP256`] for signatures.
pub(crate) struct MemoisedConfig;

impl Config for MemoisedConfig {
    type X509 = dcap_qvl::x509::X509CertBackend;
    type SigEncoder = dcap_qvl::signature::DerSigEncoder;
    type Crypto = MemoisedCrypto;
}

/// ring, with [`MemoisedP256`] for signatures.
pub(crate) struct MemoisedCrypto;

impl CryptoProvider for MemoisedCrypto {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &MemoisedP256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        RingCrypto::sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        RingCrypto::sha384(data)
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    struct Signed {
        key: Vec<u8>,
        signature: Vec<u8>,
    }

    fn signed(message: &[u8]) -> Signed {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Signed {
            key: pair.public_key().as_ref().to_vec(),
            signature: pair.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    #[test]
    fn memo__should_learn_valid_signatures_only() {
        let Signed { key, signature } = signed(b"message");
        let ((), memo) = scoped(Vec::new(), || {
            assert!(MemoisedP256.verify_signature(&key, b"message", &signature).is_ok());
            assert!(MemoisedP256.verify_signature(&key, b"message", &signature).is_ok());
            assert!(MemoisedP256.verify_signature(&key, b"massage", &signature).is_err());
        });
        assert_eq!(memo.0.len(), 1);
        assert!(memo.knows(&key, b"message", &signature));
    }

    #[test]
    fn memo__should_answer_for_the_very_same_bytes_only() {
        let Signed { key, signature } = signed(b"message");
        let (_, memo) = scoped(Vec::new(), || MemoisedP256.verify_signature(&key, b"message", &signature));
        let other = signed(b"message");
        scoped(vec![Arc::new(memo)], || {
            assert!(MemoisedP256.verify_signature(&key, b"message", &signature).is_ok());
            assert!(MemoisedP256.verify_signature(&other.key, b"message", &signature).is_err());
            assert!(MemoisedP256.verify_signature(&key, b"message", &other.signature).is_err());
            assert!(MemoisedP256.verify_signature(&key, b"massage", &signature).is_err());
        });
    }

    #[test]
    fn memo__should_not_outlive_its_scope_even_when_that_unwinds() {
        let Signed { key, signature } = signed(b"message");
        let unwound = std::panic::catch_unwind(|| {
            scoped(Vec::new(), || {
                assert!(MemoisedP256.verify_signature(&key, b"message", &signature).is_ok());
                panic!("unwind");
            })
        });
        assert!(unwound.is_err());
        assert!(ACTIVE.with_borrow(Option::is_none));
    }

    #[test]
    fn memo__should_give_the_signatures_of_some_keys_and_join_others() {
        let [first, second] = [b"first", b"other"].map(|message| (message, signed(message)));
        let ((), both) = scoped(Vec::new(), || {
            for (message, Signed { key, signature }) in [&first, &second] {
                assert!(MemoisedP256.verify_signature(key, *message, signature).is_ok());
            }
        });
        let of_first = both.by_keys(&[&first.1.key]);
        assert_eq!(of_first.0.len(), 1);
        assert!(of_first.knows(&first.1.key, first.0, &first.1.signature));
        let joined = SignatureMemo::default().with(&of_first);
        assert!(joined.knows(&first.1.key, first.0, &first.1.signature) && !joined.is_empty());
        assert!(of_first.by_keys(&[&second.1.key]).is_empty());
    }

    #[test]
    fn memo__should_be_bounded() {
        let ((), memo) = scoped(Vec::new(), || {
            for n in 0..=MAX_ENTRIES {
                let message = n.to_le_bytes();
                let Signed { key, signature } = signed(&message);
                assert!(MemoisedP256.verify_signature(&key, &message, &signature).is_ok());
            }
        });
        assert_eq!(memo.0.len(), MAX_ENTRIES);
    }
}
