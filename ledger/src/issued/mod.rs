//! What a certificate that a node issued to an app says, and what it may say: for whom, which names, how long, what for.
//!
//! ```text
//! record: app id, time ─┐
//! policy: zone, lives  ─┴▶ the one form of an app's leaf (docs/KEYS.md) ─▶ every field and extension of this one
//! ```
//!
//! Everything in such a certificate is fixed or follows from these values and the key, but for what the app asks for: the
//! key, names below the app's own, usages, and a life within bounds. Pure, and bounded for hostile bytes. Called by
//! replay, and by `kmsctl audit explain`. The node's own code that issues is held to this by its tests.
//!
//! What a log cannot show: that the app's CA signed it (the CA's key is in the chain that the app got, not in the record),
//! what the request asked for within these bounds, and that whoever asked holds the key. The node checks that, and keeps
//! no request. Threat: a node that issues more than its policy grants, and records that it was allowed.

mod extensions;

use kms_attestation::hash::sha256;
use kms_attestation::ids::AppId;
use kms_attestation::ratls::MAX_CERTIFICATE_BYTES;
use kms_attestation::refusal::sanitise;
use kms_verdict::policy_document::CertificateTerms;
use x509_cert::certificate::Version;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::{Certificate, TbsCertificate};

use self::extensions::Extensions;

/// How long before it was issued a certificate begins, in seconds.
const BACKDATING_SECS: u64 = 300;
/// The shortest life that can be asked for, in seconds.
const MIN_LIFETIME_SECS: u64 = 600;
/// The context of serial numbers.
const SERIAL_CONTEXT: &[u8] = b"onchain-kms/serial/v1";
/// The bytes of a serial number.
const SERIAL_LEN: usize = 20;
/// `ecdsa-with-SHA256` (RFC 5758).
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
/// All of a P-256 key but its coordinates: `id-ecPublicKey`, `secp256r1` (RFC 5480), and a point that is not compressed.
const P256_SPKI: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// The bytes of such a key.
const P256_SPKI_LEN: usize = 91;
/// Where in it the point begins.
const P256_POINT_AT: usize = P256_SPKI.len() - 1;

/// What an app's certificate has to follow from.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Whose it is.
    pub app_id: AppId,
    /// When it was issued, in Unix seconds.
    pub time: u64,
    /// What the policy grants.
    pub policy: &'a CertificateTerms,
}

/// What a certificate says that it may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    /// Which part of it.
    pub part: &'static str,
    /// What stands there, fit for a terminal.
    pub found: String,
    /// What may stand there.
    pub expected: String,
}

impl Deviation {
    #[expect(clippy::needless_pass_by_value, reason = "numbers, names and texts that are made for it")]
    fn new(part: &'static str, found: impl ToString, expected: impl ToString) -> Self {
        Self { part, found: sanitise(&found.to_string()), expected: expected.to_string() }
    }
}

/// An app's certificate that is as its terms have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedLeaf {
    /// The names, DNS.
    pub names: Vec<String>,
    /// `server`, `client`, or both.
    pub usages: Vec<&'static str>,
    /// The first and the last second of its validity, in Unix seconds.
    pub validity: (u64, u64),
    /// The key, SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
}

impl IssuedLeaf {
    /// Reads a certificate in DER by its terms. Refused with the first part that deviates.
    pub fn check(certificate: &[u8], terms: &Terms<'_>) -> Result<Self, Deviation> {
        let certificate = read(certificate)?;
        let tbs = certificate.tbs_certificate();
        check_form(&certificate)?;
        check_subjects(tbs, &terms.app_id)?;
        let validity = check_validity(tbs, terms)?;
        let spki = check_key(tbs)?;
        check_serial(tbs, &terms.app_id, validity, &spki)?;
        let (names, usages) = Extensions::of(tbs)?.check(terms, &spki)?;
        Ok(Self { names, usages, validity, spki })
    }
}

