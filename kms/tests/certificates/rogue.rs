//! What somebody could issue who had the private key of an app's CA, for instance a faulty node: verifiers must refuse
//! what goes beyond the CA's certificate.

use p256::pkcs8::EncodePrivateKey as _;

use crate::*;

/// The root and the app of docs/vectors/keys.json, which holds the CA's private key too.
fn scene() -> (RootKeys, AppCa, KeyPair) {
    let vectors = include_str!("../../../docs/vectors/keys.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let bytes = |path: &str| hex::decode(vectors.pointer(path).unwrap().as_str().unwrap()).unwrap();
    let hardened = harden(MemoryLocking::InsecureOff).unwrap();
    let secret = Secret::copy_of(&bytes("/root")).unwrap();
    let root = RootSecret::from_secret(RootEpoch(0), secret, &hardened).unwrap().keys().unwrap();
    let app = AppId::try_from(bytes("/app_id").as_slice()).unwrap();
    let key = p256::SecretKey::from_slice(&bytes("/epochs/0/keys/app_ca/private")).unwrap();
    let key = KeyPair::try_from(key.to_pkcs8_der().unwrap().as_bytes().to_vec()).unwrap();
    let ca = root.app_ca(app, &policy(), NOW).unwrap();
    assert_eq!(key.subject_public_key_info(), ca.spki_der());
    (root, ca, key)
}

fn own_name() -> String {
    "202122232425262728292a2b2c2d2e2f30313233.apps.internal".to_owned()
}

/// The CA as an issuer outside of our code: its name and its key.
fn issuer(key: KeyPair) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = "KMS app CA 202122232425262728292a2b2c2d2e2f30313233";
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Onchain KMS");
    Issuer::new(params, key)
}

fn wanted() -> CertificateParams {
    let mut params = CertificateParams::new(vec![own_name()]).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
    params
}

fn issue(ca_key: KeyPair, params: &CertificateParams) -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer(ca_key)).unwrap().der().to_vec(), key)
}

#[test]
fn app__should_be_able_to_issue_for_its_own_names() {
    let (root, ca, key) = scene();
    server(&root, &ca, &issue(key, &wanted()).0, NOW).unwrap();
}

#[test]
fn app__should_not_be_able_to_issue_for_others_names_or_addresses() {
    let other = format!("{}.apps.internal", AppId([0x22; 20]));
    for foreign in [other.as_str(), "example.org", "127.0.0.1", "::1"] {
        let (root, ca, key) = scene();
        let (rogue, _) = issue(key, &CertificateParams::new(vec![foreign.to_owned()]).unwrap());
        let error = server(&root, &ca, &rogue, NOW).unwrap_err();
        assert!(error.contains("NameConstraintViolation"), "{foreign}: {error}");
    }
}

#[test]
fn app__should_not_be_able_to_make_another_authority() {
    let (root, ca, key) = scene();
    let mut params = wanted();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (sub, sub_key) = issue(key, &params);
    let issuer = Issuer::new(params, sub_key);
    let leaf = wanted().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec();
    let error = verify(&root, &[&ca.certificate().der, &sub], &leaf, NOW, KeyUsage::server_auth());
    assert!(error.unwrap_err().contains("PathLenConstraintViolated"));
}

#[test]
fn app__should_not_outlive_its_ca() {
    let (root, ca, key) = scene();
    let error = server(&root, &ca, &issue(key, &wanted()).0, NOW + 366 * DAY).unwrap_err();
    assert!(error.contains("CertExpired"), "{error}");
}
