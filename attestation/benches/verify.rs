//! What a verification costs: whole, amortised, and next to the bare elliptic-curve arithmetic that it cannot avoid.
//!
//! Machines are noisy, so nothing here is an absolute promise: each round measures all the subjects one after the
//! other, medians are taken over the rounds, and what counts are the ratios of one run. Fails when a ratio is missed.
#![allow(clippy::indexing_slicing, clippy::too_many_lines, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use kms_attestation::collateral::Collateral;
use kms_attestation::event_log::{EventLog, RuntimeEvent};
use kms_attestation::identity::BootIdentity;
use kms_attestation::policy::Policy;
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use kms_attestation::verify::Verifier;
use kms_simulator::platform::Platform;
use kms_simulator::quote::QuoteSpec;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 301;
/// The signatures of one quote and its collateral: six of collateral, two of the platform, one of the quote.
const WHOLE_SIGNATURES: u32 = 9;
/// Those that are not collateral.
const QUOTE_SIGNATURES: u32 = 3;

/// The most that an amortised verification may cost of a whole one.
const MAX_AMORTISED: f64 = 0.5;
/// The most that refusing a megabyte of junk may cost of a whole verification.
const MAX_JUNK: f64 = 0.01;

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

fn main() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let host = platform.host(0).unwrap();
    let log = EventLog::new(vec![
        RuntimeEvent::new("system-preparing", []),
        RuntimeEvent::new("app-id", [1; 20]),
        RuntimeEvent::new("compose-hash", [2; 32]),
        RuntimeEvent::new("instance-id", [3; 20]),
        RuntimeEvent::new("boot-mr-done", []),
    ]);
    let mut spec = QuoteSpec::default();
    spec.rtmrs[3] = log.replay();
    let quote = host.quote(&spec).unwrap();
    let log = log.to_json();
    let collateral = platform.collateral_for(host.fmspc()).unwrap();
    let verifier = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
    let policy = Policy::default();
    let parse = || Collateral::parse(collateral.as_bytes()).unwrap();
    let checked = verifier.check_collateral(parse(), NOW).unwrap();
    let junk = vec![0xAA; 1024 * 1024];

    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let message = vec![1; 632];
    let signature = pair.sign(&random, &message).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    let floor = |count: u32| {
        for _ in 0..count {
            black_box(key.verify(black_box(&message), signature.as_ref())).unwrap();
        }
    };

    let mut subjects = [
        Subject::new("whole: quote and collateral", || {
            let collateral = verifier.check_collateral(parse(), NOW).unwrap();
            let quote = Quote::parse(black_box(&quote)).unwrap();
            let quote = verifier.authenticate(&quote, &collateral, NOW).unwrap();
            black_box(quote.appraise(&policy, NOW, None).unwrap());
        }),
        Subject::new("amortised: further quote, same collateral", || {
            let quote = Quote::parse(black_box(&quote)).unwrap();
            let quote = verifier.authenticate(&quote, &checked, NOW).unwrap();
            black_box(quote.appraise(&policy, NOW, None).unwrap());
        }),
        Subject::new("amortised, and the boot identity", || {
            let quote = Quote::parse(black_box(&quote)).unwrap();
            let quote = verifier.authenticate(&quote, &checked, NOW).unwrap();
            let quote = quote.appraise(&policy, NOW, None).unwrap();
            let log = EventLog::parse(black_box(log.as_bytes())).unwrap();
            black_box(BootIdentity::extract(&quote, &log).unwrap());
        }),
        Subject::new("floor of the whole: 9 bare P-256 verifications", || floor(WHOLE_SIGNATURES)),
        Subject::new("floor of the amortised: 3 bare P-256 verifications", || floor(QUOTE_SIGNATURES)),
        Subject::new("refusal of 1 MiB of junk", || {
            black_box(Quote::parse(black_box(&junk)).unwrap_err());
        }),
    ];
    for _ in 0..ROUNDS {
        subjects.iter_mut().for_each(Subject::measure);
    }

    let medians: Vec<Duration> = subjects.iter_mut().map(Subject::median).collect();
    let whole = medians[0].as_secs_f64();
    println!("medians of {ROUNDS} rounds, one core");
    for (subject, median) in subjects.iter().zip(&medians) {
        println!("{:<52} {:>10.1?}  {:>7.4} of whole", subject.name, median, median.as_secs_f64() / whole);
    }
    let [_, amortised, _, whole_floor, amortised_floor, junk] = medians[..] else { unreachable!() };
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("whole     {:.2} times its floor", ratio(medians[0], whole_floor));
    println!("amortised {:.2} times its floor", ratio(amortised, amortised_floor));
    let misses: Vec<_> = [("amortised", amortised, MAX_AMORTISED), ("junk", junk, MAX_JUNK)]
        .into_iter()
        .filter(|(_, median, most)| ratio(*median, medians[0]) > *most)
        .collect();
    for (name, median, most) in &misses {
        println!("MISSED: {name} is {:.4} of whole, at most {most} is promised", ratio(*median, medians[0]));
    }
    std::process::exit(i32::from(!misses.is_empty()));
}
