//! The collateral cache against servers on loopback and real directories.
#![cfg(feature = "pccs")]
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod pccs_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_attestation::collateral::PckCa;
use kms_attestation::ids::Fmspc;
use kms_attestation::pccs::{
    CachePolicy, CollateralCache, CollateralKey, CollateralUnavailable, Fault, StoreProblem,
};
use kms_simulator::pccs::{Clock as SimClock, Endpoint as SimEndpoint, Fault as SimFault, Pccs};
use kms_simulator::platform::Platform;
use pccs_support::{DAY, NOW, Odd, OddServer, TestClock, cache, closed_url, key, pccs, platform, policy};

/// A platform, its PCCS and a cache that fetches from it.
struct World {
    platform: Platform,
    server: Pccs,
    clock: TestClock,
    cache: CollateralCache,
}

async fn world(policy: CachePolicy, dir: Option<&Path>) -> World {
    let platform = platform();
    let (server, clock) = (pccs(&platform).await, TestClock::at(NOW));
    let cache = cache(&platform, &[&server.url()], policy, dir, &clock);
    World { platform, server, clock, cache }
}

impl World {
    fn key(&self) -> CollateralKey {
        key(&self.platform, 0)
    }

    /// What the server was asked, in fetches.
    fn fetches(&self) -> u64 {
        self.server.count(SimEndpoint::TcbInfo)
    }

    async fn issued(&self, now: u64) -> Result<u64, CollateralUnavailable> {
        let CollateralKey { fmspc, ca } = self.key();
        self.cache.get(fmspc, ca, now).await.map(|collateral| collateral.marks().tcb_info_issued)
    }

    /// A cache on the same disk in a new process, as far as that can be had.
    fn restarted(&self, url: &str, dir: &Path) -> CollateralCache {
        cache(&self.platform, &[url], policy(), Some(dir), &self.clock)
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn get(cache: &CollateralCache, key: CollateralKey, now: u64) -> Result<u64, Fault> {
    match cache.get(key.fmspc, key.ca, now).await {
        Ok(collateral) => Ok(collateral.marks().tcb_info_issued),
        Err(error) => Err(error.attempts.into_iter().next().unwrap().fault),
    }
}

fn code(result: Result<u64, Fault>) -> &'static str {
    result.unwrap_err().code()
}

/// A policy under which valid collateral is fetched anew at each request.
fn eager() -> CachePolicy {
    CachePolicy { refresh_after: Duration::ZERO, ..policy() }
}

#[tokio::test(flavor = "multi_thread")]
async fn cache__should_fetch_once_for_many_callers() {
    let world = Arc::new(world(policy(), None).await);
    world.server.set_fault(SimFault::Slow { delay_ms: 100 });
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.issued(NOW).await.unwrap() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(world.fetches(), 1);
    world.issued(NOW).await.unwrap();
    assert_eq!(world.fetches(), 1);
    let metrics = world.cache.metrics();
    assert_eq!((metrics.fetches, metrics.waits, metrics.entries), (1, 200, 1));
    assert!(metrics.hits >= 1 && !metrics.persistent);
}

#[tokio::test]
async fn cache__should_not_let_a_caller_that_goes_away_harm_the_others() {
    let world = world(policy(), None).await;
    world.server.set_fault(SimFault::Slow { delay_ms: 1000 });
    let impatient = tokio::time::timeout(Duration::from_millis(50), world.issued(NOW));
    assert!(impatient.await.is_err(), "the first caller begins the fetch and goes away");
    assert!(world.issued(NOW).await.is_ok());
    assert_eq!(world.fetches(), 1);
}

#[test]
fn cache__should_outlive_a_fetch_that_died() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let served = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = served.block_on(world(policy(), None));
    world.server.set_fault(SimFault::Slow { delay_ms: 1000 });
    let dying = runtime();
    dying.block_on(async {
        let begun = tokio::time::timeout(Duration::from_millis(50), world.issued(NOW));
        assert!(begun.await.is_err());
    });
    drop(dying);
    assert!(runtime().block_on(world.issued(NOW)).is_ok());
    assert_eq!(world.cache.metrics().fetches, 2);
}

