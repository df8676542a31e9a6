//! What it costs to make an entry durable, next to the bare sync that it cannot avoid, and with a tree of ten million.
//!
//! Machines and disks are noisy: what is compared is measured in turns within one run, and ratios count more than times.
//! Fails when a promised ratio is missed.
#![allow(
    missing_docs,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod grown;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kms_ledger::blob::Part;
use kms_ledger::note::LogSigner;
use kms_ledger::store::{Entry, JournalKey, Priority, StoreKeys, StoreOptions};
use kms_ledger::{Blob, Store};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

pub(crate) const ORIGIN: &str = "log.example/bench";
/// What the journal is authenticated with.
pub(crate) const JOURNAL_KEY: [u8; 32] = [3; 32];

/// How long each number of writers appends.
const SPELL: Duration = Duration::from_secs(2);
/// Turns of the comparisons.
const TURNS: usize = 500;
/// Bare syncs of each size.
const FLOOR_SYNCS: usize = 100;
/// A tree that is small, and one that is not.
const SMALL: u64 = 1_000;
const LARGE: u64 = 10_000_000;

/// The most that one append may cost, in bare syncs of the same number of bytes: medians.
const MAX_OF_BARE: f64 = 2.0;
/// The most that an append to the large tree may cost, in appends to the small one: medians.
const MAX_OF_SMALL: f64 = 1.2;

pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
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

pub(crate) fn options() -> StoreOptions {
    StoreOptions { origin: ORIGIN.to_owned(), ..StoreOptions::default() }
}

/// Bytes that compress like evidence: half of them are random.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(&state.to_be_bytes()[..4]);
        bytes.extend(*b"data");
    }
    bytes.truncate(len);
    bytes
}

/// A release: a record of 700 bytes; 15 kB of evidence of its own, and 20 kB that others have too.
fn release(number: u64) -> Entry {
    let quote = Blob::new(noise(number, 5_000));
    let event_log = Blob::new(noise(number + (1 << 40), 6_000));
    let code = Part::shared(noise(1 << 50, 10_000));
    let witness = Blob::of_parts(vec![Part::Own(noise(number + (1 << 41), 4_000).into()), code]);
    let (collateral, manifest) = (Blob::new(noise(1 << 51, 8_000)), Blob::new(noise(1 << 52, 2_000)));
    let blobs = vec![quote, event_log, witness, collateral, manifest];
    Entry { record: noise(number + (1 << 42), 700), blobs, priority: Priority::Release }
}

/// What an append writes once its evidence is known.
const APPENDED_BYTES: usize = 16_100;

struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, part: f64) -> Duration {
        self.0.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let place = (self.0.len() as f64 * part) as usize;
        self.0[place.min(self.0.len() - 1)]
    }

    fn median(&mut self) -> Duration {
        self.at(0.5)
    }
}

fn open(folder: &Path) -> Arc<Store> {
    let keys = StoreKeys { signer: Box::new(Signer::new()), journal: JournalKey::new(&JOURNAL_KEY) };
    Arc::new(Store::open(folder, keys, options()).unwrap().0)
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

async fn append(store: &Store) -> Duration {
    let entry = release(NUMBER.fetch_add(1, Ordering::Relaxed));
    let start = Instant::now();
    store.append(entry).await.unwrap();
    start.elapsed()
}

async fn close(store: Arc<Store>) {
    Arc::into_inner(store).unwrap().close().await.unwrap();
}

/// Appends with so many writers for a while, and prints what came of it.
async fn spell(folder: &Path, writers: usize) {
    let store = open(folder);
    append(&store).await;
    let start = Instant::now();
    let tasks = (0..writers).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < SPELL {
                times.push(append(&store).await);
            }
            times
        })
    });
    let mut times = Times(Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        times.0.extend(task.await.unwrap());
    }
    let (appended, elapsed) = (times.0.len() as f64, start.elapsed());
    close(store).await;
    let published = start.elapsed();
    println!(
        "{writers:>4} writers {:>8.0} appends/s   p50 {:>9.1?}   p99 {:>9.1?}   {:>8.0}/s with publication to its end",
        appended / elapsed.as_secs_f64(),
        times.at(0.5),
        times.at(0.99),
        appended / published.as_secs_f64(),
    );
}

/// A write and a sync of as many bytes as an append writes, by itself.
fn bare(file: &mut File, bytes: &[u8]) -> Duration {
    let start = Instant::now();
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
    start.elapsed()
}

/// What the disk does with so many appends in one write and one sync, and nothing else.
fn floor(path: &Path, appends: u32) {
    let mut file = File::create(path).unwrap();
    let bytes = noise(1, APPENDED_BYTES * appends as usize);
    let mut times = Times((0..FLOOR_SYNCS).map(|_| bare(&mut file, &bytes)).collect());
    let (median, worst) = (times.median(), times.at(0.99));
    let rate = f64::from(appends) / median.as_secs_f64();
    println!(
        "bare syncs of {appends:>3} appends' bytes {rate:>8.0}/s   p50 {median:>9.1?}   p99 {worst:>9.1?}"
    );
}

/// Appends to a small and to a large tree, and bare syncs, in turns.
async fn compare(folder: &Path) -> [Duration; 3] {
    let stores = [SMALL, LARGE].map(|size| {
        let folder = folder.join(size.to_string());
        grown::log(&folder, size);
        let store = open(&folder);
        assert_eq!(store.state().size, size);
        store
    });
    let mut file = File::create(folder.join("bare")).unwrap();
    let bytes = noise(1, APPENDED_BYTES);
    let [mut small, mut large, mut syncs] = [const { Times(Vec::new()) }; 3];
    // To and fro: whoever comes behind a sync of another file has it easier.
    for turn in 0..TURNS {
        let subjects = if turn % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for subject in subjects {
            match subject {
                0 => small.0.push(append(&stores[0]).await),
                1 => syncs.0.push(bare(&mut file, &bytes)),
                _ => large.0.push(append(&stores[1]).await),
            }
        }
    }
    for store in stores {
        close(store).await;
    }
    for (name, times) in [
        ("bare fdatasync", &mut syncs),
        ("append, tree of 1,000", &mut small),
        ("append, tree of 10,000,000", &mut large),
    ] {
        println!("{name:<28} p50 {:>9.1?}   p99 {:>9.1?}", times.at(0.5), times.at(0.99));
    }
    [syncs.median(), small.median(), large.median()]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [bare, small, large] = compare(folder.path()).await;
    for appends in [1, 16, 128] {
        floor(&folder.path().join("floor"), appends);
    }
    for writers in [1, 16, 128] {
        spell(&folder.path().join(format!("writers-{writers}")), writers).await;
    }
    let of_bare = small.as_secs_f64() / bare.as_secs_f64();
    let of_small = large.as_secs_f64() / small.as_secs_f64();
    println!(
        "append: {of_bare:.2} of a bare sync; with ten million entries: {of_small:.2} of that with a thousand"
    );
    let promises = [
        (
            of_bare > MAX_OF_BARE,
            format!("an append costs {of_bare:.2} bare syncs, at most {MAX_OF_BARE} is promised"),
        ),
        (
            of_small > MAX_OF_SMALL,
            format!("a large tree costs {of_small:.2} of a small one, at most {MAX_OF_SMALL}"),
        ),
    ];
    let missed: Vec<&String> = promises.iter().filter(|(missed, _)| *missed).map(|(_, text)| text).collect();
    for text in &missed {
        println!("MISSED: {text}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
