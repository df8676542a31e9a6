//! PKCS #10 requests (RFC 2986): an app's wish for a leaf certificate, with the proof that it holds the key.
//!
//! What is read: the public key, the DNS names and the extended key usages of the extension request. Everything else is a
//! wish that cannot be granted, and refused rather than dropped: who asks for an IP address must not get a certificate
//! that works for something else. The subject is ignored: the app's identity is the connection's, not the request's.

use std::collections::BTreeSet;

use der::oid::AssociatedOid;
use der::{Decode, Encode};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};
use x509_cert::request::{CertReq, ExtensionReq};

use super::deny::{CertificateDeny, request as malformed};
use super::name::DnsName;
use super::policy::{LeafUsage, Lifetime};
use super::request::{LeafPublicKey, LeafRequest};

/// The largest request, in bytes: 16 names of 253 bytes fit.
pub const MAX_CSR_BYTES: usize = 8 * 1024;

/// `id-kp-serverAuth` and `id-kp-clientAuth` (RFC 5280, 4.2.1.12).
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
/// `ecdsa-with-SHA256` (RFC 5758).
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";

impl LeafRequest {
    /// Reads a request in DER whose signature proves possession of its key. No usage asked for means a server's.
    ///
    /// The names and usages are what is wished for; [`super::AppCa::issue_leaf`] decides.
    pub fn from_csr(der: &[u8], lifetime: Lifetime) -> Result<Self, CertificateDeny> {
        if der.len() > MAX_CSR_BYTES {
            return Err(malformed("more bytes than any request has"));
        }
        let request = CertReq::from_der(der).map_err(|_| malformed("no PKCS #10 request in DER"))?;
        let public_key = check_possession(&request)?;
        let mut wishes = Wishes::default();
        for extension in extensions(&request)? {
            wishes.add(&extension)?;
        }
        if wishes.usages.is_empty() {
            wishes.usages.insert(LeafUsage::Server);
        }
        Ok(Self { public_key, names: wishes.names, usages: wishes.usages, lifetime })
    }
}

/// The public key, if the request is signed with its private half.
fn check_possession(request: &CertReq) -> Result<LeafPublicKey, CertificateDeny> {
    let encode = |_| malformed("a part that cannot be encoded again");
    let spki = request.info.public_key.to_der().map_err(encode)?;
    let public_key = LeafPublicKey::from_spki_der(&spki)?;
    let signed = request.info.to_der().map_err(encode)?;
    let algorithm = request.algorithm.oid.to_string();
    let signature = request.signature.as_bytes().filter(|_| algorithm == ECDSA_WITH_SHA256);
    let signature = signature.ok_or_else(|| malformed("another signature than ECDSA with SHA-256"))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, rcgen::PublicKeyData::der_bytes(&public_key))
        .verify(&signed, signature)
        .map_err(|_| malformed("a signature of another key"))?;
    Ok(public_key)
}

/// The extensions that are asked for.
fn extensions(request: &CertReq) -> Result<Vec<Extension>, CertificateDeny> {
    let mut extensions = Vec::new();
    for attribute in request.info.attributes.iter().filter(|a| a.oid == ExtensionReq::OID) {
        for value in attribute.values.iter() {
            let asked = value.decode_as::<ExtensionReq>();
            extensions.extend(asked.map_err(|_| malformed("an extension request that cannot be read"))?.0);
        }
    }
    Ok(extensions)
}

/// What is asked for, so far.
#[derive(Default)]
struct Wishes {
    names: BTreeSet<DnsName>,
    usages: BTreeSet<LeafUsage>,
}

impl Wishes {
    fn add(&mut self, extension: &Extension) -> Result<(), CertificateDeny> {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            SubjectAltName::OID => {
                let names = SubjectAltName::from_der(value);
                self.add_names(&names.map_err(|_| malformed("names that cannot be read"))?)
            }
            ExtendedKeyUsage::OID => {
                let usages = ExtendedKeyUsage::from_der(value);
                self.add_usages(&usages.map_err(|_| malformed("usages that cannot be read"))?)
            }
            other => Err(malformed(&format!("the extension {other}, which no leaf is given"))),
        }
    }

    fn add_names(&mut self, names: &SubjectAltName) -> Result<(), CertificateDeny> {
        for name in &names.0 {
            let GeneralName::DnsName(name) = name else {
                return Err(malformed("a name that is no DNS name"));
            };
            self.names.insert(DnsName::parse(name.as_str())?);
        }
        Ok(())
    }

    fn add_usages(&mut self, usages: &ExtendedKeyUsage) -> Result<(), CertificateDeny> {
        for usage in &usages.0 {
            self.usages.insert(match usage.to_string().as_str() {
                SERVER_AUTH => LeafUsage::Server,
                CLIENT_AUTH => LeafUsage::Client,
                other => return Err(malformed(&format!("the usage {other}, which no leaf is given"))),
            });
        }
        Ok(())
    }
}
