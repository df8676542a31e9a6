//! Checking a statement's signature against the root key that the chain names.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

use super::root_key::KmsRootKey;
use super::statement::{AppKeyStatement, EnvKeyStatement};

/// The length of a signature: `r || s || v`.
pub const SIGNATURE_LEN: usize = 65;

/// Why a statement does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not 65 bytes, `v` other than 0 or 1, a scalar out of range, or the larger of the two possible `s`.
    #[error(
        "{}: found {found}; expected 65 bytes r || s || v of secp256k1, v 0 or 1, s in the lower half; send the \
         signature as the node made it",
        self.code()
    )]
    Malformed {
        /// What is wrong with it.
        found: String,
    },
    /// Signed by another key, or over another statement: the two cannot be told apart.
    #[error(
        "{}: found a signature that recovers to {found}; expected the KMS root key {expected}; check app id, root \
         epoch and key, and that the node belongs to this chain's DstackKms contract",
        self.code()
    )]
    WrongSigner {
        /// The key that the signature recovers to.
        found: KmsRootKey,
        /// The key that the chain names.
        expected: KmsRootKey,
    },
    /// Said too long ago: perhaps replayed.
    #[error("{}: found an answer {found} s old; expected at most {expected} s; ask the node again", self.code())]
    Stale {
        /// Its age in seconds.
        found: u64,
        /// The greatest age that is accepted, in seconds.
        expected: u64,
    },
    /// Said in the future.
    #[error(
        "{}: found an answer from {found} s in the future; expected at most {expected} s; check this machine's clock",
        self.code()
    )]
    FromTheFuture {
        /// How far ahead, in seconds.
        found: u64,
        /// The greatest difference of clocks that is accepted, in seconds.
        expected: u64,
    },
}

impl SignatureError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "signature-malformed",
            Self::WrongSigner { .. } => "signature-wrong-signer",
            Self::Stale { .. } => "signature-stale",
            Self::FromTheFuture { .. } => "signature-from-the-future",
        }
    }
}

/// How old a dated statement may be. All in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The greatest age.
    pub max_age_secs: u64,
    /// How far the signer's clock may be ahead.
    pub max_skew_secs: u64,
}

impl Default for Freshness {
    /// Five minutes, for a person who asks and then encrypts; one minute between clocks.
    fn default() -> Self {
        Self { max_age_secs: 300, max_skew_secs: 60 }
    }
}

impl Freshness {
    fn check(self, said: u64, now: u64) -> Result<(), SignatureError> {
        let (age, ahead) = (now.saturating_sub(said), said.saturating_sub(now));
        if age > self.max_age_secs {
            return Err(SignatureError::Stale { found: age, expected: self.max_age_secs });
        }
        if ahead > self.max_skew_secs {
            return Err(SignatureError::FromTheFuture { found: ahead, expected: self.max_skew_secs });
        }
        Ok(())
    }
}

/// A signature from which the signer's public key can be recovered, in its only accepted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverableSignature {
    signature: Signature,
    recovery: RecoveryId,
}

impl RecoverableSignature {
    /// From `r || s || v`. One statement and key have one accepted signature: a larger `s`, and `v` of 27 or 28, are
    /// refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let malformed = |found: &str| SignatureError::Malformed { found: found.to_owned() };
        let bytes: &[u8; SIGNATURE_LEN] =
            bytes.try_into().map_err(|_| malformed(&format!("{} bytes", bytes.len())))?;
        let [scalars @ .., v] = bytes;
        let recovery = RecoveryId::from_byte(*v).filter(|id| !id.is_x_reduced());
        let recovery = recovery.ok_or_else(|| malformed(&format!("v = {v}")))?;
        let signature = Signature::from_slice(scalars).map_err(|_| malformed("a scalar out of range"))?;
        if signature.normalize_s() != signature {
            return Err(malformed("the larger s"));
        }
        Ok(Self { signature, recovery })
    }

    /// `r || s || v`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNATURE_LEN] {
        let mut bytes = [0; SIGNATURE_LEN];
        let (scalars, v) = bytes.split_at_mut(SIGNATURE_LEN - 1);
        scalars.copy_from_slice(&self.signature.to_bytes());
        v.fill(self.recovery.to_byte());
        bytes
    }

    fn check(&self, digest: &[u8; 32], expected: &KmsRootKey) -> Result<(), SignatureError> {
        let found = VerifyingKey::recover_from_prehash(digest, &self.signature, self.recovery)
            .map_err(|_| SignatureError::Malformed { found: "no point for r".to_owned() })?;
        let found = KmsRootKey::of_recovered(found);
        if found != *expected {
            return Err(SignatureError::WrongSigner { found, expected: *expected });
        }
        Ok(())
    }
}

impl AppKeyStatement {
    /// Refuses a statement that the root signer did not make.
    pub fn verify(&self, signature: &RecoverableSignature, root: &KmsRootKey) -> Result<(), SignatureError> {
        signature.check(&self.digest(), root)
    }
}

impl EnvKeyStatement {
    /// Refuses a statement that the root signer did not make, or made too long before `now` (Unix seconds).
    pub fn verify(
        &self,
        signature: &RecoverableSignature,
        root: &KmsRootKey,
        now: u64,
        freshness: Freshness,
    ) -> Result<(), SignatureError> {
        signature.check(&self.digest(), root)?;
        freshness.check(self.timestamp, now)
    }
}
