//! The KMS root CA: self-signed, and the same bytes on every node of the root.

use kms_attestation::hash::sha256;
use kms_attestation::ids::RootEpoch;
use kms_attestation::ratls::{usage, usage_extension};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyUsagePurpose};

use super::certificate::{self, Certified, Validity};
use super::deny::CertificateDeny;
use super::policy::{CertificatePolicy, LeafUsage};
use super::request::NodeRequest;
use crate::keys::error::KeyError;
use crate::keys::p256_key::P256Key;

/// 2026-01-01T00:00:00Z to 9999-12-31T23:59:59Z, which RFC 5280, 4.1.2.5, gives to what has no end. A root ends with its
/// epoch and by the chain, not by a calendar that would stop every app at once.
const VALIDITY: Validity = Validity { not_before: 1_767_225_600, not_after: 253_402_300_799 };

/// The root of all certificates of one epoch.
pub struct RootCa {
    key: P256Key,
    params: CertificateParams,
    certificate: Vec<u8>,
}

impl RootCa {
    pub(in crate::keys) fn new(epoch: RootEpoch, key: P256Key) -> Result<Self, KeyError> {
        // The key's hash tells the roots of different deployments apart.
        let id = hex::encode(sha256(&[&key.spki_der()]).split_at(8).0);
        let common_name = format!("KMS root CA {id} epoch {epoch}");
        let mut params = certificate::params(&common_name, VALIDITY, &key)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let failed = |_| KeyError::certificate(&common_name, VALIDITY.not_before);
        let certificate = params.self_signed(&key).map_err(failed)?.der().to_vec();
        Ok(Self { key, params, certificate })
    }

    /// The certificate in DER: what verifiers trust.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The public key, SubjectPublicKeyInfo in DER: what the chain names.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        self.key.spki_der()
    }

    /// A certificate for a node's own TLS service and client, with its attestation.
    pub fn issue_node(
        &self,
        request: NodeRequest,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<Certified, CertificateDeny> {
        policy.check_node_names(&request.names)?;
        policy.check_lifetime(request.lifetime)?;
        let failed = KeyError::certificate("KMS node", now);
        let validity = Validity::starting(now, request.lifetime, VALIDITY);
        let mut params = certificate::params("KMS node", validity, &request.public_key)?;
        certificate::leaf(&mut params, &request.names, [LeafUsage::Server, LeafUsage::Client], &failed)?;
        certificate::extend(&mut params, [usage_extension(usage::KMS_RPC).map_err(|_| failed.clone())?]);
        certificate::extend(&mut params, request.evidence);
        let certificate = params.signed_by(&request.public_key, &self.issuer()).map_err(|_| failed)?;
        Ok(Certified { der: certificate.der().to_vec(), validity })
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &P256Key> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub(super) fn validity() -> Validity {
        VALIDITY
    }
}
