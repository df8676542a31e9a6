//! Certificates, judged by rustls' own verifier: what chains, and what does not.
#![allow(non_snake_case, missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod csr;
mod issued;
mod rogue;

use std::collections::BTreeSet;
use std::time::Duration;

use kms_attestation::ids::{AppId, RootEpoch};
use kms_attestation::ratls::{RatlsCertificate, usage};
use kms_client::secret::Secret;
use kms_node::hardening::{MemoryLocking, harden};
use kms_node::keys::{
    AppCa, CertificateDeny, CertificatePolicy, Certified, DnsName, LeafPublicKey, LeafRequest, LeafUsage,
    Lifetime, MAX_CSR_BYTES, NodeRequest, RootKeys, RootSecret,
};
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const NOW: u64 = 1_800_000_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const APP: AppId = AppId([0x11; 20]);

fn root(byte: u8) -> RootKeys {
    let hardened = harden(MemoryLocking::InsecureOff).unwrap();
    let secret = Secret::copy_of(&[byte; 32]).unwrap();
    RootSecret::from_secret(RootEpoch(0), secret, &hardened).unwrap().keys().unwrap()
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn app_name(below: &str) -> DnsName {
    name(&format!("{below}{APP}.apps.internal"))
}

fn policy() -> CertificatePolicy {
    CertificatePolicy::new(name("apps.internal")).unwrap()
}

fn app_ca(root: &RootKeys) -> AppCa {
    root.app_ca(APP, &policy(), NOW).unwrap()
}

fn request(names: &[DnsName]) -> LeafRequest {
    let key = KeyPair::generate().unwrap().subject_public_key_info();
    LeafRequest {
        public_key: LeafPublicKey::from_spki_der(&key).unwrap(),
        names: names.iter().cloned().collect(),
        usages: BTreeSet::from([LeafUsage::Server]),
        lifetime: Lifetime::from_secs(DAY).unwrap(),
    }
}

fn leaf(ca: &AppCa) -> Certified {
    ca.issue_leaf(&request(&[app_name("api.")]), &policy(), NOW).unwrap()
}

/// What rustls would say of the chain `leaf`, `via`, `root` at that time.
fn verify(root: &RootKeys, via: &[&[u8]], leaf: &[u8], now: u64, usage: KeyUsage) -> Result<(), String> {
    let root = CertificateDer::from(root.root_ca().certificate());
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let via: Vec<_> = via.iter().map(|der| CertificateDer::from(*der)).collect();
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| format!("{error:?}"))?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    leaf.verify_for_usage(algorithms, &anchors, &via, now, usage, None, None)
        .map(|_| ())
        .map_err(|error| format!("{error:?}"))
}

fn server(root: &RootKeys, ca: &AppCa, leaf: &[u8], now: u64) -> Result<(), String> {
    verify(root, &[&ca.certificate().der], leaf, now, KeyUsage::server_auth())
}

fn is_for(leaf: &[u8], name: &str) -> bool {
    let leaf = CertificateDer::from(leaf);
    let name = ServerName::try_from(name).unwrap();
    EndEntityCert::try_from(&leaf).unwrap().verify_is_valid_for_subject_name(&name).is_ok()
}

#[test]
fn leaf__should_chain_to_the_root_for_its_names_usages_and_time_alone() {
    let root = root(1);
    let ca = app_ca(&root);
    let leaf = leaf(&ca);
    server(&root, &ca, &leaf.der, NOW).unwrap();
    assert!(is_for(&leaf.der, app_name("api.").as_str()));
    assert!(!is_for(&leaf.der, app_name("").as_str()) && !is_for(&leaf.der, "example.org"));
    let client = verify(&root, &[&ca.certificate().der], &leaf.der, NOW, KeyUsage::client_auth());
    assert!(client.unwrap_err().contains("RequiredEkuNotFound"));
    assert!(server(&root, &ca, &leaf.der, NOW + DAY + 1).unwrap_err().contains("CertExpired"));
    assert!(server(&root, &ca, &leaf.der, NOW - 301).unwrap_err().contains("CertNotValidYet"));
    let unlinked = verify(&root, &[], &leaf.der, NOW, KeyUsage::server_auth());
    assert!(unlinked.unwrap_err().contains("UnknownIssuer"));
}

#[test]
fn leaf__should_not_chain_to_another_root() {
    let (ours, theirs) = (root(1), root(2));
    let ca = app_ca(&ours);
    assert!(server(&theirs, &ca, &leaf(&ca).der, NOW).unwrap_err().contains("UnknownIssuer"));
}

#[test]
fn two_nodes_of_one_root__should_be_one_authority() {
    let (a, b) = (root(1), root(1));
    assert_eq!(a.root_ca().certificate(), b.root_ca().certificate());
    let later = b.app_ca(APP, &policy(), NOW + 5 * DAY).unwrap();
    let earlier = app_ca(&a);
    assert_eq!(earlier.spki_der(), later.spki_der());
    assert_ne!(earlier.certificate().der, later.certificate().der);
    // What one node's certificate of the CA issued chains through the other's.
    let leaf = later.issue_leaf(&request(&[app_name("")]), &policy(), NOW + 5 * DAY).unwrap();
    for ca in [&earlier, &later] {
        server(&a, ca, &leaf.der, NOW + 5 * DAY).unwrap();
    }
}

