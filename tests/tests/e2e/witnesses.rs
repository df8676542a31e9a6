//! A node's log and those who watch it: cosigned for auditors, a stop without them, and no release from a log that they know
//! otherwise. The witnesses are processes too.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use kms_ledger::note::{LogKey, WitnessKey};
use kms_ledger::{LogPath, SignedCheckpoint};
use kms_simulator::cvm::Cvm;
use kms_tests::asking::{until, until_granted, until_refused_with};
use kms_tests::http::get;
use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::wire::{Wire, granted};
use kms_tests::witness::{Between, Obstacle, Witness, free_address, setting, setting_at};
use kms_tests::world::{World, info};
use tempfile::TempDir;
use tonic_health::ServingStatus;

const QUORUM_OF_TWO: &str = "ledger.witness_quorum=2";
const STOP: &str = "ledger.stop_without_witnesses_s=6";

async fn log_key(node: &Node) -> LogKey {
    let log = info(node).await.log.unwrap();
    LogKey::new(log.origin.parse().unwrap(), log.public_key.try_into().unwrap())
}

/// The folder that is served.
fn log_of(node: &Node) -> std::path::PathBuf {
    node.ledger_folder().join("log")
}

/// A checkpoint of the node's log, as it is served.
fn checkpoint(node: &Node, path: LogPath, key: &LogKey) -> Option<SignedCheckpoint> {
    let bytes = fs::read(log_of(node).join(path.to_string())).ok()?;
    Some(SignedCheckpoint::open(&bytes, key).unwrap())
}

fn size(checkpoint: &SignedCheckpoint) -> u64 {
    checkpoint.checkpoint().size
}

/// Waits until a checkpoint of at least so many entries is shown that these witnesses have cosigned.
async fn witnessed(node: &Node, key: &LogKey, entries: u64, by: &[&WitnessKey]) -> SignedCheckpoint {
    until("a witnessed checkpoint", async || {
        let shown = checkpoint(node, LogPath::Witnessed, key)?;
        let by_all = by.iter().all(|witness| shown.cosigned_at(witness).is_ok());
        (size(&shown) >= entries && by_all).then_some(shown)
    })
    .await
}

/// Has keys released; how many entries the log must have then.
async fn release(node: &Node, cvm: &Cvm) -> u64 {
    until_granted(node, cvm).await.record.unwrap().index + 1
}

