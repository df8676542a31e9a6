//! Checking a statement's signature against the root key that the chain names.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

use kms_attestation::refusal::Refusal;

use super::root_key::KmsRootKey;
use super::statement::{AppKeyStatement, EnvKeyStatement};

/// The length of a signature: `r || s || v`.
pub const SIGNATURE_LEN: usize = 65;

kms_attestation::deny_codes! {
    /// Why a statement, or the key it is checked with, does not count.
    pub enum SignatureCode {
        Malformed = "signature-malformed", Evidence,
            "The signature is not one that the KMS makes.",
            "Send the signature as the node made it: r || s || v, v 0 or 1, s in the lower half.";
        WrongSigner = "signature-wrong-signer", Evidence,
            "The signature is of another key, or over another statement: the two cannot be told apart.",
            "Check app id, root epoch and key, and that the node belongs to this chain's DstackKms contract.";
        Stale = "signature-stale", Evidence,
            "The statement was made too long ago: perhaps it is replayed.",
            "Ask the node again.";
        FromTheFuture = "signature-from-the-future", Evidence,
            "The statement was made in the future.",
            "Check this machine's clock.";
        RootKeyMalformed = "root-key-malformed", Request,
            "Not the public key of a KMS root signer.",
            "Read it from kmsInfo().k256Pubkey of the DstackKms contract.";
    }
}

/// Why a statement does not count.
pub type SignatureDeny = Refusal<SignatureCode>;

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
    fn check(self, said: u64, now: u64) -> Result<(), SignatureDeny> {
        let (age, ahead) = (now.saturating_sub(said), said.saturating_sub(now));
        if age > self.max_age_secs {
            let expected = format_args!("at most {} s", self.max_age_secs);
            return Err(SignatureDeny::new(
                SignatureCode::Stale,
                format_args!("an age of {age} s"),
                expected,
            ));
        }
        if ahead > self.max_skew_secs {
            let expected = format_args!("at most {} s ahead", self.max_skew_secs);
            return Err(SignatureDeny::new(
                SignatureCode::FromTheFuture,
                format_args!("{ahead} s ahead"),
                expected,
            ));
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
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureDeny> {
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

    fn check(&self, digest: &[u8; 32], expected: &KmsRootKey) -> Result<(), SignatureDeny> {
        let found = VerifyingKey::recover_from_prehash(digest, &self.signature, self.recovery)
            .map_err(|_| malformed("no point for r"))?;
        let found = KmsRootKey::of_recovered(found);
        if found != *expected {
            let found = format_args!("the key {found}");
            return Err(SignatureDeny::new(
                SignatureCode::WrongSigner,
                found,
                format_args!("the KMS root key {expected}"),
            ));
        }
        Ok(())
    }
}

fn malformed(found: &str) -> SignatureDeny {
    SignatureDeny::new(SignatureCode::Malformed, found, "65 bytes r || s || v of secp256k1")
}

impl AppKeyStatement {
    /// Refuses a statement that the root signer did not make.
    pub fn verify(&self, signature: &RecoverableSignature, root: &KmsRootKey) -> Result<(), SignatureDeny> {
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
    ) -> Result<(), SignatureDeny> {
        signature.check(&self.digest(), root)?;
        freshness.check(self.timestamp, now)
    }
}
