//! What a release costs a node: real processes, real TLS, a closed loop of clients; next to the arithmetic that no
//! release can do without, measured in the same run.
//!
//! ```text
//! load (this process: guests that sign their own quotes) ─TLS─▶ kms-node ─HTTP─▶ provider (this process) ─▶ anvil
//! ```
//!
//! The load, the provider and anvil share the machine with the node, so that releases per second are those of all of them
//! together. What counts is the node's own CPU time per release, as the kernel accounts for it, as a multiple of the floor.
//! Machines are noisy: each round measures the floor and every load one after the other, and medians are taken over
//! the rounds. Fails when a promise is missed. Run by `make bench-node`; needs a release build of the programs.
#![allow(
    missing_docs,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod files;
mod floor;
mod load;
mod process;
mod provider;
mod scene;
mod unrecorded;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use floor::Floor;
use load::{Connections, Load, Measured};
use scene::Scene;

const ROUNDS: usize = 3;
const WINDOW: Duration = Duration::from_millis(1_500);
const CLIENTS: [usize; 3] = [1, 4, 16];
/// The windows that each of two nodes is measured in, in turn, when they are compared.
const TURNS: usize = 9;
const TURN: Duration = Duration::from_secs(1);
const STARTS: usize = 3;
/// Apps that are registered beside those that ask.
const MANY_APPS: u32 = 100_000;

/// The most CPU time of a release on a fresh connection, in floors, with the node at work all the time. With few clients
/// the machine's going to sleep and waking up is counted as well, which a busy machine does not do. The aim is 3.
const MAX_FLOORS: f64 = 5.0;
/// The clients of the nodes that are compared with and without a log.
const RECORDING_CLIENTS: usize = 16;
/// The least throughput with the log, of that with none.
const MIN_WITH_LOG: f64 = 0.8;
/// The least throughput with many apps, of that with none.
const MIN_WITH_MANY_APPS: f64 = 0.9;
/// The most memory of a node under load, in bytes.
const MAX_RESIDENT: u64 = 64 << 20;
/// The longest from a node's start to SERVING, with its collateral on disk.
const MAX_START: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "run"
    {
        return unrecorded::run(rest);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let missed = runtime.block_on(bench());
    for what in &missed {
        println!("MISSED: {what}");
    }
    // Not `exit`: processes are stopped when their owners are dropped.
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn bench() -> Vec<String> {
    let cores = std::thread::available_parallelism().unwrap();
    println!("{cores} cores, shared by the node, its clients, the provider and the chain");
    let mut scene = Scene::new(0).await;
    let mut missed = starts(&mut scene).await;
    missed.extend(loads(&scene).await);
    missed.extend(memory(&scene));
    missed.extend(recording(&scene).await);
    missed.extend(many_apps(&scene).await);
    missed
}

/// What the log costs.
async fn recording(scene: &Scene) -> Vec<String> {
    let without = Scene::without_log().await;
    let compared = compare(&without, scene, Load::new(Connections::Fresh, RECORDING_CLIENTS)).await;
    println!("with its log, of the same without one: {}", compared.text());
    println!("a small file of the log is made in {:.0} µs", files::time_to_make_one().as_secs_f64() * 1e6);
    least("throughput of a node without a log", compared.throughput, MIN_WITH_LOG)
}

async fn many_apps(scene: &Scene) -> Vec<String> {
    let many = Scene::new(MANY_APPS).await;
    let compared = compare(scene, &many, Load::new(Connections::Fresh, 4)).await;
    println!("with {MANY_APPS} apps registered, of the same with none: {}", compared.text());
    least("throughput with no other apps", compared.throughput, MIN_WITH_MANY_APPS)
}

/// What is missed if there is less of something than was promised.
fn least(of: &str, found: f64, promised: f64) -> Vec<String> {
    let missed = format!("{found:.2} of the {of}, at least {promised}");
    (found < promised).then_some(missed).into_iter().collect()
}

/// From the start of the process to SERVING.
async fn starts(scene: &mut Scene) -> Vec<String> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        scene.settle().await;
        let start = Instant::now();
        scene.node.restart();
        scene.node.await_serving().await;
        times.push(start.elapsed());
    }
    let taken = median(times);
    println!("start to SERVING, collateral on disk: {:.0} ms", taken.as_secs_f64() * 1e3);
    let missed = format!("start to SERVING takes {taken:.1?}, at most {MAX_START:?}");
    (taken > MAX_START).then_some(missed).into_iter().collect()
}