#[tokio::test]
async fn cache__should_remember_failures_for_a_while() {
    let policy =
        CachePolicy { failure_base: Duration::from_secs(2), failure_cap: Duration::from_secs(2), ..policy() };
    let world = world(policy, None).await;
    world.server.set_fault(SimFault::Status { code: 404 });
    let first = world.issued(NOW).await.unwrap_err();
    assert_eq!(world.issued(NOW).await.unwrap_err(), first);
    assert_eq!((world.fetches(), world.cache.metrics().failures_repeated), (1, 1));
    world.server.set_fault(SimFault::None);
    tokio::time::sleep(Duration::from_millis(2010)).await;
    assert!(world.issued(NOW).await.is_ok());
    assert_eq!(world.cache.metrics().failures, 1);
}

#[tokio::test]
async fn cache__should_serve_the_old_while_it_fetches_the_new() {
    let world = world(eager(), None).await;
    let old = world.issued(NOW).await.unwrap();
    world.server.set_clock(SimClock::Fixed(NOW + DAY));
    world.clock.set(NOW + DAY);
    world.server.set_fault(SimFault::Slow { delay_ms: 100 });
    assert_eq!(world.issued(NOW + DAY).await.unwrap(), old, "served at once");
    until(|| world.cache.lower_bound() > NOW).await;
    world.server.set_fault(SimFault::None);
    assert_eq!(world.issued(NOW + DAY).await.unwrap(), old + DAY);
}

#[tokio::test]
async fn cache__should_serve_the_old_when_the_new_cannot_be_had_but_never_expired() {
    let world = world(eager(), None).await;
    let issued = world.issued(NOW).await.unwrap();
    world.server.set_fault(SimFault::Status { code: 500 });
    let later = NOW + 20 * DAY;
    world.clock.set(later);
    assert_eq!(world.issued(later).await.unwrap(), issued);
    until(|| world.cache.metrics().failures == 1).await;
    assert_eq!(world.issued(later).await.unwrap(), issued);
    assert_eq!(world.cache.metrics().stale_served, 1);

    let expired = NOW + 31 * DAY;
    world.clock.set(expired);
    let error = world.issued(expired).await.unwrap_err();
    assert_eq!(error.attempts[0].fault, Fault::Status(500), "{error}");
}

#[tokio::test]
async fn cache__should_refresh_on_a_timer_what_is_due() {
    let world = world(eager(), None).await;
    world.cache.refresh_due();
    assert_eq!(world.cache.metrics().fetches, 0, "nothing is known yet");
    world.issued(NOW).await.unwrap();
    world.server.set_clock(SimClock::Fixed(NOW + DAY));
    world.clock.set(NOW + DAY);
    world.cache.refresh_due();
    until(|| world.cache.lower_bound() > NOW).await;
    assert_eq!(world.cache.metrics().fetches, 2);
}

#[tokio::test]
async fn cache__should_refuse_what_is_older_than_what_it_served() {
    let world = world(eager(), None).await;
    let issued = world.issued(NOW).await.unwrap();
    world.server.set_fault(SimFault::RolledBack);
    assert_eq!(world.issued(NOW).await.unwrap(), issued);
    until(|| world.cache.metrics().failures == 1).await;
    assert_eq!(world.issued(NOW).await.unwrap(), issued);
    assert!(world.cache.metrics().rollbacks_refused >= 1);
}

#[tokio::test]
async fn cache__should_know_a_rollback_by_other_platforms_collateral() {
    let mut platform = platform();
    platform.add_host().unwrap();
    let (server, clock) = (pccs(&platform).await, TestClock::at(NOW));
    let cache = cache(&platform, &[&server.url()], policy(), None, &clock);
    get(&cache, key(&platform, 0), NOW).await.unwrap();
    // The QE identity and the lists are the same for all platforms.
    server.set_fault(SimFault::RolledBack);
    assert_eq!(code(get(&cache, key(&platform, 1), NOW).await), "collateral-rolled-back");
    server.set_fault(SimFault::None);
    assert!(get(&cache, key(&platform, 1), NOW).await.is_ok());
}

#[tokio::test]
async fn cache__should_not_let_the_clock_go_back() {
    let world = world(policy(), None).await;
    world.issued(NOW).await.unwrap();
    let known = world.cache.lower_bound();
    assert!(known > NOW - DAY && known <= NOW);
    // The host sets the clock back by a year and serves what was valid then.
    let then = NOW - 365 * DAY;
    world.clock.set(then);
    world.server.set_clock(SimClock::Fixed(then));
    assert!(world.cache.now() >= known);
    let mut platform = platform();
    platform.add_host().unwrap();
    world.server.with_platform(|served| {
        served.add_host().unwrap();
    });
    let error = get(&world.cache, key(&platform, 1), then).await.unwrap_err();
    assert_eq!(error.code(), "collateral-expired", "{error}");
    assert!(world.issued(then).await.is_ok(), "what was served before is still valid");
}

