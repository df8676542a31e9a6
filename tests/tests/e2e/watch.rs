//! `kmsctl audit watch` at a live node: told of every release as it comes, and of a fork and a rollback when there is one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kms_ledger::SignedCheckpoint;
use kms_ledger::note::LogKey;
use kms_simulator::cvm::Cvm;
use kms_tests::asking::{until, until_granted};
use kms_tests::node::Node;
use kms_tests::process::Process;
use kms_tests::witness::free_address;
use kms_tests::world::{World, info};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::audit::{Auditor, log_of};

/// How long a watch may take to end.
const END: Duration = Duration::from_secs(30);

/// The one address at which an operator shows a log, and where it leads today: as a load balancer does.
struct Front {
    address: SocketAddr,
    behind: Arc<Mutex<SocketAddr>>,
    work: JoinHandle<()>,
}

impl Front {
    async fn of(node: &Node) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).await.unwrap();
        let behind = Arc::new(Mutex::new(node.log_address()));
        let shared = Arc::clone(&behind);
        let work = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let to = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                tokio::spawn(async move {
                    if let Ok(mut other) = TcpStream::connect(to).await {
                        drop(tokio::io::copy_bidirectional(&mut stream, &mut other).await);
                    }
                });
            }
        });
        Self { address, behind, work }
    }

    fn lead_to(&self, node: &Node) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = node.log_address();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// A watch that runs.
struct Watch {
    process: Process,
    state: PathBuf,
}

impl Watch {
    fn start(auditor: &Auditor, front: &Front, state: &str, key: &LogKey, more: &[&str]) -> Self {
        let state = auditor.path(state);
        let (place, key) = (format!("http://{}", front.address), key.to_string());
        let words = ["--json", "--every", "1", "--key", &key, "--state", state.to_str().unwrap()];
        let mut command = auditor.command("watch", place, &[&words[..], more].concat());
        Self { process: Process::start("kmsctl audit watch", &mut command), state }
    }

    /// The indices of the releases that it has told of.
    fn told(&self) -> Vec<u64> {
        let said = self.process.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["release"]["index"].as_u64()).collect()
    }

    /// The checkpoint that it saw last, or that it was alarmed by.
    fn kept(&self, suffix: &str, key: &LogKey) -> Option<SignedCheckpoint> {
        let path = format!("{}{suffix}", self.state.display());
        Some(SignedCheckpoint::open(&std::fs::read(path).ok()?, key).unwrap())
    }

    fn seen(&self, key: &LogKey) -> u64 {
        self.kept("", key).map_or(0, |seen| seen.checkpoint().size)
    }

    /// Waits until it ends with an alert of that code, for which it keeps both checkpoints.
    fn alerts(mut self, code: &str, key: &LogKey) {
        let seen = self.kept("", key).unwrap();
        let (status, said) = self.process.await_end(END);
        assert_eq!(status.code(), Some(10), "{said}");
        let line = said.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line.get("alert").cloned()
        });
        let alert = line.unwrap_or_else(|| panic!("no alert: {said}"));
        assert_eq!((&alert["code"], &alert["place"]), (&code.into(), &"checkpoint".into()), "{said}");
        assert!(
            !alert["found"].as_str().unwrap().is_empty() && !alert["expected"].as_str().unwrap().is_empty()
        );
        let (kept, other) = (self.kept("", key).unwrap(), self.kept(".conflict", key).unwrap());
        assert!(kept.checkpoint().size >= seen.checkpoint().size);
        // Signed by one key, and of two histories: they prove it without anybody's word.
        assert_ne!(kept.checkpoint().root, other.checkpoint().root);
    }
}

async fn log_key(node: &Node) -> LogKey {
    let log = info(node).await.log.unwrap();
    LogKey::new(log.origin.parse().unwrap(), log.public_key.try_into().unwrap())
}

