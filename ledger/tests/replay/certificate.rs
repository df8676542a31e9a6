//! What an issued certificate says: its honest form is identical, each changed field is found and named.

use kms_attestation::ids::AppId;
use kms_attestation::ratls::{Extension, app_id_extension, usage, usage_extension};
use kms_ledger::issued::{IssuedLeaf, Terms};
use kms_ledger::record::Event;
use kms_verdict::policy_document::CertificateTerms;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SerialNumber,
};

use crate::changes::{CERTIFICATE, at};
use crate::support::Scene;
use crate::support::leaf::{Leaf, custom, name};

/// The scene's certificate is for this app, at this time.
fn issued_to(scene: &Scene) -> (AppId, u64) {
    let record = &scene.records[usize::try_from(CERTIFICATE).unwrap()];
    let Event::Decision(decision) = &record.event else { panic!() };
    let kms_ledger::record::Who::Open(identity) = &decision.who else { panic!() };
    (identity.app_id, record.time)
}

/// What replay says when a node had issued that certificate instead.
fn replayed(scene: &mut Scene, certificate: Vec<u8>) -> String {
    let id = scene.replace(certificate);
    scene.change(CERTIFICATE, |it| it.evidence.certificate = id);
    at(scene, CERTIFICATE)
}

/// The name of what replay finds, with one thing changed.
fn found(change: impl FnOnce(&mut Leaf, &AppId, u64)) -> String {
    let mut scene = crate::scene();
    let (app_id, time) = issued_to(&scene);
    let mut leaf = Leaf::of(&app_id, time);
    change(&mut leaf, &app_id, time);
    replayed(&mut scene, leaf.sign())
}

#[test]
fn certificate__should_be_identical_with_whatever_an_app_may_ask_for() {
    assert_eq!(found(|_, _, _| ()), "identical");
    assert_eq!(found(|leaf, app, now| leaf.valid(app, now - 300, now + 600)), "identical");
    assert_eq!(
        found(|leaf, _, _| leaf.params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth)),
        "identical"
    );
    assert_eq!(
        found(|leaf, _, _| leaf.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        "identical"
    );
    let names = |leaf: &mut Leaf, app: &AppId, _: u64| {
        let names = ["a", "b.c", "z-1"].map(|below| format!("{below}.{app}.kms.internal"));
        leaf.params.subject_alt_names = names.map(dns).into();
    };
    assert_eq!(found(names), "identical");
}

fn dns(name: String) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn certificate__should_be_found_with_another_validity() {
    for (first, last) in [(300, 86_401), (301, 86_400), (299, 86_400), (300, 599), (300, 0), (0, 86_400)] {
        let found = found(|leaf, app, now| leaf.valid(app, now - first, now + last));
        assert!(found.starts_with("different certificate.validity: from"), "{first} {last}: {found}");
    }
    // No longer than its CA lives.
    let mut scene = Scene::new();
    scene.policy.certificates.app_ca_lifetime_s = 7200;
    scene.one_of_each();
    assert!(at(&scene, CERTIFICATE).starts_with("different certificate.validity: from"));
}

#[test]
fn certificate__should_be_found_with_a_name_that_is_not_the_apps() {
    let with = |names: Vec<SanType>| found(|leaf, _, _| leaf.params.subject_alt_names = names);
    let (own, _) = issued_to(&crate::scene());
    let own = format!("{own}.kms.internal");
    for extra in [
        "www.example.org",
        "0000000000000000000000000000000000000000.kms.internal",
        "kms.internal",
        &format!("*.{own}"),
        &format!("evil{own}"),
        &format!("A.{own}"),
        &format!(".{own}"),
        &format!("{own}.example.org"),
        &own,
    ] {
        let found = with(vec![dns(own.clone()), dns(extra.to_owned())]);
        assert!(found.starts_with("different certificate.names: "), "{extra}: {found}");
        assert!(found.contains(extra), "{found}");
    }
    for other in [
        SanType::IpAddress([127, 0, 0, 1].into()),
        SanType::URI(format!("https://{own}").try_into().unwrap()),
        SanType::Rfc822Name(format!("root@{own}").try_into().unwrap()),
    ] {
        let found = with(vec![dns(own.clone()), other]);
        assert!(found.starts_with("different certificate.names: a name that is no DNS name"), "{found}");
    }
    let many = (10..27).map(|number| dns(format!("{number}.{own}"))).collect();
    assert!(with(many).starts_with("different certificate.names: 17 names"));
    assert!(with(vec![]).starts_with("different certificate.extensions: no 2.5.29.17"));
}