fn verify(place: &str, key: &LogKey, more: &[&str]) -> Output {
    let mut command = Command::new(program("kmsctl"));
    command.args(["audit", "verify", place, "--key", &key.to_string()]).args(more);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// A whole number on the page of metrics.
fn sample(node: &Node, name: &str) -> Option<u64> {
    let page = get(std::net::TcpStream::connect(node.metrics()).unwrap(), "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

async fn not_serving(node: &Node) {
    until("a node that does not serve", async || {
        (node.health().await == Some(ServingStatus::NotServing)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log__should_be_cosigned_for_auditors_though_one_of_three_is_down() {
    let world = World::shared();
    let [mut one, mut two, three] = [Witness::new(), Witness::new(), Witness::new()];
    let witnesses = setting([&one, &two, &three]);
    let mut node = world
        .node(&[
            &witnesses,
            QUORUM_OF_TWO,
            "metrics.address=127.0.0.1:0",
            "ledger.address=127.0.0.1:0",
            "ledger.serve_evidence=served",
        ])
        .await;
    let guest = world.guest(&world.app("watched over"));
    world.seen_by(&node).await;
    // Nobody watches yet, and nothing stops for that.
    let first = release(&node, &guest).await;
    let key = log_key(&node).await;
    assert_eq!(checkpoint(&node, LogPath::Witnessed, &key), None);
    one.start(&key);
    two.start(&key);
    let shown = witnessed(&node, &key, first, &[one.key(), two.key()]).await;
    assert!(shown.cosigned_at(three.key()).is_err());

    // While the log rests, the newest checkpoint is the cosigned one, for readers that know no other.
    until("cosignatures under the newest checkpoint", async || {
        let newest = checkpoint(&node, LogPath::Checkpoint, &key)?;
        newest.cosigned_at(one.key()).is_ok().then_some(())
    })
    .await;

    let place = format!("http://{}", node.log_address());
    let keys = [&one, &two, &three].map(|witness| witness.key().to_string());
    let [by_one, by_two, by_three] = keys.each_ref().map(String::as_str);
    let asked = ["--witness", by_one, "--witness", by_two, "--witness", by_three];
    let enough = verify(&place, &key, &[&asked[..], &["--witness-quorum", "2"]].concat());
    assert_eq!(enough.status.code(), Some(0), "{}", said(&enough));
    assert!(said(&enough).contains(&format!("cosigned by {} at 2", one.key().name())), "{}", said(&enough));
    let all = verify(&place, &key, &asked);
    assert_eq!(all.status.code(), Some(10), "{}", said(&all));
    assert!(said(&all).contains("audit-unwitnessed"), "{}", said(&all));

    let entries = sample(&node, "onchain_kms_log_witnessed_entries").unwrap();
    assert!(entries >= first, "{entries} of {first}");
    assert!(sample(&node, "onchain_kms_log_witnessed_age_seconds").unwrap() < 60);
    assert_eq!(sample(&node, "onchain_kms_log_contradicted"), Some(0));
    let of = |name: &str, witness: &Witness| {
        sample(&node, &format!("onchain_kms_{name}{{witness=\"{}\"}}", witness.key().name())).unwrap()
    };
    assert!(of("witness_cosigned_entries", &one) >= first);
    assert_eq!(of("witness_cosigned_entries", &three), 0);
    assert!(of("witness_failures_total", &three) >= 1);
    let told = info(&node).await.log.unwrap();
    assert_eq!((told.witnesses, told.witness_quorum), (keys.to_vec(), 2));
    assert!(told.witnessed_size.is_some_and(|size| size >= first) && told.witnessed_at.is_some());

    // Killed in the midst of it, it goes on where it was.
    release(&node, &guest).await;
    node.kill();
    node.restart();
    node.await_serving().await;
    let later = release(&node, &guest).await;
    let shown = witnessed(&node, &key, later, &[one.key(), two.key()]).await;
    assert!(size(&shown) > first);
    assert_eq!(node.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn releases__should_stop_without_a_quorum_and_go_on_with_one() {
    let world = World::shared();
    let [mut one, mut two, mut three] = [Witness::new(), Witness::new(), Witness::new()];
    let node =
        Node::start(&world.chain, &world.simulated, &[&setting([&one, &two, &three]), QUORUM_OF_TWO, STOP]);
    let guest = world.guest(&world.app("only when watched"));
    world.seen_by(&node).await;
    let refused = until_refused_with(&node, &guest, "log-unwitnessed").await;
    assert!(refused.found.contains("not cosigned since this node started"), "{refused:?}");
    assert_eq!(node.health().await, Some(ServingStatus::NotServing));
    let key = log_key(&node).await;
    one.start(&key);
    until_refused_with(&node, &guest, "log-unwitnessed").await;
    two.start(&key);
    node.await_serving().await;
    release(&node, &guest).await;

    two.kill();
    let refused = until_refused_with(&node, &guest, "log-unwitnessed").await;
    assert_eq!(refused.grpc, tonic::Code::Unavailable);
    assert!(refused.found.contains(two.key().name().as_str()), "who is missing: {refused:?}");
    not_serving(&node).await;
    let before = node.releases();
    three.start(&key);
    node.await_serving().await;
    release(&node, &guest).await;
    assert!(node.releases() > before);
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// The log's folder, as it was once.
struct Backup(TempDir);

impl Backup {
    fn of(node: &Node) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&node.ledger_folder(), &folder.path().join("ledger"));
        Self(folder)
    }

    /// Puts it in the place of what is there now, of a node that does not run.
    fn restore(&self, node: &Node) {
        fs::remove_dir_all(node.ledger_folder()).unwrap();
        copy(&self.0.path().join("ledger"), &node.ledger_folder());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_log__should_be_refused_before_anything_is_added_to_it() {
    let world = World::shared();
    let [mut one, two] = [Witness::new(), Witness::new()];
    // One of the two never runs: no quorum is needed to find out.
    let mut node = world.node(&[&setting([&one, &two])]).await;
    let guest = world.guest(&world.app("rolled back"));
    world.seen_by(&node).await;
    let key = log_key(&node).await;
    release(&node, &guest).await;
    node.stop();
    let old = Backup::of(&node);
    one.start(&key);
    node.restart();
    let seen = release(&node, &guest).await;
    until("the witness's memory", async || (remembered(&one, &key) >= seen).then_some(())).await;
    node.kill();
    let newest = Backup::of(&node);

    old.restore(&node);
    let held = published(&node, &key);
    node.restart();
    let refused = until_refused_with(&node, &guest, "log-contradicted").await;
    assert!(refused.found.contains("witness-ahead"), "{refused:?}");
    assert!(refused.fix.contains("Stop the node"), "{refused:?}");
    assert_eq!(node.health().await, Some(ServingStatus::NotServing));
    assert_eq!(published(&node, &key), held, "not even the start is added: it would be a fork");
    assert!(node.process().said().contains("the log is contradicted"));
    assert!(node.stop().success());
    assert_eq!(published(&node, &key), held, "nor the stop");

    newest.restore(&node);
    node.restart();
    node.await_serving().await;
    assert!(release(&node, &guest).await > seen);
}

fn published(node: &Node, key: &LogKey) -> u64 {
    checkpoint(node, LogPath::Checkpoint, key).map_or(0, |newest| size(&newest))
}

/// How many entries of the log a witness has seen.
fn remembered(witness: &Witness, key: &LogKey) -> u64 {
    witness.remembered(key).map_or(0, |seen| size(&seen))
}

#[tokio::test(flavor = "multi_thread")]
async fn forked_log__should_be_refused_while_the_node_runs() {
    let world = World::shared();
    let mut witness = Witness::new();
    let mut node = world.node(&[&setting([&witness]), "metrics.address=127.0.0.1:0"]).await;
    let guest = world.guest(&world.app("forked"));
    world.seen_by(&node).await;
    let key = log_key(&node).await;
    release(&node, &guest).await;
    node.stop();
    let old = Backup::of(&node);
    witness.start(&key);
    node.restart();
    let seen = release(&node, &guest).await;
    until("the witness's memory", async || (remembered(&witness, &key) >= seen).then_some(())).await;
    witness.kill();
    node.kill();

    // Without the witness the node cannot know, and goes on beyond what the witness has seen.
    let seen = remembered(&witness, &key);
    old.restore(&node);
    node.restart();
    node.await_serving().await;
    while release(&node, &guest).await <= seen + 1 {}
    witness.start(&key);
    let refused = until_refused_with(&node, &guest, "log-contradicted").await;
    assert!(refused.found.contains("log-forked"), "{refused:?}");
    not_serving(&node).await;
    assert_eq!(sample(&node, "onchain_kms_log_contradicted"), Some(1));
    assert_eq!(sample(&node, "onchain_kms_node_allowed"), Some(0));
    // It finds out again when it is started again.
    node.restart();
    until_refused_with(&node, &guest, "log-contradicted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses__should_hold_nothing_up_that_are_slow_or_mad() {
    let world = World::shared();
    let mut honest = [Witness::new(), Witness::new(), Witness::new(), Witness::new()];
    let [silent, flooding, lying] = [Witness::new(), Witness::new(), Witness::new()];
    let mut refusing = Witness::new();
    let slow = honest[3].address();
    let relay = free_address();
    let obstacles = [
        Obstacle::start(silent.address(), Between::Silent).await,
        Obstacle::start(flooding.address(), Between::Says(FLOOD)).await,
        Obstacle::start(lying.address(), Between::Says(NO_SIGNATURE)).await,
        Obstacle::start(relay, Between::Delay(slow, Duration::from_secs(3))).await,
    ];
    let all = [&honest[0], &honest[1], &honest[2], &silent, &flooding, &lying, &refusing];
    let places = all.map(|witness| (witness, witness.address())).into_iter().chain([(&honest[3], relay)]);
    let witnesses = setting_at(places);
    let settings = [&witnesses, "ledger.witness_quorum=5"];
    // Four of eight are no majority, so five it is: the honest ones and one that comes to reason later.
    let node = world.node(&settings).await;
    let guest = world.guest(&world.app("undisturbed"));
    world.seen_by(&node).await;
    let key = log_key(&node).await;
    for witness in &mut honest {
        witness.start(&key);
    }
    let stranger = LogKey::new("log.test/other".parse().unwrap(), [7; 32]);
    refusing.start(&stranger);

    // Released and published, though no quorum is there, and some keep the node waiting.
    let mut wire = Wire::connect(node.address()).await;
    for _ in 0..5 {
        granted(wire.boot_as(&guest).await);
    }
    assert_eq!(node.releases(), 5);
    assert_eq!(checkpoint(&node, LogPath::Witnessed, &key), None);
    refusing.kill();
    refusing.start(&key);
    let entries = release(&node, &guest).await;
    let by: Vec<_> = honest.iter().chain([&refusing]).map(Witness::key).collect();
    let shown = witnessed(&node, &key, entries, &by).await;
    assert!([&silent, &flooding, &lying].iter().all(|witness| shown.cosigned_at(witness.key()).is_err()));
    drop(obstacles);
}

const NO_SIGNATURE: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 12\r\n\r\n\u{2014} nobody A\n";
const FLOOD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 99999999999\r\n\r\n....";
