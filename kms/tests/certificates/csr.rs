//! PKCS #10 requests, made by rcgen: wishes, with proof of possession.

use rcgen::ExtendedKeyUsagePurpose::{self, ClientAuth, CodeSigning, ServerAuth};

use crate::*;

fn csr(names: &[&str], usages: &[ExtendedKeyUsagePurpose]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = usages.to_vec();
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn read(der: &[u8]) -> Result<LeafRequest, CertificateDeny> {
    LeafRequest::from_csr(der, policy().max_leaf_lifetime())
}

#[test]
fn csr__should_become_a_certificate_within_the_policy() {
    let root = root(1);
    let ca = app_ca(&root);
    let request = read(&csr(&[app_name("").as_str()], &[])).unwrap();
    assert_eq!(request.usages, BTreeSet::from([LeafUsage::Server]));
    let leaf = ca.issue_leaf(&request, &policy(), NOW).unwrap();
    server(&root, &ca, &leaf.der, NOW).unwrap();
    assert_eq!(leaf.validity.not_after, NOW + 30 * DAY);
    let both = read(&csr(&[app_name("").as_str()], &[ServerAuth, ClientAuth])).unwrap();
    assert_eq!(both.usages.len(), 2);
    let foreign = read(&csr(&["example.org"], &[])).unwrap();
    assert_eq!(
        ca.issue_leaf(&foreign, &policy(), NOW).unwrap_err().code.as_str(),
        "certificate-name-outside"
    );
}

#[test]
fn csr__should_be_refused_for_what_no_leaf_is_given() {
    let own = app_name("");
    for (der, code) in [
        (csr(&[own.as_str(), "127.0.0.1"], &[]), "certificate-request"),
        (csr(&["*.example.org"], &[]), "certificate-name"),
        (csr(&[own.as_str()], &[CodeSigning]), "certificate-request"),
        (vec![], "certificate-request"),
        (vec![0x30; MAX_CSR_BYTES + 1], "certificate-request"),
    ] {
        assert_eq!(read(&der).unwrap_err().code.as_str(), code);
    }
    let mut ca = CertificateParams::new(vec![own.to_string()]).unwrap();
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let der = ca.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    assert_eq!(read(&der).unwrap_err().code.as_str(), "certificate-request");
}

#[test]
fn csr__should_prove_possession_of_its_key() {
    let good = csr(&[app_name("").as_str()], &[]);
    read(&good).unwrap();
    let accepted: Vec<_> = (0..good.len())
        .filter(|at| {
            let mut changed = good.clone();
            changed[*at] ^= 1;
            read(&changed).is_ok()
        })
        .collect();
    assert_eq!(accepted, [0_usize; 0], "bytes that can be changed");
}
