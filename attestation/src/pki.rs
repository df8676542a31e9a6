//! The little of X.509 that Intel's attestation PKI needs, with a typed answer for each fault.
//!
//! Root -> {TCB signer, PCK CA -> PCK}: every certificate here is checked against exactly one issuer that is
//! known beforehand. The quote verifier builds and checks the same paths again with webpki; what this adds is a
//! reason that a person can act on, and a check of collateral when no quote is at hand.

use der::{Decode, Encode, Reader, SliceReader};
use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::spki::ObjectIdentifier;

use crate::memo::MemoisedP256;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// What is wrong with a certificate or a revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PkiFault {
    /// It cannot be read, or uses another key type or algorithm than P-256 with SHA-256.
    Malformed,
    /// It was issued by another party than the expected one.
    WrongIssuer,
    /// The issuer may not issue certificates.
    NotCa,
    /// The issuer's signature is wrong.
    BadSignature,
    /// It is not valid before the given time.
    NotYetValid { from: u64 },
    /// It was valid until the given time.
    Expired { until: u64 },
    /// The issuer has revoked it.
    Revoked,
}

/// A certificate with a P-256 key.
pub(crate) struct Cert {
    der: Vec<u8>,
    parsed: Certificate,
}

impl Cert {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, PkiFault> {
        let parsed = Certificate::from_der(der).map_err(|_| PkiFault::Malformed)?;
        let algorithm = &parsed.tbs_certificate().subject_public_key_info().algorithm;
        let curve = algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
        if algorithm.oid != EC_PUBLIC_KEY || curve != Some(PRIME256V1) {
            return Err(PkiFault::Malformed);
        }
        Ok(Self { der: der.to_vec(), parsed })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn x509(&self) -> &Certificate {
        &self.parsed
    }

    /// The public key as an uncompressed point.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.parsed.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes()
    }

    pub(crate) fn is_ca(&self) -> bool {
        let constraints = self.parsed.tbs_certificate().get_extension::<BasicConstraints>();
        matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))))
    }

    fn check_time(&self, now: u64) -> Result<(), PkiFault> {
        let validity = self.parsed.tbs_certificate().validity();
        let from = validity.not_before.to_unix_duration().as_secs();
        let until = validity.not_after.to_unix_duration().as_secs();
        if now < from {
            return Err(PkiFault::NotYetValid { from });
        }
        if now > until {
            return Err(PkiFault::Expired { until });
        }
        Ok(())
    }

    /// Checks that `issuer` issued this certificate, that it is valid now, and that `crl` does not revoke it.
    pub(crate) fn check_issued_by(&self, issuer: &Self, crl: &Crl, now: u64) -> Result<(), PkiFault> {
        self.check_signed_by(issuer)?;
        self.check_time(now)?;
        let serial = self.parsed.tbs_certificate().serial_number().as_bytes();
        if crl.revoked.iter().any(|revoked| revoked == serial) {
            return Err(PkiFault::Revoked);
        }
        Ok(())
    }

    /// Checks names, the issuer's right to issue, and the signature; nothing that depends on time.
    pub(crate) fn check_signed_by(&self, issuer: &Self) -> Result<(), PkiFault> {
        if self.parsed.tbs_certificate().issuer() != issuer.parsed.tbs_certificate().subject() {
            return Err(PkiFault::WrongIssuer);
        }
        if !issuer.is_ca() {
            return Err(PkiFault::NotCa);
        }
        if self.parsed.signature_algorithm().oid != ECDSA_WITH_SHA256 {
            return Err(PkiFault::Malformed);
        }
        check_signature(&self.der, self.parsed.signature().raw_bytes(), issuer)
    }
}

/// A certificate revocation list whose signature has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Crl {
    pub(crate) issued: u64,
    /// The last second of its validity: webpki takes a list as expired at its nextUpdate, not after it.
    pub(crate) expires: u64,
    revoked: Vec<Vec<u8>>,
}

impl Crl {
    /// Reads a list and checks that `issuer` signed it. Its dates are for the caller to judge.
    pub(crate) fn parse(der: &[u8], issuer: &Cert) -> Result<Self, PkiFault> {
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der)
            .map_err(|_| PkiFault::Malformed)?;
        let body = &list.tbs_cert_list;
        if body.issuer != *issuer.x509().tbs_certificate().subject() {
            return Err(PkiFault::WrongIssuer);
        }
        if list.signature_algorithm.oid != ECDSA_WITH_SHA256 {
            return Err(PkiFault::Malformed);
        }
        check_signature(der, list.signature.raw_bytes(), issuer)?;
        let next_update = body.next_update.ok_or(PkiFault::Malformed)?;
        let revoked = body.revoked_certificates.iter().flatten();
        Ok(Self {
            issued: body.this_update.to_unix_duration().as_secs(),
            expires: next_update.to_unix_duration().as_secs().saturating_sub(1),
            revoked: revoked.map(|entry| entry.serial_number.as_bytes().to_vec()).collect(),
        })
    }
}

/// Checks the signature of a certificate or list over its own first element, as it stands in the bytes.
fn check_signature(der: &[u8], signature: &[u8], issuer: &Cert) -> Result<(), PkiFault> {
    let signed = first_element(der).map_err(|_| PkiFault::Malformed)?;
    MemoisedP256.verify_signature(issuer.public_key(), signed, signature).map_err(|_| PkiFault::BadSignature)
}

/// The encoding of the first element of a SEQUENCE.
fn first_element(der: &[u8]) -> Result<&[u8], der::Error> {
    let mut reader = SliceReader::new(der)?;
    der::Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

/// The certificates of a PEM text, at most `max` of them.
pub(crate) fn parse_pem_chain(pem: &[u8], max: usize) -> Result<Vec<Cert>, PkiFault> {
    let blocks = pem::parse_many(pem).map_err(|_| PkiFault::Malformed)?;
    if blocks.is_empty() || blocks.len() > max || blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
        return Err(PkiFault::Malformed);
    }
    blocks.iter().map(|block| Cert::parse(block.contents())).collect()
}

/// The DER of a raw `r || s` signature.
pub(crate) fn encode_raw_signature(raw: &[u8]) -> Result<Vec<u8>, PkiFault> {
    let (r, s) = raw.split_at_checked(32).ok_or(PkiFault::Malformed)?;
    if s.len() != 32 {
        return Err(PkiFault::Malformed);
    }
    let integers = [der::asn1::UintRef::new(r), der::asn1::UintRef::new(s)];
    let [Ok(r), Ok(s)] = integers else { return Err(PkiFault::Malformed) };
    vec![r, s].to_der().map_err(|_| PkiFault::Malformed)
}
