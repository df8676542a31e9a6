//! An allowed guest gets its keys; what changes them, and what does not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kms_attestation::ratls::subject_public_key_info;
use kms_proto::v1::{GetAppEnvPublicKeyRequest, SignAppCertificateRequest};
use kms_simulator::agent::Agent;
use kms_simulator::cvm::Cvm;
use kms_tests::guest::{booted, compose, compose_hash, instance};
use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::wire::{Wire, granted, refusal};
use kms_tests::world::{World, info};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::Value;
use tempfile::TempDir;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The files that the client makes, in the order of [`Keys`].
const FILES: [(&str, usize); 4] =
    [("disk.key", 32), ("env.key", 32), ("signing.key", 32), ("signing.endorsement", 65)];

/// What a guest got, as the files hold it.
#[derive(Debug, PartialEq, Eq)]
struct Keys {
    disk: Vec<u8>,
    env: Vec<u8>,
    signing: Vec<u8>,
    ca_chain: Vec<u8>,
    summary: Value,
}

/// Boots a guest with `kms-client`, and reads what it got.
async fn boot(world: &World, node: &Node, cvm: Cvm) -> Keys {
    let folder = TempDir::new_in("/dev/shm").unwrap();
    let agent = Agent::start(folder.path().join("agent.sock"), cvm).unwrap();
    let pins = folder.path().join("pins.json");
    fs::write(&pins, world.pins(node, &[world.measurement]).await).unwrap();
    let out = folder.path().join("keys");
    let more = ["--out", out.to_str().unwrap(), "--give-up-after", "20"];
    let output = world.client(&[node.address().to_string()], agent.path(), &pins, &more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = agent.with_cvm(|cvm| cvm.event_log());
    let names: Vec<_> = log.events().iter().rev().map(|event| event.name.as_str()).collect();
    assert!(names.starts_with(&["key-provider", "os-image-hash", "boot-mr-done"]), "{names:?}");
    read(&out, &output.stdout)
}

fn read(folder: &Path, summary: &[u8]) -> Keys {
    let file = |name: &str| fs::read(folder.join(name)).unwrap();
    for (name, length) in FILES {
        let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, file(name).len()), (0o600, length), "{name}");
    }
    Keys {
        disk: file("disk.key"),
        env: file("env.key"),
        signing: file("signing.key"),
        ca_chain: file("ca.chain.der"),
        summary: serde_json::from_slice(summary).unwrap(),
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn guest__should_get_keys_that_only_app_instance_and_root_decide() {
    let world = World::shared();
    let mut node = world.node(&[]).await;
    let app = world.app("happy");
    world.seen_by(&node).await;
    let first = boot(&world, &node, world.guest(&app)).await;
    assert_eq!(first.summary["app_id"], app.id.to_string());
    assert_eq!(first.summary["node_measurement"], world.measurement.to_string());

    // The record that the client was told of is the entry of the log with that index and that hash.
    let entry = &node.log()[first.summary["record"]["index"].as_u64().unwrap() as usize];
    assert_eq!(first.summary["record"]["leaf_hash"], hex::encode(entry.leaf_hash));
    let record = entry.decision().unwrap();
    assert_eq!(record["outcome"]["verdict"], "allow");
    assert_eq!(record["who"]["open"]["app_id"], app.id.to_string());
    let log = node.process().said();
    for secret in [&first.disk, &first.env, &first.signing, &fs::read(node.root_file()).unwrap()] {
        assert!(!log.contains(&hex::encode(secret)));
        for file in files(&node.ledger_folder()) {
            let content = fs::read(&file).unwrap();
            assert!(!content.windows(secret.len()).any(|window| window == &secret[..]), "{}", file.display());
        }
    }

    // An update that the owner allows.
    let update = compose("happy, version 2");
    world.chain.allow_code(app.id, compose_hash(&update));
    world.seen_by(&node).await;
    let simulated = &world.simulated;
    let (host, image) = (simulated.host(1), simulated.image());
    let updated = boot(&world, &node, booted(host, image, app.id, &update, instance(0x11))).await;
    assert_eq!((&updated.disk, &updated.env, &updated.signing), (&first.disk, &first.env, &first.signing));

    // Another instance has a disk of its own, and all else in common.
    let second = boot(&world, &node, booted(host, image, app.id, &app.compose, instance(0x22))).await;
    assert_ne!(second.disk, first.disk);
    assert_eq!((&second.env, &second.signing), (&first.env, &first.signing));

    // Another app has nothing in common.
    let other = world.app("happy, another");
    world.seen_by(&node).await;
    let others = boot(&world, &node, world.guest(&other)).await;
    assert!(others.disk != first.disk && others.env != first.env && others.signing != first.signing);
    assert_ne!(others.ca_chain, first.ca_chain);

    // The same root after a restart: the same keys.
    assert!(node.stop().success());
    node.restart();
    node.await_serving().await;
    let again = boot(&world, &node, world.guest(&app)).await;
    assert_eq!((&again.disk, &again.env, &again.signing), (&first.disk, &first.env, &first.signing));
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_evidence__should_be_of_this_very_session() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let app = world.app("fresh");
    world.seen_by(&node).await;
    let folder = TempDir::new_in("/dev/shm").unwrap();
    let agent = Agent::start(folder.path().join("agent.sock"), world.guest(&app)).unwrap();
    let pins = folder.path().join("pins.json");
    fs::write(&pins, world.pins(&node, &[world.measurement]).await).unwrap();
    let out = folder.path().join("keys");
    let more = ["--out", out.to_str().unwrap(), "--give-up-after", "20", "--fresh", "--no-events"];
    let output = world.client(&[node.address().to_string()], agent.path(), &pins, &more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs `kmsctl`, which must succeed.
fn kmsctl(arguments: &[&str]) -> String {
    let output = Command::new(program("kmsctl")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn environment__should_reach_the_app_alone_by_the_tools_that_people_use() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let (app, other) = (world.app("environment"), world.app("another environment"));
    world.seen_by(&node).await;
    let folder = TempDir::new_in("/dev/shm").unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pins, blob, id) = (path("pins.json"), path("env.blob"), format!("0x{}", app.id));

    // Who deploys the app: asks the node what it is, and for the key that the root has signed.
    let root = world.simulated.root_certificate();
    let address = node.address().to_string();
    kmsctl(&["node", "info", &address, "--root", root.to_str().unwrap(), "--pins", &pins]);
    let mut wire = Wire::connect(node.address()).await;
    let asked = GetAppEnvPublicKeyRequest { app_id: app.id.0.to_vec() };
    let key = granted(wire.public.get_app_env_public_key(asked).await).into_inner();
    let signer = hex::encode(info(&node).await.root.unwrap().k256_public_key);
    let (public_key, signature) = (hex::encode(key.public_key), hex::encode(key.signature));
    let time = key.timestamp.to_string();
    let proof = ["--root-key", &signer, "--signature", &signature, "--timestamp", &time];
    let encrypt =
        ["env", "encrypt", "--app", &id, "--public-key", &public_key, "--output", &blob, "WORD=open"];
    kmsctl(&[&encrypt[..], &proof].concat());

    // The guest, with the pins that kmsctl wrote.
    let boot = |number: usize, cvm: Cvm| {
        let agent = Agent::start(folder.path().join(format!("{number}.sock")), cvm).unwrap();
        let out = path(&number.to_string());
        let more = ["--out", &out, "--give-up-after", "20"];
        let output = world.client(std::slice::from_ref(&address), agent.path(), pins.as_ref(), &more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("{out}/env.key")
    };
    let key = boot(1, world.guest(&app));
    assert_eq!(kmsctl(&["env", "decrypt", "--app", &id, "--key-file", &key, &blob]).trim(), "WORD='open'");
    let wrong = boot(2, world.guest(&other));
    let mut command = Command::new(program("kmsctl"));
    let refused =
        command.args(["env", "decrypt", "--app", &id, "--key-file", &wrong, &blob]).output().unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

/// A request for a certificate of that name, and the key in it.
fn request(name: &str, lifetime_seconds: u64) -> (SignAppCertificateRequest, Vec<u8>) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate_request = params.serialize_request(&key).unwrap().der().to_vec();
    (SignAppCertificateRequest { certificate_request, lifetime_seconds }, key.subject_public_key_info())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate__should_be_issued_within_policy_to_the_app_of_the_connection() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let app = world.app("certified");
    world.seen_by(&node).await;
    let mut wire = Wire::connect(node.address()).await;
    granted(wire.boot_as(&world.guest(&app)).await);
    let name = format!("api.{}.kms.internal", app.id);
    let (asked, key) = request(&name, 3600);
    let issued = granted(wire.boot.sign_app_certificate(asked.clone()).await).into_inner();

    let [leaf, ca, root] = <[_; 3]>::try_from(issued.chain).unwrap().map(CertificateDer::from);
    assert_eq!(subject_public_key_info(&leaf).unwrap(), key);
    assert_eq!(root, wire.chain[1], "the root CA of the node's own certificate");
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(kms_tests::simulated::unix_now()));
    let checked = EndEntityCert::try_from(&leaf).unwrap();
    checked
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor_from_trusted_cert(&root).unwrap()],
            &[ca],
            now,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .unwrap();
    let server_name = name.as_str().try_into().unwrap();
    checked.verify_is_valid_for_subject_name(&server_name).unwrap();
    let (leaf_hash, record) = node.decisions().pop().unwrap();
    let reference = issued.record.unwrap();
    assert_eq!(reference.leaf_hash, leaf_hash);
    assert_eq!(record["release"], reference.index - 1, "the release on the same connection");
    assert_eq!(
        (&record["subject"], &record["outcome"]["verdict"]),
        (&"app-certificate".into(), &"allow".into())
    );

    for (name, lifetime, code) in [
        ("api.example.org", 3600, "certificate-name-outside"),
        (&name, 0, "certificate-lifetime"),
        (&name, 365 * 86_400, "certificate-lifetime"),
    ] {
        let refused = refusal(wire.boot.sign_app_certificate(request(name, lifetime).0).await);
        assert_eq!(refused.code, code, "{name} for {lifetime} s");
    }
    let garbage = SignAppCertificateRequest { certificate_request: vec![0x30; 100], lifetime_seconds: 3600 };
    assert_eq!(refusal(wire.boot.sign_app_certificate(garbage).await).code, "certificate-request");

    // A revocation ends certificates too, on the connection that was allowed before.
    world.chain.revoke_code(app.id, compose_hash(&app.compose));
    world.seen_by(&node).await;
    assert_eq!(refusal(wire.boot.sign_app_certificate(asked).await).code, "contract-denied");
}