#[test]
fn certificate__should_be_found_with_another_issuer_or_subject() {
    for issuer in ["KMS app CA 0000000000000000000000000000000000000000", "KMS root CA", ""] {
        let found = found(|leaf, _, _| leaf.issuer = name(issuer));
        assert!(found.starts_with("different certificate.issuer: "), "{found}");
    }
    let subject = found(|leaf, _, _| leaf.params.distinguished_name = name("KMS node"));
    assert!(subject.starts_with("different certificate.subject: O=Onchain KMS,CN=KMS node"), "{subject}");
    // A value that looks like two parts is none of them.
    let parts = found(|leaf, app, _| {
        leaf.issuer = rcgen::DistinguishedName::new();
        leaf.issuer.push(rcgen::DnType::OrganizationName, format!("Onchain KMS,CN=KMS app CA {app}"));
    });
    assert!(parts.starts_with("different certificate.issuer: "), "{parts}");
}

#[test]
fn certificate__should_be_found_for_another_app() {
    let other = AppId([7; 20]);
    let extension = found(|leaf, _, _| {
        let own = [app_id_extension(&other).unwrap(), usage_extension(usage::APP_CUSTOM).unwrap()];
        leaf.params.custom_extensions = own.map(custom).to_vec();
    });
    assert!(extension.starts_with("different certificate.app_id: "), "{extension}");
    let none = found(|leaf, _, _| leaf.params.custom_extensions.clear());
    assert!(none.starts_with("different certificate.app_id: nothing"), "{none}");
    let mut scene = crate::scene();
    let (_, time) = issued_to(&scene);
    let whole = replayed(&mut scene, Leaf::of(&other, time).sign());
    assert!(whole.starts_with("different certificate.issuer: "), "{whole}");
}

#[test]
fn certificate__should_be_found_with_other_purposes() {
    let ca = found(|leaf, _, _| leaf.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(ca.starts_with("different certificate.ca: a CA"), "{ca}");
    let path = found(|leaf, _, _| leaf.params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert!(path.starts_with("different certificate.ca: a CA"), "{path}");
    let signs = found(|leaf, _, _| leaf.params.key_usages.push(KeyUsagePurpose::KeyCertSign));
    assert!(signs.starts_with("different certificate.key_usage: "), "{signs}");
    for usages in [
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::CodeSigning],
        vec![ExtendedKeyUsagePurpose::Any],
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ServerAuth],
    ] {
        let found = found(|leaf, _, _| leaf.params.extended_key_usages = usages);
        assert!(found.starts_with("different certificate.usages: "), "{found}");
    }
    let node = found(|leaf, app, _| {
        let own = [app_id_extension(app).unwrap(), usage_extension(usage::KMS_RPC).unwrap()];
        leaf.params.custom_extensions = own.map(custom).to_vec();
    });
    assert!(node.starts_with("different certificate.usage: "), "{node}");
}

#[test]
fn certificate__should_be_found_with_another_extension() {
    let unknown = Extension { oid: &[1, 2, 3, 4], value: vec![5, 0] };
    let more = found(|leaf, _, _| leaf.params.custom_extensions.push(custom(unknown)));
    assert!(more.starts_with("different certificate.extensions: 1.2.3.4"), "{more}");
    let twice = found(|leaf, app, _| {
        leaf.params.custom_extensions.push(custom(app_id_extension(app).unwrap()));
    });
    assert!(twice.starts_with("different certificate.extensions: 1.3.6.1.4.1.62397.1.3 twice"), "{twice}");
    let critical = found(|leaf, _, _| leaf.params.custom_extensions[0].set_criticality(true));
    assert!(critical.starts_with("different certificate.app_id: "), "{critical}");
    let unlinked = found(|leaf, _, _| leaf.params.use_authority_key_identifier_extension = false);
    assert!(unlinked.starts_with("different certificate.extensions: no 2.5.29.35"), "{unlinked}");
}