/// One certificate has one encoding: writing it again must give the same bytes.
fn read(der: &[u8]) -> Result<Certificate, Deviation> {
    let form = |found: &dyn ToString| Deviation::new("certificate", found.to_string(), "X.509 in DER");
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(form(&format!("{} bytes", der.len())));
    }
    let certificate = Certificate::from_der(der).map_err(|error| form(&error))?;
    match certificate.to_der() {
        Ok(again) if again == der => Ok(certificate),
        _ => Err(form(&"other bytes than it is written as")),
    }
}

fn check_form(certificate: &Certificate) -> Result<(), Deviation> {
    let tbs = certificate.tbs_certificate();
    if tbs.version() != Version::V3 || tbs.issuer_unique_id().is_some() || tbs.subject_unique_id().is_some() {
        return Err(Deviation::new("certificate.version", "another form", "version 3, without unique ids"));
    }
    for algorithm in [tbs.signature(), certificate.signature_algorithm()] {
        if algorithm.oid.to_string() != ECDSA_WITH_SHA256 || algorithm.parameters.is_some() {
            return Err(Deviation::new("certificate.signature", algorithm.oid, "ECDSA with SHA-256"));
        }
    }
    Ok(())
}

fn check_subjects(tbs: &TbsCertificate, app_id: &AppId) -> Result<(), Deviation> {
    // As RFC 4514 has it: the last part first, and everything in a value that could be mistaken for a part is escaped.
    let named = |name: &str| format!("O=Onchain KMS,CN={name}");
    same("certificate.issuer", tbs.issuer().to_string(), named(&format!("KMS app CA {app_id}")))?;
    same("certificate.subject", tbs.subject().to_string(), named(&subject(app_id)))
}

fn subject(app_id: &AppId) -> String {
    format!("KMS app {app_id}")
}

fn same(part: &'static str, found: String, expected: String) -> Result<(), Deviation> {
    if found == expected { Ok(()) } else { Err(Deviation::new(part, found, expected)) }
}

/// From a little before the record's time, for as long as can be asked for. The app's CA begins at the same time.
fn check_validity(tbs: &TbsCertificate, terms: &Terms<'_>) -> Result<(u64, u64), Deviation> {
    let Terms { time, policy, .. } = terms;
    let validity = tbs.validity();
    let [first, last] =
        [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
    let begin = time.saturating_sub(BACKDATING_SECS);
    let longest = policy.leaf_max_lifetime_s.min(policy.app_ca_lifetime_s);
    let (soonest, latest) = (time.saturating_add(MIN_LIFETIME_SECS), time.saturating_add(longest));
    if first == begin && (soonest..=latest).contains(&last) {
        return Ok((first, last));
    }
    let expected = format!("from {begin} to between {soonest} and {latest} (Unix seconds)");
    Err(Deviation::new("certificate.validity", format_args!("from {first} to {last}"), expected))
}

fn check_key(tbs: &TbsCertificate) -> Result<Vec<u8>, Deviation> {
    let spki = tbs.subject_public_key_info().to_der().unwrap_or_default();
    if spki.len() == P256_SPKI_LEN && spki.starts_with(&P256_SPKI) {
        return Ok(spki);
    }
    let algorithm = tbs.subject_public_key_info().algorithm.oid;
    Err(Deviation::new("certificate.key", format_args!("{} bytes, {algorithm}", spki.len()), "a P-256 key"))
}

/// The serial number follows from everything that tells two certificates of one app apart.
fn check_serial(
    tbs: &TbsCertificate,
    app_id: &AppId,
    (first, last): (u64, u64),
    spki: &[u8],
) -> Result<(), Deviation> {
    let point = spki.get(P256_POINT_AT..).unwrap_or_default();
    let (first, last, subject) = (first.to_be_bytes(), last.to_be_bytes(), subject(app_id));
    let digest = sha256(&[SERIAL_CONTEXT, point, &first, &last, subject.as_bytes()]);
    let mut expected: Vec<u8> = digest.into_iter().take(SERIAL_LEN).collect();
    if let Some(first) = expected.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    same("certificate.serial", hex::encode(tbs.serial_number().as_bytes()), hex::encode(expected))
}
