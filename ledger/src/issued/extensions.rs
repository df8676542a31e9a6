//! The extensions of an app's leaf: which there are, and what each says. Only names and usages differ between two apps'
//! leaves of one key. Called by [`super::IssuedLeaf::check`]. Threat: a CA flag, another app's name, an extension that
//! means something to a reader that this one does not know.

use std::collections::BTreeMap;
use std::fmt::Display;

use kms_attestation::hash::sha256;
use kms_attestation::ratls::{app_id_extension, usage, usage_extension};
use x509_cert::TbsCertificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};

use super::{Deviation, Terms, same};

/// The most names.
const MAX_NAMES: usize = 16;
/// The longest name (RFC 1035, 2.3.4, without the root's dot), and the longest of its labels, in bytes.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;
/// The bytes of a key's identifier.
const KEY_ID_LEN: usize = 20;
/// The usages that a leaf can have (RFC 5280, 4.2.1.12), in this order, and their names.
const USAGES: [(&str, &str); 2] = [("1.3.6.1.5.5.7.3.1", "server"), ("1.3.6.1.5.5.7.3.2", "client")];

/// Whether a verifier that does not know the extension has to refuse the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Criticality {
    Critical,
    Not,
}

/// The extensions of a leaf by their identifiers, each once, as far as they were not looked at.
pub(super) struct Extensions<'a>(BTreeMap<ObjectIdentifier, &'a Extension>);

impl<'a> Extensions<'a> {
    pub(super) fn of(tbs: &'a TbsCertificate) -> Result<Self, Deviation> {
        let mut by_id = BTreeMap::new();
        for extension in tbs.extensions().map_or(&[][..], Vec::as_slice) {
            if by_id.insert(extension.extn_id, extension).is_some() {
                return Err(unexpected(format_args!("{} twice", extension.extn_id)));
            }
        }
        Ok(Self(by_id))
    }

    /// All that a leaf with that key has, and nothing else: its names and usages.
    pub(super) fn check(
        mut self,
        terms: &Terms<'_>,
        spki: &[u8],
    ) -> Result<(Vec<String>, Vec<&'static str>), Deviation> {
        self.check_purpose()?;
        self.check_key_ids(spki)?;
        let names = names(&self.take(Criticality::Not)?, terms)?;
        let usages = usages(&self.take(Criticality::Not)?)?;
        let own = [
            ("certificate.app_id", app_id_extension(&terms.app_id)),
            ("certificate.usage", usage_extension(usage::APP_CUSTOM)),
        ];
        for (part, own) in own {
            let own = own.map_err(|reason| Deviation::new(part, reason, "an extension"))?;
            self.expect(part, own.oid, &own.value)?;
        }
        self.0.keys().next().map_or(Ok((names, usages)), |other| Err(unexpected(other)))
    }

    /// No CA, and a key that signs handshakes alone.
    fn check_purpose(&mut self) -> Result<(), Deviation> {
        let BasicConstraints { ca, path_len_constraint } = self.take(Criticality::Critical)?;
        if ca || path_len_constraint.is_some() {
            return Err(Deviation::new("certificate.ca", "a CA", "no CA"));
        }
        let uses: KeyUsage = self.take(Criticality::Critical)?;
        if uses != KeyUsage(KeyUsages::DigitalSignature.into()) {
            return Err(Deviation::new("certificate.key_usage", "other uses", "digital signatures alone"));
        }
        Ok(())
    }

    /// The identifier of its own key, and some identifier of the CA's: which that is, no log says.
    fn check_key_ids(&mut self, spki: &[u8]) -> Result<(), Deviation> {
        let authority: AuthorityKeyIdentifier = self.take(Criticality::Not)?;
        let AuthorityKeyIdentifier { key_identifier, authority_cert_issuer, authority_cert_serial_number } =
            authority;
        let id = key_identifier.filter(|id| id.as_bytes().len() == KEY_ID_LEN);
        if id.is_none() || authority_cert_issuer.is_some() || authority_cert_serial_number.is_some() {
            let expected = "the identifier of a key, and nothing else";
            return Err(Deviation::new("certificate.authority_key_id", "another form", expected));
        }
        let SubjectKeyIdentifier(found) = self.take(Criticality::Not)?;
        let digest = sha256(&[spki]);
        let expected: Vec<u8> = digest.into_iter().take(KEY_ID_LEN).collect();
        same("certificate.subject_key_id", hex::encode(found.as_bytes()), hex::encode(expected))
    }

    /// One that has to be there, in the one encoding of what it says.
    fn take<T: for<'b> Decode<'b> + Encode + AssociatedOid>(
        &mut self,
        criticality: Criticality,
    ) -> Result<T, Deviation> {
        let id = T::OID;
        let extension = self.0.remove(&id).ok_or_else(|| unexpected(format_args!("no {id}")))?;
        if extension.critical != (criticality == Criticality::Critical) {
            return Err(unexpected(format_args!("{id}, with another criticality")));
        }
        let bytes = extension.extn_value.as_bytes();
        let content = T::from_der(bytes).ok().filter(|it| it.to_der().is_ok_and(|again| again == bytes));
        content.ok_or_else(|| unexpected(format_args!("{id}, which cannot be read")))
    }

    /// One of dstack's arc with this very content.
    fn expect(&mut self, part: &'static str, id: &[u64], content: &[u8]) -> Result<(), Deviation> {
        let id = self.0.keys().copied().find(|it| it.arcs().map(u64::from).eq(id.iter().copied()));
        let extension = id.and_then(|id| self.0.remove(&id)).filter(|extension| !extension.critical);
        let found = extension.map(|extension| hex::encode(extension.extn_value.as_bytes()));
        same(part, found.unwrap_or_else(|| "nothing".to_owned()), hex::encode(content))
    }
}

fn unexpected(found: impl Display) -> Deviation {
    Deviation::new("certificate.extensions", found, "those of an app's leaf, each once")
}

fn names(found: &SubjectAltName, terms: &Terms<'_>) -> Result<Vec<String>, Deviation> {
    let own = format!("{}.{}", terms.app_id, terms.policy.zone);
    let deviation = |found: &dyn Display| {
        let expected = format_args!("1 to {MAX_NAMES} DNS names in order: {own}, or below it");
        Deviation::new("certificate.names", found, expected)
    };
    if !(1..=MAX_NAMES).contains(&found.0.len()) {
        return Err(deviation(&format_args!("{} names", found.0.len())));
    }
    let mut names: Vec<String> = Vec::new();
    for name in &found.0 {
        let GeneralName::DnsName(name) = name else { return Err(deviation(&"a name that is no DNS name")) };
        let name = name.as_str();
        if !is_within(name, &own) || names.last().is_some_and(|before| before.as_str() >= name) {
            return Err(deviation(&name));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether it is that name or one below it, in lower-case labels without wildcards.
fn is_within(name: &str, own: &str) -> bool {
    let head = name.strip_suffix(own).filter(|head| head.is_empty() || head.ends_with('.'));
    head.is_some() && name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Some of the known ones, in their order, each once.
fn usages(found: &ExtendedKeyUsage) -> Result<Vec<&'static str>, Deviation> {
    let found: Vec<String> = found.0.iter().map(ToString::to_string).collect();
    let known: Vec<_> = USAGES.iter().filter(|(id, _)| found.iter().any(|it| it == id)).collect();
    if !known.is_empty() && known.iter().map(|(id, _)| *id).eq(found.iter().map(String::as_str)) {
        return Ok(known.into_iter().map(|(_, name)| *name).collect());
    }
    Err(Deviation::new("certificate.usages", found.join(", "), "server, client, or both"))
}
