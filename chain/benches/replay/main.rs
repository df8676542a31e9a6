//! What a decision costs: offline, next to the work that it cannot avoid; and live, in rounds, requests and bytes.
//!
//! The state is that of a real anvil, with enough other accounts and slots that tries have depth. Machines are noisy:
//! each round measures all the subjects one after the other, medians are taken over the rounds, and ratios within one run
//! count more than times. Fails when a promised ratio or bound is missed.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used
)]

#[path = "../../tests/anvil_support/mod.rs"]
mod anvil_support;
mod relay;
mod state;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy::primitives::keccak256;
use kms_chain::trie::value_at;
use kms_chain::{
    Anchor, DevSource, Freshness, GrantAt, HeadSource, HeadTrust, Question, Reading, Rpc, RpcLimits,
    Transport, Witness, read, replay,
};
use relay::Relay;
use state::Chain;

const ROUNDS: usize = 501;

/// The most that a replay may take: a node decides thousands of times a second on one core.
const MAX_REPLAY: Duration = Duration::from_micros(150);
/// The most that reading and replaying a witness may cost, in keccak hashes of the same bytes.
const MAX_WHOLE: f64 = 4.0;
/// The most sequential rounds of requests with an honest access list.
const MAX_LIVE_ROUNDS: u32 = 2;

struct Subject<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
    times: Vec<Duration>,
}

impl<'a> Subject<'a> {
    fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self { name, run: Box::new(run), times: Vec::new() }
    }

    fn measure(&mut self) {
        let start = Instant::now();
        (self.run)();
        self.times.push(start.elapsed());
    }

    fn median(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times[self.times.len() / 2]
    }
}

fn main() -> ExitCode {
    let chain = Chain::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [(latest_anchor, latest), (both_anchor, both)] =
        [GrantAt::Latest, GrantAt::LatestAndFinalized].map(|grant_at| {
            let (anchor, reading) = runtime.block_on(live(&chain, grant_at));
            assert!(reading.decision().allowed, "{:?}", reading.decision().denial);
            (anchor, reading)
        });
    let (bytes, both_bytes) = (latest.witness().encode(), both.witness().encode());
    let proof = chain.proof();
    let mut floor = chain.revm();

    let mut subjects = [
        Subject::new("replay", || {
            black_box(replay(&latest_anchor, black_box(latest.witness())).unwrap());
        }),
        Subject::new("decode, and replay", || {
            let witness = Witness::decode(black_box(&bytes)).unwrap();
            black_box(replay(&latest_anchor, &witness).unwrap());
        }),
        Subject::new("decode, and replay at both heads", || {
            let witness = Witness::decode(black_box(&both_bytes)).unwrap();
            black_box(replay(&both_anchor, &witness).unwrap());
        }),
        Subject::new("proof walk alone: the same accounts and slots", || {
            for (root, key) in &proof.items {
                black_box(value_at(&proof.nodes, *root, key).unwrap());
            }
        }),
        Subject::new("revm alone: the same calls over a plain map", || floor.run()),
        Subject::new("floor: keccak of the witness's bytes", || {
            black_box(keccak256(black_box(&bytes)));
        }),
    ];
    for _ in 0..ROUNDS {
        subjects.iter_mut().for_each(Subject::measure);
    }

    let medians: Vec<Duration> = subjects.iter_mut().map(Subject::median).collect();
    let [replayed, whole, .., keccak] = medians[..] else { unreachable!() };
    let ratio = |time: Duration| time.as_secs_f64() / keccak.as_secs_f64();
    println!("medians of {ROUNDS} rounds, one core");
    for (subject, median) in subjects.iter().zip(&medians) {
        println!("{:<48} {:>10.1?}  {:>7.3} of keccak", subject.name, median, ratio(*median));
    }
    let rounds = latest.rounds().max(both.rounds());
    let promises = [
        (replayed > MAX_REPLAY, format!("a replay takes {replayed:.1?}, at most {MAX_REPLAY:?} is promised")),
        (
            ratio(whole) > MAX_WHOLE,
            format!("decode and replay: {:.2} of keccak, at most {MAX_WHOLE}", ratio(whole)),
        ),
        (rounds > MAX_LIVE_ROUNDS, format!("{rounds} rounds, at most {MAX_LIVE_ROUNDS} are promised")),
    ];
    let missed: Vec<_> = promises.into_iter().filter(|(broken, _)| *broken).map(|(_, what)| what).collect();
    for what in &missed {
        println!("MISSED: {what}");
    }
    // Not `exit`: anvil is stopped when it is dropped.
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One decision on the real chain, counted by a relay that sees every byte.
async fn live(chain: &Chain, grant_at: GrantAt) -> (Anchor, Reading) {
    let relay = Relay::to(chain.anvil.port());
    let rpc = Arc::new(Rpc::new(&relay.url(), Transport::Secure, RpcLimits::default()).unwrap());
    let freshness = Freshness::default();
    let anchor =
        Anchor::new(anvil_support::CHAIN_ID, chain.kms, HeadTrust::Dev, grant_at, freshness).unwrap();
    let heads = DevSource::new(Arc::clone(&rpc)).unwrap().heads().await.unwrap();
    let for_heads = relay.counted();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let finalized = (grant_at == GrantAt::LatestAndFinalized).then_some(heads.finalized);
    let question = Question::App(chain.info.clone());
    let start = Instant::now();
    let reading = read(&rpc, &anchor, &question, heads.latest, finalized, now).await.unwrap();
    let (elapsed, counted) = (start.elapsed(), relay.counted());
    println!("live, {grant_at:?}:");
    println!("  rounds                 {:>8}", reading.rounds());
    println!("  HTTP requests          {:>8}", counted.requests - for_heads.requests);
    println!("  bytes sent             {:>8}", counted.sent - for_heads.sent);
    println!("  bytes received         {:>8}", counted.received - for_heads.received);
    println!("  bytes of the witness   {:>8}", reading.witness().encode().len());
    println!("  time, with the network {elapsed:>8.1?}");
    println!(
        "  before that, for heads {:>8} HTTP requests, {} bytes",
        for_heads.requests, for_heads.received
    );
    (anchor, reading)
}