#[test]
fn certificate__should_be_found_with_a_key_or_number_that_no_request_gets() {
    let mut scene = crate::scene();
    let (app_id, time) = issued_to(&scene);
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let mut leaf = Leaf::of(&app_id, time);
        leaf.key = KeyPair::generate_for(algorithm).unwrap();
        let found = replayed(&mut scene, leaf.sign());
        assert!(found.starts_with("different certificate.key: "), "{found}");
    }
    // Another key than the number was made for: two certificates under one number.
    let other = found(|leaf, _, _| leaf.key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
    assert!(other.starts_with("different certificate.serial: "), "{other}");
    let number = found(|leaf, _, _| leaf.params.serial_number = Some(SerialNumber::from(1)));
    assert!(number.starts_with("different certificate.serial: 01"), "{number}");
    let id = found(|leaf, _, _| {
        leaf.params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![7; 20]);
    });
    assert!(id.starts_with("different certificate.subject_key_id: 0707"), "{id}");
}

#[test]
fn certificate__should_be_found_where_it_is_none_or_was_not_to_be_issued() {
    let mut scene = crate::scene();
    for bytes in [vec![], b"no certificate".to_vec(), vec![0x30; 70_000]] {
        let found = replayed(&mut scene, bytes);
        assert!(found.starts_with("different certificate: "), "{found}");
    }
    let (app_id, time) = issued_to(&scene);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let foreign = CertificateParams::new(vec![format!("{app_id}.kms.internal")]).unwrap();
    let foreign = foreign.self_signed(&key).unwrap().der().to_vec();
    assert!(replayed(&mut scene, foreign).starts_with("different certificate.issuer: "));
    let honest = Leaf::of(&app_id, time).sign();
    assert!(replayed(&mut scene, [&honest[..], &[0]].concat()).starts_with("different certificate: "));
    assert_eq!(replayed(&mut scene, honest.clone()), "identical");
    // A denial issues nothing.
    let id = scene.replace(honest);
    scene.change(10, |it| it.evidence.certificate = id);
    assert!(at(&scene, 10).starts_with("different evidence.certificate: "), "{}", at(&scene, 10));
}

#[test]
fn certificate__should_be_explained_by_the_change_of_the_rules_where_its_record_is_older() {
    let mut scene = crate::scene();
    let (app_id, time) = issued_to(&scene);
    let mut leaf = Leaf::of(&app_id, time);
    leaf.valid(&app_id, time - 300, time + 86_401);
    scene.change_record(CERTIFICATE, |record| record.node.rules = 1);
    assert_eq!(at(&scene, CERTIFICATE), "identical");
    assert_eq!(replayed(&mut scene, leaf.sign()), "rules-changed");
    // Only what is issued is excused by it.
    scene.change(CERTIFICATE, |it| it.outcome = scene_denial());
    assert!(at(&scene, CERTIFICATE).starts_with("different outcome"));
}

fn scene_denial() -> kms_ledger::record::Outcome {
    kms_ledger::record::Outcome::Deny {
        code: "contract-denied".to_owned(),
        found: String::new(),
        expected: String::new(),
    }
}

#[test]
fn check__should_refuse_or_read_the_same_whatever_byte_is_changed() {
    let (app_id, time) = (AppId([0x2a; 20]), 1_800_000_000);
    let policy = CertificateTerms {
        app_ca_lifetime_s: 7_776_000,
        leaf_max_lifetime_s: 86_400,
        node_lifetime_s: 3_600,
        zone: "kms.internal".to_owned(),
    };
    let terms = Terms { app_id, time, policy: &policy };
    let honest = Leaf::of(&app_id, time).sign();
    let leaf = IssuedLeaf::check(&honest, &terms).unwrap();
    assert_eq!(leaf.names, [format!("{app_id}.kms.internal")]);
    assert_eq!((leaf.usages.as_slice(), leaf.validity), (&["server"][..], (time - 300, time + 86_400)));
    // The CA's key identifier and its signature, which end the certificate, are what a log does not show.
    let key_id = [0x30, 0x16, 0x80, 0x14];
    let key_id = honest.windows(4).position(|bytes| bytes == key_id).unwrap() + 4;
    let algorithm = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let signature = (0..honest.len()).rfind(|at| honest[*at..].starts_with(&algorithm)).unwrap() + 8 + 2;
    for at in 0..honest.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut changed = honest.clone();
            changed[at] ^= flip;
            let Ok(read) = IssuedLeaf::check(&changed, &terms) else { continue };
            assert!((key_id..key_id + 20).contains(&at) || at >= signature, "byte {at}");
            assert_eq!(read, leaf, "byte {at}");
        }
        assert!(IssuedLeaf::check(&honest[..at], &terms).is_err());
    }
}