/// Has keys released; how many entries the log must have then.
async fn release(node: &Node, guest: &Cvm) -> u64 {
    until_granted(node, guest).await.record.unwrap().index + 1
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

const SERVED: &str = "ledger.address=127.0.0.1:0";

#[tokio::test(flavor = "multi_thread")]
async fn watch__should_tell_of_releases_as_they_come_and_of_each_once() {
    let world = World::shared();
    let node = world.node(&[SERVED]).await;
    let (auditor, key) = (Auditor::new(&world), log_key(&node).await);
    let apps: Vec<_> = ["watched", "unwatched"].into_iter().map(|name| world.app(name)).collect();
    world.seen_by(&node).await;
    let front = Front::of(&node).await;
    let watched = apps[0].id.to_string();
    let all = Watch::start(&auditor, &front, "all", &key, &[]);
    let one = Watch::start(&auditor, &front, "one", &key, &["--app", &watched]);

    // Guests boot side by side while it looks.
    let guests: Vec<_> = apps.iter().map(|app| world.guest(app)).collect();
    let boots = |guest| {
        let node = &node;
        async move {
            let mut indices = Vec::new();
            for _ in 0..6 {
                indices.push(release(node, guest).await - 1);
            }
            indices
        }
    };
    let (theirs, others) = tokio::join!(boots(&guests[0]), boots(&guests[1]));
    let mut both = [&theirs[..], &others].concat();
    both.sort_unstable();
    until("all releases told", async || (all.told().len() >= both.len()).then_some(())).await;
    until("a watch that has seen them", async || (one.seen(&key) > both[11]).then_some(())).await;
    assert_eq!((all.told(), one.told()), (both, theirs.clone()));

    // A watch that was ended goes on where it was, and so does one whose source was away.
    drop(one);
    let one = Watch::start(&auditor, &front, "one", &key, &["--app", &watched]);
    drop(front);
    until("a look that failed", async || one.process.said().contains("log-source-unavailable").then_some(()))
        .await;
    assert!(one.told().is_empty());
}

/// A node that shows its log, and goes on with the log of `node` as it is in a copy: same name, same root, other history.
async fn twin(world: &World, node: &Node, state: &Path) -> Node {
    let root = format!("root.insecure_root_file={}", node.root_file().display());
    let twin = Node::start_on(state, &world.chain, &world.simulated, &[SERVED, &root]);
    twin.await_serving().await;
    twin
}

#[tokio::test(flavor = "multi_thread")]
async fn watch__should_alert_on_a_fork_and_on_a_rollback() {
    let world = World::shared();
    let mut node = world.node(&[SERVED]).await;
    let guest = world.guest(&world.app("two histories"));
    world.seen_by(&node).await;
    let (auditor, key, copies) = (Auditor::new(&world), log_key(&node).await, TempDir::new().unwrap());
    release(&node, &guest).await;
    node.stop();
    // What a snapshot of the disk holds.
    let [snapshot, older] = ["snapshot", "older"].map(|name| copies.path().join(name));
    for to in [&snapshot, &older] {
        std::fs::create_dir(to).unwrap();
        copy(&node.ledger_folder(), &to.join("ledger"));
    }
    node.restart();
    node.await_serving().await;
    let front = Front::of(&node).await;
    let watch = Watch::start(&auditor, &front, "fork", &key, &[]);
    let seen = release(&node, &guest).await;
    until("a watch that has seen the release", async || (watch.seen(&key) >= seen).then_some(())).await;

    // Two nodes on one log: the second is shown when it has more than was seen.
    let mut other = twin(&world, &node, &snapshot).await;
    assert_eq!(log_key(&other).await, key);
    while release(&other, &guest).await <= watch.seen(&key) + 1 {}
    other.log();
    front.lead_to(&other);
    watch.alerts("log-forked", &key);
    let late = auditor.run("verify", log_of(&other), &["--since", auditor.path("fork").to_str().unwrap()]);
    assert!(late.exits(10).stdout.contains("log-forked"));

    // Back to the older disk: shorter than what was seen of it.
    let watch = Watch::start(&auditor, &front, "rollback", &key, &[]);
    let mut seen = 0;
    for _ in 0..8 {
        seen = release(&other, &guest).await;
    }
    until("a watch that has seen them", async || (watch.seen(&key) >= seen).then_some(())).await;
    assert!(other.stop().success());
    let restored = twin(&world, &node, &older).await;
    assert!((restored.log().len() as u64) < seen);
    front.lead_to(&restored);
    watch.alerts("log-rolled-back", &key);
}
