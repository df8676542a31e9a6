//! `kms-client` before nodes that are not the ones it was told to trust: it asks nothing of them, and says why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use kms_attestation::ids::{MrAggregated, RootEpoch};
use kms_attestation::ratls::pair_extensions;
use kms_client::secret::Secret;
use kms_node::hardening::{MemoryLocking, harden};
use kms_node::keys::{CertificatePolicy, DnsName, LeafPublicKey, Lifetime, NodeRequest, RootSecret};
use kms_simulator::agent::Agent;
use kms_tests::node::Node;
use kms_tests::relay::{Mask, Relay};
use kms_tests::simulated::unix_now;
use kms_tests::world::{App, World, info};
use rcgen::{KeyPair, PublicKeyData as _};
use tempfile::TempDir;

/// More than a challenge and HTTP/2's own words; a quote alone has 5000.
const A_NONCE_AND_NO_QUOTE: u64 = 1500;

/// A guest with the client's files.
pub(crate) struct Guest {
    folder: TempDir,
    agent: Agent,
    pins: PathBuf,
}

impl Guest {
    pub(crate) fn new(world: &World, app: &str, pins: &str) -> Self {
        Self::of(world, &world.app(app), pins)
    }

    pub(crate) fn of(world: &World, app: &App, pins: &str) -> Self {
        let folder = TempDir::new_in("/dev/shm").unwrap();
        let agent = Agent::start(folder.path().join("agent.sock"), world.guest(app)).unwrap();
        let file = folder.path().join("pins.json");
        fs::write(&file, pins).unwrap();
        Self { folder, agent, pins: file }
    }

    /// The folder that the client writes to.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The guest agent's socket.
    pub(crate) fn socket(&self) -> &Path {
        self.agent.path()
    }

    /// Runs the client once at each node, without a second round.
    pub(crate) fn ask(&self, world: &World, nodes: &[String], more: &[&str]) -> Output {
        let out = self.keys();
        let mut arguments = vec!["--out", out.to_str().unwrap(), "--give-up-after", "0"];
        arguments.extend(more);
        world.client(nodes, self.agent.path(), &self.pins, &arguments)
    }

    /// That the client ended with this code, said this, and left no key.
    pub(crate) fn expect(&self, output: &Output, exit: i32, text: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(said.contains(text), "{said}");
        let left = fs::read_dir(self.keys()).map(Iterator::count);
        assert_eq!(left.unwrap_or(0), 0, "files where no keys should be");
    }
}

fn at(node: &Node) -> [String; 1] {
    [node.address().to_string()]
}

#[tokio::test(flavor = "multi_thread")]
async fn client__should_refuse_a_node_that_is_not_pinned() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let other = world.node(&[]).await;

    let foreign = Guest::new(&world, "foreign root", &world.pins(&other, &[world.measurement]).await);
    world.seen_by(&node).await;
    foreign.expect(&foreign.ask(&world, &at(&node), &[]), 10, "node-not-pinned: found another root CA");

    let pins = world.pins(&node, &[MrAggregated([0x42; 32])]).await;
    let changed = Guest::new(&world, "other code", &pins);
    let found = format!("node-not-pinned: found the measurement {}", world.measurement);
    changed.expect(&changed.ask(&world, &at(&node), &[]), 10, &found);

    // The root CA is the right one, the root that signs apps' keys is not: the keys are not used.
    let own = world.pins(&node, &[world.measurement]).await;
    let (mine, theirs) = (info(&node).await.root.unwrap(), info(&other).await.root.unwrap());
    let mixed = own.replace(&hex::encode(mine.k256_public_key), &hex::encode(theirs.k256_public_key));
    assert_ne!(own, mixed);
    let mixed = Guest::new(&world, "mixed pins", &mixed);
    world.seen_by(&node).await;
    mixed.expect(&mixed.ask(&world, &at(&node), &[]), 10, "node-not-pinned");
}

#[tokio::test(flavor = "multi_thread")]
async fn client__should_send_a_relay_nothing_but_a_nonce() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let guest = Guest::new(&world, "lured", &world.pins(&node, &[world.measurement]).await);
    world.seen_by(&node).await;

    let relay = Relay::start(node.address(), Mask::self_signed()).await;
    let output = guest.ask(&world, &[relay.address().to_string()], &[]);
    guest.expect(&output, 10, "node-not-pinned");
    assert!(relay.heard() < A_NONCE_AND_NO_QUOTE, "{} bytes", relay.heard());

    // Even one that has the KMS root CA's signature on its key, and passes on the genuine quote of a genuine node.
    let relay = Relay::start(node.address(), stolen(&node).await).await;
    for more in [&[][..], &["--fresh"]] {
        let output = guest.ask(&world, &[relay.address().to_string()], more);
        guest.expect(&output, 10, "binding-mismatch");
    }
    assert!(relay.heard() < 2 * A_NONCE_AND_NO_QUOTE, "{} bytes", relay.heard());
    assert!(node.records().is_empty());

    guest_gets_keys(&guest, &world, &node);
}