/// Every load, and what it costs in floors.
async fn loads(scene: &Scene) -> Vec<String> {
    let kinds = [Connections::Kept, Connections::Fresh];
    let loads: Vec<Load> =
        kinds.into_iter().flat_map(|kind| CLIENTS.map(|clients| Load::new(kind, clients))).collect();
    let mut floors = Vec::new();
    let mut measured: Vec<Vec<Measured>> = loads.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        floors.push(Floor::measure());
        for (load, windows) in loads.iter().zip(&mut measured) {
            scene.settle().await;
            windows.push(load.run(scene, WINDOW).await);
        }
    }
    floors.last().unwrap().print();
    println!("connections  clients  releases/s   p50 ms   p99 ms   CPU of the node/release   floor   floors");
    // The last load is that of fresh connections by the most clients.
    let ratios: Vec<f64> =
        loads.iter().zip(&measured).map(|(load, windows)| row(*load, windows, &floors)).collect();
    let busiest = ratios[ratios.len() - 1];
    let missed = format!("a release on a fresh connection costs {busiest:.2} floors, at most {MAX_FLOORS}");
    (busiest > MAX_FLOORS).then_some(missed).into_iter().collect()
}

/// Prints one load's row; its cost in floors.
fn row(load: Load, windows: &[Measured], floors: &[Floor]) -> f64 {
    let floor_of = |floor: &Floor| floor.of(load.connections);
    let per_release = median(windows.iter().map(Measured::cpu_per_release).collect());
    let ratios = windows
        .iter()
        .zip(floors)
        .map(|(window, floor)| window.cpu_per_release().as_secs_f64() / floor_of(floor).as_secs_f64());
    let ratio = median(ratios.collect());
    let mut latencies: Vec<Duration> = windows.iter().flat_map(|window| window.latencies.clone()).collect();
    latencies.sort_unstable();
    let percentile = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{:<11}  {:>7}  {:>10.0}  {:>7.2}  {:>7.2}   {:>20.0} µs  {:>4.0} µs  {ratio:>6.2}",
        load.connections.name(),
        load.clients,
        median(windows.iter().map(Measured::per_second).collect()),
        percentile(50),
        percentile(99),
        per_release.as_secs_f64() * 1e6,
        median(floors.iter().map(floor_of).collect()).as_secs_f64() * 1e6,
    );
    ratio
}

fn memory(scene: &Scene) -> Vec<String> {
    let most = process::most_resident(scene.node.process().id());
    println!("memory of the node at most, {}: {:.1} MiB", scene.memory, most as f64 / f64::from(1 << 20));
    let missed = format!("{most} bytes resident, at most {MAX_RESIDENT}");
    (most > MAX_RESIDENT).then_some(missed).into_iter().collect()
}

/// One node under a load, of another under the same.
struct Compared {
    throughput: f64,
    cpu: f64,
}

impl Compared {
    fn text(&self) -> String {
        format!("{:.2} of the throughput, {:.2} of the CPU time per release", self.throughput, self.cpu)
    }
}

/// Measures two nodes in turn, so that noise hits both; the second, of the first, by the median of all pairs of turns.
async fn compare(one: &Scene, other: &Scene, load: Load) -> Compared {
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        one.settle().await;
        let first = load.run(one, TURN).await;
        other.settle().await;
        let second = load.run(other, TURN).await;
        ratios[0].push(second.per_second() / first.per_second());
        ratios[1].push(second.cpu_per_release().as_secs_f64() / first.cpu_per_release().as_secs_f64());
    }
    let [throughput, cpu] = ratios.map(median);
    Compared { throughput, cpu }
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}
