//! `kms-client --certificate-for`: an app's server gets its certificate with its keys, under the KMS root and within policy.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use kms_attestation::ratls::subject_public_key_info;
use kms_tests::node::Node;
use kms_tests::simulated::unix_now;
use kms_tests::world::{World, info};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::client::Guest;

fn at(node: &Node) -> [String; 1] {
    [node.address().to_string()]
}

/// Whether a chain of three leads to its root for that usage.
fn leads_to_root(chain: &[CertificateDer<'static>], usage: KeyUsage) -> bool {
    let [leaf, ca, root] = chain else { panic!("{} certificates", chain.len()) };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(unix_now()));
    EndEntityCert::try_from(leaf)
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor_from_trusted_cert(root).unwrap()],
            std::slice::from_ref(ca),
            now,
            usage,
            None,
            None,
        )
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn app_certificate__should_come_with_the_keys_and_lead_to_the_root() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let app = world.app("certified server");
    let guest = Guest::of(&world, &app, &world.pins(&node, &[world.measurement]).await);
    world.seen_by(&node).await;
    let names = [format!("{}.kms.internal", app.id), format!("api.{}.kms.internal", app.id)];
    let words = ["--certificate-for", &names[0], &names[1], "--certificate-lifetime", "3600"];
    let output = guest.ask(&world, &at(&node), &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let path = |name: &str| guest.keys().join(name);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path("certificate.chain.pem")).unwrap().map(Result::unwrap).collect();
    assert!(leads_to_root(&chain, KeyUsage::server_auth()));
    assert!(!leads_to_root(&chain, KeyUsage::client_auth()), "only what was asked for");
    let root = info(&node).await.root.unwrap();
    assert_eq!(chain[2].as_ref(), root.ca_certificate, "the KMS root CA");
    // The app's CA is certified anew for each answer, with the same key.
    let (released, ca_key) =
        (fs::read(path("ca.chain.der")).unwrap(), subject_public_key_info(&chain[1]).unwrap());
    assert!(released.ends_with(&chain[2]) && released.windows(ca_key.len()).any(|part| part == ca_key));
    let leaf = EndEntityCert::try_from(&chain[0]).unwrap();
    for name in &names {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name.as_str()).unwrap()).unwrap();
    }
    let other = ServerName::try_from("www.example.org").unwrap();
    assert!(leaf.verify_is_valid_for_subject_name(&other).is_err());

    // The key beside it is the leaf's, and its owner's alone.
    let key = path("certificate.key.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let pair = KeyPair::from_pem(&fs::read_to_string(&key).unwrap()).unwrap();
    assert_eq!(pair.subject_public_key_info(), subject_public_key_info(&chain[0]).unwrap());

    // The node's record of it is the one that the client names.
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (digest, record) = &node.records()[1];
    assert_eq!(summary["certificate_record"]["digest"], hex::encode(digest));
    assert_eq!(record["subject"], "app-certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_certificate__should_be_refused_as_a_whole_and_leave_nothing() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let app = world.app("greedy server");
    let guest = Guest::of(&world, &app, &world.pins(&node, &[world.measurement]).await);
    world.seen_by(&node).await;
    let own = format!("{}.kms.internal", app.id);
    let refused = |words: &[&str], exit: i32, code: &str| {
        guest.expect(&guest.ask(&world, &at(&node), words), exit, code);
    };
    refused(&["--certificate-for", "www.example.org"], 10, "certificate-name-outside");
    refused(&["--certificate-for", &own, "www.example.org"], 10, "certificate-name-outside");
    refused(&["--certificate-for", &own, "--certificate-lifetime", "31536000"], 10, "certificate-lifetime");
    refused(&["--certificate-for", "127.0.0.1"], 2, "certificate-names-invalid");

    // Both usages, where both are asked for.
    let words = ["--certificate-for", &own, "--certificate-usage", "server", "client"];
    let output = guest.ask(&world, &at(&node), &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(guest.keys().join("certificate.chain.pem"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
    assert!(leads_to_root(&chain, KeyUsage::server_auth()) && leads_to_root(&chain, KeyUsage::client_auth()));
}
