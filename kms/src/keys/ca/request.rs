//! What may be asked for: parsed, not yet granted.

use std::collections::BTreeSet;

use kms_attestation::ratls::Extension;
use p256::pkcs8::DecodePublicKey as _;

use super::deny::{self, CertificateDeny};
use super::name::DnsName;
use super::policy::{LeafUsage, Lifetime};

/// The public key of a leaf: P-256, a point on the curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPublicKey(Vec<u8>);

impl LeafPublicKey {
    /// From a SubjectPublicKeyInfo in DER.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, CertificateDeny> {
        let key = p256::PublicKey::from_public_key_der(der).map_err(|_| deny::public_key())?;
        Ok(Self(key.to_sec1_bytes().into_vec()))
    }
}

impl rcgen::PublicKeyData for LeafPublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// What an app asks of its CA. That the requester has the private key is the caller's to check, by the connection or by
/// the signature of a CSR.
#[derive(Debug, Clone)]
pub struct LeafRequest {
    /// The key to certify.
    pub public_key: LeafPublicKey,
    /// The names to certify.
    pub names: BTreeSet<DnsName>,
    /// What for.
    pub usages: BTreeSet<LeafUsage>,
    /// For how long.
    pub lifetime: Lifetime,
}

/// What a node asks of the root CA for itself.
#[derive(Debug, Clone)]
pub struct NodeRequest {
    /// The node's TLS key.
    pub public_key: LeafPublicKey,
    /// The names that clients reach it by.
    pub names: BTreeSet<DnsName>,
    /// For how long; the policy's longest leaf bounds it.
    pub lifetime: Lifetime,
    /// Its attestation, from `kms_attestation::ratls`.
    pub evidence: Vec<Extension>,
}
