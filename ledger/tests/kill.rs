//! A process that appends is killed again and again, at random moments; every entry that it was told is durable is there,
//! under its index, with its evidence.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kms_ledger::blob::Part;
use kms_ledger::blob_file::{self, BlobFile};
use kms_ledger::hash::TreeHash;
use kms_ledger::note::{LogKey, LogSigner};
use kms_ledger::store::{Entry, JournalKey, Priority, StoreKeys, StoreOptions};
use kms_ledger::tree::{Edge, Tile, TileKind, decode_bundle};
use kms_ledger::{Blob, BlobId, SignedCheckpoint, Store};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// How many logs are killed at the same time, and how often each.
const LOGS: u64 = 3;
const KILLS: u64 = 100;
const WRITERS: u64 = 16;
const ORIGIN: &str = "log.example/killed";
/// Where the process that is killed finds its folder.
const FOLDER: &str = "KMS_LEDGER_KILL_FOLDER";
/// Whole bundles are filled and segments closed within a few runs.
const SEGMENT_BYTES: u64 = 256 * 1024;

struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap())
    }
}

impl LogSigner for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

fn keys() -> StoreKeys {
    StoreKeys { signer: Box::new(Signer::new()), journal: JournalKey::new(&[3; 32]) }
}

fn options() -> StoreOptions {
    StoreOptions {
        origin: ORIGIN.to_owned(),
        publish_every: Duration::from_millis(5),
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: 0,
        ..StoreOptions::default()
    }
}

/// An entry with evidence of its own, and with a part that all have. Its record is the names of its blobs.
fn entry(number: u64) -> Entry {
    let shared = Part::shared(b"shared".repeat(500));
    let quote = Blob::new(format!("quote {number} ").repeat(300).into_bytes());
    let witness = Blob::of_parts(vec![Part::own(format!("witness {number}").into_bytes()), shared]);
    let record = [quote.id().0, witness.id().0].concat();
    Entry { record, blobs: vec![quote, witness], priority: Priority::Release }
}

/// Not a test: the process that is killed. It says what it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that is killed"]
async fn child() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let (store, opened) = Store::open(Path::new(&folder), keys(), options()).unwrap();
    say(&format!("opened {} {}", opened.size, opened.torn_bytes));
    let store = Arc::new(store);
    let start = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0.. {
                let appended = store.append(entry(start + number * WRITERS + writer)).await.unwrap();
                say(&format!("appended {} {}", appended.index, appended.leaf));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// One line, in one write: a line that is not whole was not said.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// Runs the process, kills it some time after its first words, and returns what it said.
fn run_and_kill(folder: &Path, delay: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    said.extend(lines.by_ref().find(|line| line.starts_with("opened")));
    let killer = thread::spawn(move || {
        thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    said.extend(lines);
    killer.join().unwrap();
    said
}

/// What one log has acknowledged.
#[derive(Default)]
struct Acknowledged {
    leaves: BTreeMap<u64, String>,
    torn: u64,
}

impl Acknowledged {
    fn hear(&mut self, said: &[String]) {
        for line in said {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["opened", size, torn] => {
                    let size: u64 = size.parse().unwrap();
                    let last = self.leaves.last_key_value().map_or(0, |(index, _)| index + 1);
                    assert!(size >= last, "opened with {size} entries; {last} were acknowledged");
                    self.torn += u64::from(torn != "0");
                }
                ["appended", index, leaf] if leaf.len() == 64 => {
                    let before = self.leaves.insert(index.parse().unwrap(), leaf.to_owned());
                    assert_eq!(before, None, "index {index} was given twice");
                }
                _ => {}
            }
        }
        assert!(said.iter().any(|line| line.starts_with("opened")), "the store did not open");
    }
}

/// Reads the published log and checks all of it: root, indices, evidence.
fn check(folder: &Path, acknowledged: &Acknowledged) -> u64 {
    let log = folder.join("log");
    let read = |path: &str| fs::read(log.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let key = LogKey::new(ORIGIN.parse().unwrap(), Signer::new().public_key());
    let checkpoint = SignedCheckpoint::open(&read("checkpoint"), &key).unwrap();
    let size = checkpoint.checkpoint().size;
    let mut edge = Edge::default();
    while let Some(bundle) = Tile::holding(TileKind::Entries, edge.size(), size) {
        for record in decode_bundle(&read(&bundle.to_string()), bundle.width()).unwrap() {
            let leaf = TreeHash::leaf(record);
            if let Some(told) = acknowledged.leaves.get(&edge.size()) {
                assert_eq!(*told, leaf.to_string(), "entry {}", edge.size());
            }
            for id in record.as_chunks::<32>().0.iter().map(|id| BlobId(*id)) {
                let file = BlobFile::decode(&read(&blob_file::path(id))).unwrap();
                file.assemble(id, |part| Ok(read(&blob_file::path(part)))).unwrap();
            }
            edge.append(leaf);
        }
    }
    assert_eq!(edge.root(), checkpoint.checkpoint().root);
    assert!(acknowledged.leaves.keys().next_back().is_none_or(|last| *last < size));
    size
}

/// Kills one log's process many times, then checks it.
fn kill_often(seed: u64) -> (u64, usize, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut random = seed;
    for _ in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = Duration::from_micros(random % 40_000);
        acknowledged.hear(&run_and_kill(folder.path(), delay));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (store, _) = Store::open(folder.path(), keys(), options()).unwrap();
    runtime.block_on(store.close()).unwrap();
    (check(folder.path(), &acknowledged), acknowledged.leaves.len(), acknowledged.torn)
}

#[test]
fn store__should_keep_what_it_acknowledged_though_its_process_is_killed() {
    let logs: Vec<_> = (0..LOGS).map(|log| thread::spawn(move || kill_often(log + 1))).collect();
    let outcomes: Vec<_> = logs.into_iter().map(|log| log.join().unwrap()).collect();
    for (size, acknowledged, torn) in outcomes {
        println!("{KILLS} kills: {size} entries, {acknowledged} acknowledged, {torn} torn tails");
        assert!(acknowledged > 0);
    }
}