#[tokio::test]
async fn cache__should_not_bring_expired_collateral_back_to_life() {
    let mut platform = platform();
    platform.add_host().unwrap();
    let (server, clock) = (pccs(&platform).await, TestClock::at(NOW));
    let cache = cache(&platform, &[&server.url()], policy(), None, &clock);
    get(&cache, key(&platform, 0), NOW).await.unwrap();
    let later = NOW + 31 * DAY;
    server.set_clock(SimClock::Fixed(later));
    clock.set(later);
    get(&cache, key(&platform, 1), later).await.unwrap();
    // The host sets the clock back to when the first platform's collateral was valid, and cuts the network.
    clock.set(NOW);
    server.set_fault(SimFault::Status { code: 404 });
    assert_eq!(get(&cache, key(&platform, 0), NOW).await, Err(Fault::Status(404)));
    assert!(get(&cache, key(&platform, 1), NOW).await.is_ok());
    assert_eq!(cache.export_pack().keys().collect::<Vec<_>>(), [key(&platform, 1)]);
}

#[tokio::test]
async fn cache__should_start_from_disk_without_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(policy(), Some(dir.path())).await;
    let issued = world.issued(NOW).await.unwrap();
    assert!(world.cache.metrics().persistent);
    let offline = world.restarted(&closed_url().await, dir.path());
    assert!(offline.store_notes().is_empty());
    assert_eq!(get(&offline, world.key(), NOW).await.unwrap(), issued);
    until(|| offline.metrics().failures == 1).await;
    assert_eq!(get(&offline, world.key(), NOW).await.unwrap(), issued);
    assert_eq!(offline.metrics().stale_served, 1);
    assert!(offline.lower_bound() > NOW - DAY);
    world.clock.set(NOW + 31 * DAY);
    assert_eq!(code(get(&offline, world.key(), NOW + 31 * DAY).await), "connect");
}

#[tokio::test]
async fn cache__should_refuse_rollbacks_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(policy(), Some(dir.path())).await;
    world.issued(NOW).await.unwrap();
    let file = dir.path().join(format!("{}.json", world.key()));

    // The copy is lost, the marks are there.
    fs::remove_file(&file).unwrap();
    world.server.set_fault(SimFault::RolledBack);
    let restarted = world.restarted(&world.server.url(), dir.path());
    assert_eq!(code(get(&restarted, world.key(), NOW).await), "collateral-rolled-back");

    // An older copy is put in its place.
    let elsewhere = tempfile::tempdir().unwrap();
    let fooled = world.restarted(&world.server.url(), elsewhere.path());
    get(&fooled, world.key(), NOW).await.unwrap();
    fs::copy(elsewhere.path().join(file.file_name().unwrap()), &file).unwrap();
    let restarted = world.restarted(&closed_url().await, dir.path());
    let [note] = restarted.store_notes() else { panic!("{:?}", restarted.store_notes()) };
    let StoreProblem::Refused(fault) = &note.problem else { panic!("{note}") };
    assert_eq!(fault.code(), "collateral-rolled-back");
    assert_eq!(code(get(&restarted, world.key(), NOW).await), "connect");

    world.server.set_fault(SimFault::None);
    let restarted = world.restarted(&world.server.url(), dir.path());
    assert!(get(&restarted, world.key(), NOW).await.is_ok());
}

#[tokio::test]
async fn cache__should_survive_any_damage_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(policy(), Some(dir.path())).await;
    world.issued(NOW).await.unwrap();
    let file = dir.path().join(format!("{}.json", world.key()));
    let genuine = fs::read_to_string(&file).unwrap();
    let tampered = genuine.replacen("UpToDate", "OutOfDat", 1);
    assert_ne!(tampered, genuine);
    for damage in [tampered.as_str(), "", "{}", &genuine[..genuine.len() / 2], "\u{0}\u{1}"] {
        fs::write(&file, damage).unwrap();
        let restarted = world.restarted(&world.server.url(), dir.path());
        assert_eq!(restarted.store_notes().len(), 1);
        assert!(get(&restarted, world.key(), NOW).await.is_ok());
    }
    let marks = dir.path().join("marks.json");
    for damage in ["", "[]", "{\"version\":1}"] {
        fs::write(&marks, damage).unwrap();
        let restarted = world.restarted(&world.server.url(), dir.path());
        assert_eq!(restarted.store_notes().len(), 1, "{:?}", restarted.store_notes());
        assert!(get(&restarted, world.key(), NOW).await.is_ok());
        until(|| fs::read_to_string(&marks).unwrap().contains("tcb_info_number")).await;
    }
    // Marks that were raised refuse, and do nothing else.
    let raised = fs::read_to_string(&marks).unwrap().replace("number\":20", "number\":99");
    fs::write(&marks, raised).unwrap();
    let restarted = world.restarted(&world.server.url(), dir.path());
    assert_eq!(code(get(&restarted, world.key(), NOW).await), "collateral-rolled-back");
    assert!(restarted.lower_bound() == 0);
}

