//! What it costs to decide again: ten thousand recorded decisions of all kinds, each with a quote of its own, over witnesses of
//! a real chain with the real contracts. Machines are noisy and shared, so that time is the processor's: what other programs
//! take does not count, and "per core" means a second of it. Fails when a promise is missed, or when one record is not the
//! same.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../../../chain/tests/anvil_support/mod.rs"]
mod anvil_support;
#[path = "../../../chain/tests/contracts_support/mod.rs"]
mod contracts_support;
#[path = "../../tests/support/leaf.rs"]
mod leaf;
mod mix;
mod node;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kms_attestation::ids::AppId;
use kms_attestation::{Role, RootOfTrust, SessionBinding};
use kms_chain::Witness;
use kms_ledger::blob::Blob;
use kms_ledger::record::{Decision, Event, Subject};
use kms_ledger::replay::{
    Archive, Gap, Indices, LogIdentity, Replayed, Replayer, no_blob, no_record, replay_all,
};
use kms_ledger::{BlobId, Record};
use kms_verdict::{BootEvidence, Circumstances};
use mix::mixed;
use node::{LOG_KEY, Node, ORIGIN};
use rustix::time::{ClockId, clock_gettime};

/// How many decisions, of which a good half are releases.
const DECISIONS: u64 = 10_000;
/// How many releases the unavoidable work is measured over.
const SAMPLE: usize = 1000;
/// The least that a second of a core decides again, of the mix and of releases alone.
const MIN_RATE: f64 = 1500.0;
/// The most that deciding a release again may cost, in what it costs without a replayer's memory: the evidence verified, the
/// witness read and executed.
const MAX_RATIO: f64 = 1.3;
const ROUNDS: usize = 3;

/// A log in memory.
#[derive(Default)]
pub struct Store {
    pub records: Vec<Arc<Record>>,
    pub blobs: HashMap<BlobId, Arc<[u8]>>,
}

impl Archive for Store {
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap> {
        self.records.get(usize::try_from(index).unwrap()).cloned().ok_or_else(|| no_record(index))
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap> {
        self.blobs.get(id).cloned().ok_or_else(|| no_blob(id))
    }
}

impl Store {
    #[allow(clippy::unnecessary_wraps)]
    pub fn keep(&mut self, blob: &Blob) -> Option<BlobId> {
        let whole = || blob.parts().iter().flat_map(|part| part.bytes().to_vec()).collect::<Vec<_>>().into();
        self.blobs.entry(blob.id()).or_insert_with(whole);
        Some(blob.id())
    }

    fn decisions(&self) -> impl Iterator<Item = (u64, &Decision)> {
        self.records.iter().enumerate().filter_map(|(index, record)| match &record.event {
            Event::Decision(decision) => Some((index as u64, &**decision)),
            _ => None,
        })
    }

    fn releases(&self) -> impl Iterator<Item = (u64, &Decision)> {
        let is_release =
            |decision: &Decision| decision.subject == Subject::AppKeys && decision.outcome.code().is_none();
        self.decisions().filter(move |(_, decision)| is_release(decision))
    }

