//! Evidence for auditors alone: a listener for those with a certificate of the operator's choice, and logs whose tree does
//! not say who asked.

use std::fs;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kms_ledger::http::Trust;
use kms_ledger::{LogPath, Source};
use kms_tests::asking::{until_granted, until_refused_with};
use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::world::{App, World};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;

use crate::audit::{Auditor, Run};

/// Whose certificates let auditors in, or do not.
struct Ca(CertifiedIssuer<'static, KeyPair>);

/// Whether a certificate still counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Current,
    Expired,
}

/// A certificate and its key, as files.
struct Shown {
    certificate: PathBuf,
    key: PathBuf,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for an auditor, in files that begin with that name.
    fn issue(&self, auditor: &Auditor, name: &str, life: Life) -> Shown {
        let mut params = CertificateParams::new(vec!["auditor.example".to_owned()]).unwrap();
        if life == Life::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let shown = Shown {
            certificate: auditor.path(&format!("{name}.pem")),
            key: auditor.path(&format!("{name}.key")),
        };
        fs::write(&shown.certificate, leaf.pem()).unwrap();
        fs::write(&shown.key, key.serialize_pem()).unwrap();
        only_for_its_owner(&shown.key);
        shown
    }
}

fn only_for_its_owner(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An auditor who was let in, and what they know of the node.
struct Scene {
    auditor: Auditor,
    ca: Ca,
    node: Node,
    root_ca: PathBuf,
}

impl Scene {
    /// A node that serves its log to everybody, and evidence to those alone whom this CA has certified.
    async fn of(world: &World, more: &[&str]) -> Self {
        let (auditor, ca) = (Auditor::new(world), Ca::new("auditors"));
        let (ca_file, root_ca) = (auditor.path("auditors.pem"), auditor.path("root-ca.pem"));
        fs::write(&ca_file, ca.0.pem()).unwrap();
        let ca_file = format!("ledger.auditors.client_ca_file={}", ca_file.display());
        let settings =
            ["ledger.address=127.0.0.1:0", "ledger.auditors.address=127.0.0.1:0", ca_file.as_str()];
        let node = world.node(&[&settings[..], more].concat()).await;
        // The way of the documentation: the root CA's certificate comes from the attested node.
        let mut info = Command::new(program("kmsctl"));
        info.args(["node", "info", &node.address().to_string(), "--json", "--root"]);
        info.arg(world.simulated.root_certificate()).arg("--root-ca").arg(&root_ca);
        let told = info.output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert!(told["log"]["key"].as_str().unwrap().contains('+'), "{told}");
        assert_eq!(
            (&told["log"]["witnesses"], &told["log"]["witnessed_size"]),
            (&Value::Array(vec![]), &Value::Null)
        );
        Self { auditor, ca, node, root_ca }
    }

    fn private(&self) -> String {
        format!("https://localhost:{}", self.node.auditors_address().port())
    }

    fn public(&self) -> String {
        format!("http://{}", self.node.log_address())
    }

    /// Runs a command on the auditors' listener, with that certificate.
    fn ask(&self, command: &str, shown: Option<&Shown>, more: &[&str]) -> Run {
        let mut words = vec!["--ca", text(&self.root_ca), "--json"];
        if let Some(shown) = shown {
            words.extend(["--client-cert", text(&shown.certificate), "--client-key", text(&shown.key)]);
        }
        self.auditor.run(command, self.private(), &[&words[..], more].concat())
    }
}

/// Whether a listener lets in whoever shows that, by that version; with which alert it does not.
fn let_in(
    address: SocketAddr,
    root: &Path,
    shown: Option<&Shown>,
    version: &'static SupportedProtocolVersion,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(Shown { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    };
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    // A client has shown its certificate before the server has looked at it: what comes then is an alert, or nothing.
    match StreamOwned::new(client, stream).read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(read) => Err(format!("{read} bytes, and no alert")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors__should_get_the_evidence_that_nobody_else_gets() {
    let world = World::shared();
    let scene = Scene::of(&world, &[]).await;
    let app = world.app("for auditors");
    world.seen_by(&scene.node).await;
    until_granted(&scene.node, &world.guest(&app)).await;
    let records = scene.node.log().len();
    let auditor = scene.ca.issue(&scene.auditor, "auditor", Life::Current);

    let verified = scene.ask("verify", Some(&auditor), &[]).exits(0).json();
    assert_eq!((&verified["verified"], &verified["result"]["evidence"]), (&true.into(), &"complete".into()));
    assert!(verified["result"]["records"].as_u64().unwrap() >= records as u64);
    let replayed = scene.ask("replay", Some(&auditor), &[]).exits(0).json();
    assert_eq!(replayed["tally"]["findings"], serde_json::json!([]));
    assert_eq!(replayed["tally"]["answers"]["app-keys allow"], 1);
    // The key of the log is the one that a quote vouches for: the listener has the evidence for that too.
    assert_eq!(replayed["log"]["key_from"], "quote");

    // In public there is the tree, and no blob.
    let key = verified["log"]["key"].as_str().unwrap();
    let public = scene.auditor.run("verify", scene.public(), &["--key", key, "--json"]).exits(3).json();
    assert_eq!((&public["verified"], &public["result"]["evidence"]), (&true.into(), &"withheld".into()));
    let source = Source::web(&scene.public(), Trust::default()).unwrap();
    for id in scene.node.log().iter().flat_map(|entry| entry.record.blobs()) {
        assert_eq!(source.get(LogPath::Blob(id)).await.unwrap(), None, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors__should_not_be_anybody_else() {
    let world = World::shared();
    let scene = Scene::of(&world, &[]).await;
    let auditor = scene.ca.issue(&scene.auditor, "auditor", Life::Current);
    let expired = scene.ca.issue(&scene.auditor, "expired", Life::Expired);
    // Of a CA that calls itself like the operator's, and of one that does not.
    let impostor = Ca::new("auditors").issue(&scene.auditor, "impostor", Life::Current);
    let foreign = Ca::new("others").issue(&scene.auditor, "foreign", Life::Current);
    scene.ask("show", Some(&auditor), &["0"]).exits(0);
    let at = scene.node.auditors_address();
    let speak = |shown, version| let_in(at, &scene.root_ca, shown, version);
    for (shown, alert) in [
        (None, "CertificateRequired"),
        (Some(&foreign), "UnknownCA"),
        (Some(&impostor), "DecryptError"),
        (Some(&expired), "CertificateExpired"),
    ] {
        for command in ["verify", "replay"] {
            let refused = scene.ask(command, shown, &[]).exits(3);
            assert!(refused.stderr.contains("log-source-unavailable"), "{alert}: {}", refused.stderr);
        }
        let said = speak(shown, &rustls::version::TLS13).unwrap_err();
        assert!(said.contains(alert), "{alert}: {said}");
    }
    assert_eq!(speak(Some(&auditor), &rustls::version::TLS13), Ok(()));
    let older = speak(Some(&auditor), &rustls::version::TLS12).unwrap_err();
    assert!(older.contains("ProtocolVersion"), "{older}");
    // A server that the auditor does not trust learns nothing of them.
    let shown = ["--client-cert", text(&auditor.certificate), "--client-key", text(&auditor.key)];
    let untrusted = scene.auditor.run("verify", scene.private(), &shown).exits(3);
    assert!(untrusted.stderr.contains("UnknownIssuer"), "{}", untrusted.stderr);
    // By another name than those in its certificate, it is another server.
    let misnamed = format!("https://127.0.0.1:{}", at.port());
    let more = [&shown[..], &["--ca", text(&scene.root_ca)]].concat();
    scene.auditor.run("verify", &misnamed, &more).exits(3);

    // What cannot work is said before anything is asked.
    let usage = |log: &str, certificate: &Path, key: &Path| {
        let words = ["--client-cert", text(certificate), "--client-key", text(key)];
        scene.auditor.run("verify", log, &words).exits(2).stderr
    };
    let said = usage(&scene.private(), &auditor.certificate, &foreign.key);
    assert!(said.contains("log-client-invalid") && said.contains("not the certificate's"), "{said}");
    assert!(said.contains(text(&foreign.key)), "{said}");
    let said = usage(&scene.public(), &auditor.certificate, &auditor.key);
    assert!(said.contains("log-source-invalid") && said.contains("over TLS alone"), "{said}");
    assert!(usage(&scene.private(), &auditor.key, &auditor.key).contains("no certificate"));
    assert!(usage(&scene.private(), &auditor.certificate, &auditor.certificate).contains("key-file-exposed"));
    only_for_its_owner(&auditor.certificate);
    assert!(usage(&scene.private(), &auditor.certificate, &auditor.certificate).contains("no private key"));
    let alone = ["--client-cert", text(&auditor.certificate)];
    assert!(scene.auditor.run("verify", scene.private(), &alone).exits(2).stderr.contains("--client-key"));
}

/// The bytes of every tile and bundle that anybody may read.
fn published(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        bytes.extend(if path.is_dir() { published(&path) } else { fs::read(&path).unwrap() });
    }
    bytes
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn indices(found: &Value) -> Vec<u64> {
    found.as_array().unwrap().iter().map(|it| it["index"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_log__should_name_nobody_in_its_tree_and_replay_whole_for_auditors() {
    let world = World::shared();
    let scene = Scene::of(&world, &["ledger.identities=sealed"]).await;
    let [one, other] = ["sealed", "sealed too"].map(|name| world.app(name));
    world.seen_by(&scene.node).await;
    let release = async |app: &App| until_granted(&scene.node, &world.guest(app)).await.record.unwrap().index;
    let first = release(&one).await;
    release(&other).await;
    let last = release(&one).await;
    // Refused by the contract, with a text that names the device: sealed as well.
    let elsewhere = world.guest_on(&one, 2);
    until_refused_with(&scene.node, &elsewhere, "contract-denied").await;
    let records = scene.node.log();

    let tree = published(&scene.node.ledger_folder().join("log/tile"));
    assert!(holds(&tree, b"contract-denied"), "the tree is what was looked at");
    for id in [one.id, other.id] {
        assert!(!holds(&tree, &id.0) && !holds(&tree, id.to_string().trim_start_matches("0x").as_bytes()));
    }
    for host in [1, 2] {
        assert!(!holds(&tree, &world.simulated.host(host).device_id().0));
    }

    let auditor = scene.ca.issue(&scene.auditor, "auditor", Life::Current);
    let replayed = scene.ask("replay", Some(&auditor), &[]).exits(0).json();
    let tally = &replayed["tally"];
    assert_eq!(tally["results"].as_object().unwrap().keys().collect::<Vec<_>>(), ["identical"], "{tally}");
    assert_eq!(tally["answers"]["app-keys allow"], 3);
    assert!(tally["records"].as_u64().unwrap() >= records.len() as u64);
    let of_one = ["--app", &one.id.to_string(), "--code", "allow"];
    assert_eq!(indices(&scene.ask("search", Some(&auditor), &of_one).exits(0).json()), [first, last]);

    // Whoever has no blobs cannot know, and is told so: an empty list would be an answer.
    let key = replayed["log"]["key"].as_str().unwrap();
    let device = world.simulated.host(1).device_id().to_string();
    for words in [["--app", &one.id.to_string()], ["--device", &device]] {
        let blind =
            scene.auditor.run("search", scene.public(), &[&["--key", key, "--json"], &words[..]].concat());
        let blind = blind.exits(3);
        assert_eq!(blind.json(), serde_json::json!([]));
        assert!(blind.stderr.contains("4 more may fit"), "{}", blind.stderr);
    }
    let by_code = ["--key", key, "--json", "--code", "contract-denied"];
    assert_eq!(indices(&scene.auditor.run("search", scene.public(), &by_code).exits(0).json()).len(), 1);
}