#[tokio::test]
async fn cache__should_work_without_a_disk_that_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    // Not even root can write below a file.
    fs::write(dir.path().join("file"), "").unwrap();
    let world = world(policy(), Some(&dir.path().join("file/store"))).await;
    assert_eq!(world.cache.store_notes().len(), 1);
    assert!(world.issued(NOW).await.is_ok());
    let metrics = world.cache.metrics();
    assert_eq!((metrics.store_failures, metrics.persistent), (1, false));
    assert!(world.issued(NOW).await.is_ok());
}

#[tokio::test]
async fn cache__should_fetch_for_allowed_fmspcs_only() {
    let platform = platform();
    let (server, clock) = (pccs(&platform).await, TestClock::at(NOW));
    let none = CachePolicy { allowed_fmspcs: Some(BTreeSet::new()), ..policy() };
    let refusing = cache(&platform, &[&server.url()], none, None, &clock);
    assert_eq!(get(&refusing, key(&platform, 0), NOW).await, Err(Fault::NotAllowed));
    assert_eq!((server.count(SimEndpoint::TcbInfo), refusing.metrics().withheld), (0, 1));
    let allowed = Some(BTreeSet::from([key(&platform, 0).fmspc]));
    let allowing = CachePolicy { allowed_fmspcs: allowed, unknown_burst: 0, ..policy() };
    let allowing = cache(&platform, &[&server.url()], allowing, None, &clock);
    assert!(get(&allowing, key(&platform, 0), NOW).await.is_ok());
}

#[tokio::test]
async fn cache__should_bound_what_invented_fmspcs_cost() {
    let policy = CachePolicy {
        unknown_burst: 3,
        unknown_refill: Duration::from_hours(1),
        max_entries: 2,
        failure_base: Duration::from_mins(1),
        failure_cap: Duration::from_mins(1),
        ..policy()
    };
    let world = world(policy, None).await;
    world.issued(NOW).await.unwrap();
    let mut codes = Vec::new();
    for n in 0..10 {
        let invented = CollateralKey { fmspc: Fmspc([n; 6]), ca: PckCa::Platform };
        codes.push(code(get(&world.cache, invented, NOW).await));
    }
    assert_eq!(codes[..2], ["status", "status"]);
    assert!(codes[2..].iter().all(|code| *code == "rate-limited"), "{codes:?}");
    let metrics = world.cache.metrics();
    assert_eq!((metrics.entries, metrics.withheld, world.fetches()), (2, 8, 3));
    // What is known needs no token, and was not pushed out by what failed.
    let before = metrics.hits;
    world.issued(NOW).await.unwrap();
    assert_eq!(world.cache.metrics().hits, before + 1);
}

#[tokio::test]
async fn cache__should_return_in_time_whatever_the_sources_do() {
    let platform = platform();
    let silent = OddServer::start(Odd::Silence).await;
    let cache = cache(&platform, &[&silent.url], policy(), None, &TestClock::at(NOW));
    let begun = Instant::now();
    assert_eq!(get(&cache, key(&platform, 0), NOW).await, Err(Fault::Timeout));
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn cache__should_keep_early_collateral_apart() {
    let world = world(policy(), None).await;
    let CollateralKey { fmspc, ca } = world.key();
    let early = world.cache.early(fmspc, ca, NOW).await.unwrap();
    let current = world.cache.get(fmspc, ca, NOW).await.unwrap();
    assert_eq!(current.marks().tcb_info_number, 20, "what is early is no mark for what decides");
    assert_eq!(early.tcb_info_number(), 21);
    assert_eq!((world.fetches(), world.cache.metrics().entries), (2, 2));
    world.cache.early(fmspc, ca, NOW).await.unwrap();
    assert_eq!(world.fetches(), 2);
}
