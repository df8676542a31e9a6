//! A certificate for the app's own servers and clients, asked for on the connection that the keys came over.
//!
//! Makes the key and the request; checks what comes back against the request and the KMS root. Never sends the key, and
//! never takes a certificate on the node's word: it must lead to the root CA that this boot trusts. Which names an app may
//! have is the node's policy. Threat: a certificate of another key, name or root, on which an app would then rely.

use std::collections::BTreeSet;

use kms_attestation::ratls::subject_public_key_info;
use kms_proto::v1 as wire;
use rcgen::{CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::BootError;
use super::keys::RecordReference;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeafUsage {
    /// To be a TLS server.
    Server,
    /// To be a TLS client.
    Client,
}

/// Names that no certificate can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("certificate-names-invalid: found {found} (expected one or more DNS names, and a usage)")]
pub struct LeafError {
    /// What was found.
    pub found: String,
}

/// A certificate that is asked for, and the key that it is to be of.
pub struct LeafRequest {
    names: Vec<ServerName<'static>>,
    usages: BTreeSet<LeafUsage>,
    lifetime_seconds: u64,
    request: Vec<u8>,
    spki: Vec<u8>,
    /// PKCS #8, DER.
    key: Zeroizing<Vec<u8>>,
}

impl LeafRequest {
    /// Makes a P-256 key and a request for it. The node decides whether names, usages and lifetime are within its policy.
    pub fn new(
        names: &[String],
        usages: BTreeSet<LeafUsage>,
        lifetime_seconds: u64,
    ) -> Result<Self, LeafError> {
        let invalid = |found: &str| LeafError { found: kms_attestation::refusal::sanitise(found) };
        if names.is_empty() || usages.is_empty() {
            return Err(invalid("nothing"));
        }
        let server_name = |name: &String| {
            let name = DnsName::try_from(name.clone()).map_err(|_| invalid(name))?;
            Ok(ServerName::DnsName(name))
        };
        let server_names = names.iter().map(server_name).collect::<Result<_, LeafError>>()?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(|_| invalid("another name"))?;
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = usages.iter().copied().map(purpose).collect();
        let no_key = |_| invalid("no randomness for a key");
        let mut pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(no_key)?;
        let request = params.serialize_request(&pair).map_err(|_| invalid("another name"))?.der().to_vec();
        let spki = pair.subject_public_key_info();
        let key = Zeroizing::new(pair.serialize_der());
        pair.zeroize();
        Ok(Self { names: server_names, usages, lifetime_seconds, request, spki, key })
    }

    /// The private key, PKCS #8 in DER.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn to_wire(&self) -> wire::SignAppCertificateRequest {
        wire::SignAppCertificateRequest {
            certificate_request: self.request.clone(),
            lifetime_seconds: self.lifetime_seconds,
        }
    }
}

fn purpose(usage: LeafUsage) -> ExtendedKeyUsagePurpose {
    match usage {
        LeafUsage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        LeafUsage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// An app's certificate: of the requested key, for the requested names and usages, under the KMS root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCertificate {
    /// The leaf, the app's CA, the KMS root CA, in DER.
    pub chain: [Vec<u8>; 3],
    /// Where the decision is recorded.
    pub record: RecordReference,
}

impl AppCertificate {
    /// Refused where it is not what was asked for, or leads to another root; `now` in Unix seconds.
    pub(super) fn check(
        response: wire::SignAppCertificateResponse,
        asked: &LeafRequest,
        root_ca_spki: &[u8],
        now: u64,
    ) -> Result<Self, BootError> {
        let record = response.record.ok_or(BootError::Answer { what: "record" })?;
        let chain = <[Vec<u8>; 3]>::try_from(response.chain);
        let chain = chain.map_err(|_| BootError::Answer { what: "chain of three certificates" })?;
        let [leaf, ca, root] = chain.each_ref().map(|der| CertificateDer::from(der.as_slice()));
        if subject_public_key_info(&root).map_err(BootError::Node)? != root_ca_spki {
            return Err(BootError::NotPinned {
                found: "a certificate of another root CA".to_owned(),
                expected: "one of the KMS root CA".to_owned(),
            });
        }
        if subject_public_key_info(&leaf).map_err(BootError::Node)? != asked.spki {
            return Err(BootError::Answer { what: "certificate of the key that was asked for" });
        }
        verify(&leaf, &ca, &root, asked, now)
            .map_err(|_| BootError::Answer { what: "certificate for the names and usages asked for" })?;
        Ok(Self { chain, record: RecordReference::from(record) })
    }
}

fn verify(
    leaf: &CertificateDer<'_>,
    ca: &CertificateDer<'_>,
    root: &CertificateDer<'_>,
    asked: &LeafRequest,
    now: u64,
) -> Result<(), webpki::Error> {
    let anchors = [anchor_from_trusted_cert(root)?];
    let leaf = EndEntityCert::try_from(leaf)?;
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    for usage in &asked.usages {
        let usage = match usage {
            LeafUsage::Server => KeyUsage::server_auth(),
            LeafUsage::Client => KeyUsage::client_auth(),
        };
        let intermediates = [CertificateDer::from(ca.as_ref())];
        leaf.verify_for_usage(algorithms, &anchors, &intermediates, now, usage, None, None)?;
    }
    asked.names.iter().try_for_each(|name| leaf.verify_is_valid_for_subject_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_request__should_be_for_dns_names_and_a_usage() {
        let server = BTreeSet::from([LeafUsage::Server]);
        let request = |names: &[&str], usages: &BTreeSet<LeafUsage>| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            LeafRequest::new(&names, usages.clone(), 3600)
        };
        assert!(request(&["a.example", "b.example"], &server).is_ok());
        for names in [&[][..], &["127.0.0.1"], &[""], &["a b"], &["ä.example"]] {
            assert!(request(names, &server).is_err(), "{names:?}");
        }
        assert!(request(&["a.example"], &BTreeSet::new()).is_err());
    }
}