#[test]
fn requests__should_be_refused_beyond_the_policy_with_what_it_grants() {
    let root = root(1);
    let ca = app_ca(&root);
    let refuse = |request: LeafRequest| ca.issue_leaf(&request, &policy(), NOW).unwrap_err();
    let good = || request(&[app_name("")]);
    let other_app = name(&format!("{}.apps.internal", AppId([0x22; 20])));
    for foreign in
        [name("example.org"), name("apps.internal"), other_app, name(&format!("x{APP}.apps.internal"))]
    {
        let error = refuse(request(&[app_name(""), foreign.clone()]));
        assert_eq!((error.code.as_str(), error.found), ("certificate-name-outside", foreign.to_string()));
    }
    assert_eq!(refuse(request(&[])).code.as_str(), "certificate-name-count");
    let many: Vec<_> = (0..17).map(|i| app_name(&format!("n{i}."))).collect();
    assert_eq!(refuse(request(&many)).code.as_str(), "certificate-name-count");
    assert_eq!(refuse(LeafRequest { usages: BTreeSet::new(), ..good() }).code.as_str(), "certificate-usage");
    let lifetime = Lifetime::from_secs(31 * DAY).unwrap();
    assert_eq!(refuse(LeafRequest { lifetime, ..good() }).code.as_str(), "certificate-lifetime");
    let servers_only = policy().with_leaf_usages(BTreeSet::from([LeafUsage::Server]));
    let client = LeafRequest { usages: BTreeSet::from([LeafUsage::Client]), ..good() };
    assert_eq!(ca.issue_leaf(&client, &servers_only, NOW).unwrap_err().code.as_str(), "certificate-usage");
    for secs in [0, 599, 3651 * DAY, u64::MAX] {
        assert_eq!(Lifetime::from_secs(secs).unwrap_err().code.as_str(), "certificate-lifetime");
    }
}

#[test]
fn public_key__should_be_a_p256_point() {
    let mut spki = KeyPair::generate().unwrap().subject_public_key_info();
    LeafPublicKey::from_spki_der(&spki).unwrap();
    let other = |algorithm| KeyPair::generate_for(algorithm).unwrap().subject_public_key_info();
    let trailing = [spki.clone(), vec![0]].concat();
    // Not on the curve.
    *spki.last_mut().unwrap() ^= 1;
    for bad in [other(&rcgen::PKCS_ED25519), other(&rcgen::PKCS_ECDSA_P384_SHA384), trailing, spki, vec![]] {
        let error = LeafPublicKey::from_spki_der(&bad).unwrap_err();
        assert_eq!(error.code.as_str(), "certificate-public-key");
    }
}

#[test]
fn leaf__should_end_with_its_issuer() {
    let root = root(1);
    let short = policy().with_app_ca_lifetime(Lifetime::from_secs(2 * HOUR).unwrap());
    let ca = root.app_ca(APP, &short, NOW).unwrap();
    let leaf = ca.issue_leaf(&request(&[app_name("")]), &short, NOW + HOUR).unwrap();
    assert_eq!(leaf.validity.not_after, ca.certificate().validity.not_after);
    let error = ca.issue_leaf(&request(&[app_name("")]), &short, NOW + 2 * HOUR).unwrap_err();
    assert_eq!(error.code.as_str(), "certificate-issuer-expired");
    // A clock beyond the calendar.
    assert_eq!(root.app_ca(APP, &policy(), u64::MAX).err().unwrap().code().as_str(), "key-certificate");
}

fn node_request(names: &[DnsName]) -> NodeRequest {
    let LeafRequest { public_key, names, lifetime, .. } = request(names);
    NodeRequest { public_key, names, lifetime, evidence: Vec::new() }
}

#[test]
fn node__should_get_a_certificate_for_service_and_client_directly_below_the_root() {
    let root = root(1);
    let node = root.root_ca().issue_node(node_request(&[name("localhost")]), &policy(), NOW).unwrap();
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        verify(&root, &[], &node.der, NOW, usage).unwrap();
    }
    assert!(is_for(&node.der, "localhost"));
    let error = root.root_ca().issue_node(node_request(&[app_name("")]), &policy(), NOW).unwrap_err();
    assert_eq!(error.code.as_str(), "certificate-name-reserved");
}

#[test]
fn certificates__should_name_app_and_usage_as_dstack_reads_them() {
    let root = root(1);
    let ca = app_ca(&root);
    for (der, expected) in [(ca.certificate().der.clone(), usage::APP_CA), (leaf(&ca).der, usage::APP_CUSTOM)]
    {
        // No attestation of their own, which is what this parser asks for first.
        assert_eq!(RatlsCertificate::parse(&der).unwrap_err().code.as_str(), "ratls-evidence-missing");
        let found = extension(&der, "1.3.6.1.4.1.62397.1.4");
        assert_eq!(found, [&[4, u8::try_from(expected.len()).unwrap()], expected.as_bytes()].concat());
        assert_eq!(extension(&der, "1.3.6.1.4.1.62397.1.3"), [&[4, 20], APP.as_bytes().as_slice()].concat());
    }
}

fn extension(der: &[u8], oid: &str) -> Vec<u8> {
    use x509_cert::der::Decode as _;
    let certificate = x509_cert::Certificate::from_der(der).unwrap();
    let extensions = certificate.tbs_certificate().extensions().cloned().unwrap();
    let found = extensions.iter().find(|extension| extension.extn_id.to_string() == oid).unwrap();
    assert!(!found.critical);
    found.extn_value.as_bytes().to_vec()
}
