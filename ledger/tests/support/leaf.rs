//! An app's certificate as a node issues it: a leaf under the app's CA, in the one form of docs/KEYS.md. The tests of the
//! node's own code hold both to the same check.

use kms_attestation::hash::sha256;
use kms_attestation::ids::AppId;
use kms_attestation::ratls::{Extension, app_id_extension, usage, usage_extension};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SerialNumber,
};
use time::OffsetDateTime;

/// A leaf that is about to be signed.
pub struct Leaf {
    pub params: CertificateParams,
    pub key: KeyPair,
    pub issuer: DistinguishedName,
}

impl Leaf {
    /// For the app, issued at that time.
    pub fn of(app_id: &AppId, now: u64) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![format!("{app_id}.kms.internal")]).unwrap();
        params.distinguished_name = name(&format!("KMS app {app_id}"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let own = [app_id_extension(app_id).unwrap(), usage_extension(usage::APP_CUSTOM).unwrap()];
        params.custom_extensions = own.map(custom).to_vec();
        let mut leaf = Self { params, key, issuer: name(&format!("KMS app CA {app_id}")) };
        leaf.valid(app_id, now - 300, now + 86_400);
        leaf
    }

    /// With another validity, and the serial number that follows from it.
    pub fn valid(&mut self, app_id: &AppId, first: u64, last: u64) {
        let at = |secs: u64| OffsetDateTime::from_unix_timestamp(i64::try_from(secs).unwrap()).unwrap();
        (self.params.not_before, self.params.not_after) = (at(first), at(last));
        let (first, last, subject) = (first.to_be_bytes(), last.to_be_bytes(), format!("KMS app {app_id}"));
        let parts = [b"onchain-kms/serial/v1", self.key.der_bytes(), &first, &last, subject.as_bytes()];
        let mut serial = sha256(&parts)[..20].to_vec();
        serial[0] = serial[0] & 0x3f | 0x40;
        self.params.serial_number = Some(SerialNumber::from_slice(&serial));
    }

    /// The certificate in DER.
    pub fn sign(&self) -> Vec<u8> {
        let ca = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = self.issuer.clone();
        let issuer = Issuer::from_params(&params, &ca);
        self.params.signed_by(&self.key, &issuer).unwrap().der().to_vec()
    }
}

/// A subject as nodes write it.
pub fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name.push(DnType::OrganizationName, "Onchain KMS");
    name
}

/// An extension for rcgen.
pub fn custom(extension: Extension) -> CustomExtension {
    CustomExtension::from_oid_content(extension.oid, extension.value)
}
