//! The X.509 part: a leaf certificate as bytes in, its key and the contents of its extensions out.
//!
//! ```text
//! Extension ::= SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
//! ```
//! (RFC 5280, 4.1.) It checks neither signature nor validity: that is the TLS stack's work. DER only, the whole
//! input, each extension at most once.

use std::collections::BTreeSet;

use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::ext::Extension;

use super::{MAX_CERTIFICATE_BYTES, bounded, malformed};
use crate::deny::{DenyCode, DenyReason};

/// A parsed certificate without duplicate extensions.
pub(super) struct Leaf(Certificate);

impl Leaf {
    pub(super) fn parse(certificate_der: &[u8]) -> Result<Self, DenyReason> {
        let bytes = bounded("a certificate", certificate_der, MAX_CERTIFICATE_BYTES)?;
        let leaf =
            Self(Certificate::from_der(bytes).map_err(|error| not_der(&error, "an X.509 certificate"))?);
        leaf.refuse_duplicates()?;
        Ok(leaf)
    }

    /// The SubjectPublicKeyInfo. DER has one encoding for each value, so that these are the certificate's bytes.
    pub(super) fn spki(&self) -> Result<Vec<u8>, DenyReason> {
        let spki = self.0.tbs_certificate().subject_public_key_info();
        spki.to_der().map_err(|error| not_der(&error, "a public key"))
    }

    /// The content of an extension: what stands in the OCTET STRING within its extnValue.
    pub(super) fn content(&self, oid: &[u64]) -> Result<Option<&[u8]>, DenyReason> {
        let Some(extension) = self.extensions().iter().find(|extension| is(extension, oid)) else {
            return Ok(None);
        };
        let inner = <&OctetStringRef>::from_der(extension.extn_value.as_bytes());
        let expected = format_args!("an OCTET STRING in extension {}", extension.extn_id);
        Ok(Some(inner.map_err(|error| not_der(&error, expected))?.as_bytes()))
    }

    fn extensions(&self) -> &[Extension] {
        self.0.tbs_certificate().extensions().map_or(&[], Vec::as_slice)
    }

    fn refuse_duplicates(&self) -> Result<(), DenyReason> {
        let mut seen = BTreeSet::new();
        match self.extensions().iter().find(|extension| !seen.insert(extension.extn_id)) {
            None => Ok(()),
            Some(twice) => Err(malformed(format_args!("extension {} twice", twice.extn_id), "each one once")),
        }
    }
}

fn is(extension: &Extension, oid: &[u64]) -> bool {
    extension.extn_id.arcs().map(u64::from).eq(oid.iter().copied())
}

fn not_der(error: &der::Error, expected: impl std::fmt::Display) -> DenyReason {
    DenyReason::quoting(DenyCode::RatlsMalformed, &error.to_string(), expected)
}