    fn print_mix(&self) {
        let mut mix = BTreeMap::<String, u64>::new();
        for (_, decision) in self.decisions() {
            let answer = decision.outcome.code().unwrap_or("allow");
            *mix.entry(format!("{} {answer}", decision.subject.as_str())).or_default() += 1;
        }
        for (answer, count) in &mix {
            println!("  {count:>5} {answer}");
        }
        assert_eq!(mix.values().sum::<u64>(), DECISIONS);
    }
}

/// The processor's time of this process in seconds, its kernel's work included.
fn processor_time() -> f64 {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap().as_secs_f64()
}

/// Decisions in a second of the processor's time, and of the wall's with each thread.
#[allow(clippy::cast_precision_loss)]
fn measure(node: &Node, store: &Store, what: &str, indices: &Indices, threads: usize) -> f64 {
    let root = RootOfTrust::configured(&node.platform.root_der()).unwrap();
    let log = LogIdentity { origin: ORIGIN.to_owned(), key: Some(LOG_KEY) };
    let (replayer, identical) = (Replayer::new(root, Some(log)), AtomicU64::new(0));
    let threads = NonZeroUsize::new(threads).unwrap();
    let (wall, processor) = (Instant::now(), processor_time());
    replay_all(&replayer, store, indices, threads, &|index, replayed| {
        assert_eq!(replayed, Replayed::Identical, "{index}");
        identical.fetch_add(1, Ordering::Relaxed);
    });
    let (wall, processor) = (wall.elapsed(), processor_time() - processor);
    let count = identical.into_inner();
    assert_eq!(count, indices.len());
    let rate = count as f64 / processor;
    println!(
        "{count} {what} again, all identical, {threads} threads: {:.2} s of a processor, {rate:.0}/s; {:.2} s of the clock, \
         {:.0}/s with each thread",
        processor,
        wall.as_secs_f64(),
        count as f64 / wall.as_secs_f64() / threads.get() as f64
    );
    rate
}

/// The seconds of a processor that one release costs without a replayer's memory of codes.
fn unavoidable(node: &Node, store: &Store) -> f64 {
    let start = processor_time();
    for (index, decision) in store.releases().take(SAMPLE) {
        let time = store.records[usize::try_from(index).unwrap()].time;
        let bytes = |id: Option<BlobId>| store.blobs[&id.unwrap()].clone();
        let evidence = &decision.evidence;
        let (quote, log, manifest) =
            (bytes(evidence.quote), bytes(evidence.event_log), bytes(evidence.os_image_manifest));
        let binding = decision.binding.unwrap();
        let binding = SessionBinding {
            role: Role::App,
            peer_nonce: binding.server_nonce,
            own_nonce: binding.client_nonce,
            own_spki: binding.client_spki,
            peer_spki: binding.server_spki,
            exporter: binding.exporter,
        };
        let presented =
            BootEvidence { quote: &quote, event_log: &log, os_image_manifest: &manifest, binding };
        let circumstances = Circumstances { now: time, out_of_date_since: None };
        let app = node.judge.attest(&presented, &node.collateral, circumstances).unwrap();
        let witness = Witness::decode(&bytes(evidence.witness)).unwrap();
        assert!(app.conclude_from(node.judge.anchor(), &witness).denial().is_none());
    }
    #[allow(clippy::cast_precision_loss)]
    let each = (processor_time() - start) / SAMPLE as f64;
    each
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = Node::new();
    let store = runtime.block_on(mixed(&node, DECISIONS));
    let bytes: usize = store.blobs.values().map(|blob| blob.len()).sum();
    let apps: std::collections::BTreeSet<AppId> = node.apps.iter().copied().collect();
    println!(
        "{} records of {} apps; {} blobs, {} KiB; a release has {} bytes",
        store.records.len(),
        apps.len(),
        store.blobs.len(),
        bytes / 1024,
        store.records[store.releases().next().map_or(0, |(index, _)| usize::try_from(index).unwrap())]
            .encode()
            .len()
    );
    store.print_mix();
    let all = Indices::Range(0..store.records.len() as u64);
    let releases = Indices::List(store.releases().map(|(index, _)| index).collect());
    let (mut mixed_rates, mut release_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let least = unavoidable(&node, &store);
        println!("a release without a memory of codes: {:.0} µs", least * 1e6);
        mixed_rates.push(measure(&node, &store, "records of all kinds", &all, 1));
        let rate = measure(&node, &store, "releases", &releases, 1);
        release_rates.push(rate);
        ratios.push(1.0 / rate / least);
    }
    measure(&node, &store, "records of all kinds", &all, 2);
    let (mixed, releases, ratio) = (median(mixed_rates), median(release_rates), median(ratios));
    println!(
        "a second of a core: {mixed:.0} of all kinds, {releases:.0} releases; {ratio:.2} of a release without a memory"
    );
    if mixed < MIN_RATE || releases < MIN_RATE || ratio > MAX_RATIO {
        println!("MISSED: at least {MIN_RATE:.0} of both, and at most {MAX_RATIO}, are promised");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