/// The same guest at the node itself.
fn guest_gets_keys(guest: &Guest, world: &World, node: &Node) {
    let output = guest.ask(world, &at(node), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate by the node's own root CA over a key that is not the node's.
async fn stolen(node: &Node) -> Mask {
    let hardened = harden(MemoryLocking::InsecureOff).unwrap();
    let root = hex::decode(fs::read_to_string(node.root_file()).unwrap().trim()).unwrap();
    let secret = Secret::copy_of(&root).unwrap();
    let root = RootSecret::from_secret(RootEpoch(0), secret, &hardened).unwrap().keys().unwrap();
    let shown = info(node).await.node.unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let request = NodeRequest {
        public_key: LeafPublicKey::from_spki_der(&key.subject_public_key_info()).unwrap(),
        names: BTreeSet::from([DnsName::parse("localhost").unwrap()]),
        lifetime: Lifetime::from_secs(3600).unwrap(),
        evidence: pair_extensions(&shown.quote, &shown.event_log).unwrap().into(),
    };
    let policy = CertificatePolicy::new(DnsName::parse("kms.internal").unwrap()).unwrap();
    let root_ca = root.root_ca();
    let leaf = root_ca.issue_node(request, &policy, unix_now()).unwrap();
    Mask { chain: vec![leaf.der.into(), root_ca.certificate().to_vec().into()], key }
}

#[tokio::test(flavor = "multi_thread")]
async fn client__should_go_on_to_the_next_node() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let guest = Guest::new(&world, "persistent", &world.pins(&node, &[world.measurement]).await);
    world.seen_by(&node).await;
    let relay = Relay::start(node.address(), Mask::self_signed()).await;
    let nodes = ["127.0.0.1:1".to_owned(), relay.address().to_string(), node.address().to_string()];
    let output = guest.ask(&world, &nodes, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("127.0.0.1:1: node-unreachable") && said.contains("node-not-pinned"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code__should_tell_what_to_do_next() {
    let world = World::shared();
    let node = world.node(&[]).await;
    let pins = world.pins(&node, &[world.measurement]).await;
    let guest = Guest::new(&world, "exits", &pins);
    world.seen_by(&node).await;
    let nowhere = ["127.0.0.1:1".to_owned()];
    guest.expect(&guest.ask(&world, &nowhere, &[]), 3, "node-unreachable");

    // An app that the contract does not know: no other node would say otherwise.
    let unknown = App { id: kms_attestation::ids::AppId([9; 20]), compose: vec![b'{', b'}'] };
    let agent = Agent::start(guest.folder.path().join("unknown.sock"), world.guest(&unknown)).unwrap();
    let out = guest.folder.path().join("keys");
    let arguments = ["--out", out.to_str().unwrap()];
    let denied = world.client(&at(&node), agent.path(), &guest.pins, &arguments);
    guest.expect(&denied, 10, "contract-denied");
    assert!(String::from_utf8_lossy(&denied.stderr).contains("App not registered"));

    // Files that cannot be used; the node is not even asked.
    let garbage = guest.folder.path().join("garbage.json");
    fs::write(&garbage, "{}").unwrap();
    let unusable = world.client(&at(&node), guest.agent.path(), &garbage, &arguments);
    guest.expect(&unusable, 2, "pins-invalid");
    let disk = tempfile::tempdir().unwrap();
    if fs::read_to_string("/proc/mounts").unwrap().contains(" /tmp tmpfs") {
        eprintln!("SKIPPED: keys on a disk; /tmp is in memory");
    } else {
        let arguments = ["--out", disk.path().to_str().unwrap()];
        let unusable = world.client(&at(&node), guest.agent.path(), &guest.pins, &arguments);
        guest.expect(&unusable, 2, "is not in memory");
    }
    let no_socket = guest.folder.path().join("none.sock");
    let unusable = world.client(&at(&node), &no_socket, &guest.pins, &arguments);
    guest.expect(&unusable, 2, "error:");
}
