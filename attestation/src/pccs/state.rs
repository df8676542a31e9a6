//! What the cache knows, and what it does next about a platform. No network and no disk: a lock is held meanwhile.
//!
//! Collateral for deciding and collateral for forecasting (`update=early`) are kept apart, with marks of their
//! own: the early set is signed and dated separately, and an answer for one says nothing about the other.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::AuthenticatedTime;
use super::fault::{CollateralUnavailable, Fault};
use super::key::CollateralKey;
use super::limits::backoff;
use super::marks::MarksBook;
use super::policy::{CachePolicy, TokenBucket};
use crate::collateral::CheckedCollateral;
use crate::deny::DenyReason;
use crate::memo::scoped;
use crate::root::RootOfTrust;

/// What a fetch ended with.
pub(super) type Outcome = Result<Arc<CheckedCollateral>, CollateralUnavailable>;
/// A fetch that is under way: holds its outcome once it has landed.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

/// What collateral is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Deciding about quotes.
    Decide,
    /// Forecasting what Intel will demand.
    Early,
}

/// Where collateral is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) lane: Lane,
    pub(super) key: CollateralKey,
}

/// What the cache has done since it was opened, and its state now. Counters only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheMetrics {
    /// Requests served from the cache at once.
    pub hits: u64,
    /// Requests that waited for a fetch.
    pub waits: u64,
    /// Fetches begun.
    pub fetches: u64,
    /// Fetches after which no source had collateral that can be used.
    pub failures: u64,
    /// Sources and packs refused because they had older collateral than was seen before.
    pub rollbacks_refused: u64,
    /// Requests served with valid collateral that could not be refreshed when it was due.
    pub stale_served: u64,
    /// Requests refused at once because the last fetch had just failed.
    pub failures_repeated: u64,
    /// Requests refused because the FMSPC is not allowed, or too many unknown ones were asked for.
    pub withheld: u64,
    /// Writes to disk that failed.
    pub store_failures: u64,
    /// Entries in memory.
    pub entries: usize,
    /// Whether what is in memory would survive a restart: a store is configured and its last write went well.
    pub persistent: bool,
}

struct Held {
    collateral: Arc<CheckedCollateral>,
    /// When a source last served it; `None` for collateral from disk or a pack.
    fetched: Option<Instant>,
}

struct Failure {
    error: CollateralUnavailable,
    until: Instant,
    count: u32,
}

struct Entry {
    held: Option<Held>,
    failure: Option<Failure>,
    flight: Option<Flight>,
    used: Instant,
}

impl Entry {
    fn empty() -> Self {
        Self { held: None, failure: None, flight: None, used: Instant::now() }
    }

    /// The last failure, while it is remembered.
    fn recent_failure(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| failure.until > Instant::now())
    }

    /// The fetch that is under way. One whose task has died without landing is not.
    fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }

    fn may_refresh(&self, policy: &CachePolicy, now: u64) -> bool {
        let due = self.held.as_ref().is_some_and(|held| held.is_due(policy, now));
        due && self.flight().is_none() && self.recent_failure().is_none()
    }
}

impl Held {
    fn is_due(&self, policy: &CachePolicy, now: u64) -> bool {
        policy.is_due(self.fetched.map(|at| at.elapsed()), self.collateral.dates(), now)
    }
}

/// Whether collateral is valid at the given time. Cheap: its own signatures are remembered.
pub(super) fn check_time(
    root: &RootOfTrust,
    collateral: &CheckedCollateral,
    now: u64,
) -> Result<(), DenyReason> {
    scoped(vec![Arc::clone(&collateral.memo)], || collateral.check_time(root, now)).0
}

/// What to do about a request.
pub(super) enum Step {
    /// Serve this, and fetch it anew in the background if it is time.
    Serve { collateral: Arc<CheckedCollateral>, refresh: bool },
    /// Wait for the fetch that is under way.
    Join(Flight),
    /// Fetch, then wait.
    Fetch,
    /// Nothing can be served, and nothing may be fetched now.
    Refuse(CollateralUnavailable),
}

/// All that the cache knows.
pub(super) struct State {
    entries: HashMap<Slot, Entry>,
    /// What was accepted for deciding.
    pub(super) marks: MarksBook,
    /// What was accepted for forecasting. Not kept on disk: it decides nothing.
    pub(super) early_marks: MarksBook,
    pub(super) time: AuthenticatedTime,
    pub(super) metrics: CacheMetrics,
    unknown: TokenBucket,
}

impl State {
    pub(super) fn new(policy: &CachePolicy) -> Self {
        Self {
            entries: HashMap::new(),
            marks: MarksBook::default(),
            early_marks: MarksBook::default(),
            time: AuthenticatedTime::default(),
            metrics: CacheMetrics::default(),
            unknown: TokenBucket::full(policy),
        }
    }

    pub(super) fn book(&mut self, lane: Lane) -> &mut MarksBook {
        match lane {
            Lane::Decide => &mut self.marks,
            Lane::Early => &mut self.early_marks,
        }
    }

    /// What to do about a request for a slot at the given time.
    pub(super) fn step(&mut self, policy: &CachePolicy, root: &RootOfTrust, slot: Slot, now: u64) -> Step {
        let step = self.decide(policy, root, slot, now);
        match &step {
            Step::Serve { .. } => self.metrics.hits += 1,
            Step::Join(_) | Step::Fetch => self.metrics.waits += 1,
            Step::Refuse(_) => {}
        }
        step
    }

    fn decide(&mut self, policy: &CachePolicy, root: &RootOfTrust, slot: Slot, now: u64) -> Step {
        if !policy.allows(slot.key.fmspc) {
            return self.withhold(slot, Fault::NotAllowed);
        }
        let Some(entry) = self.entries.get_mut(&slot) else { return self.first_fetch(policy, slot) };
        entry.used = Instant::now();
        if let Some(held) = &entry.held
            && check_time(root, &held.collateral, now).is_ok()
        {
            let collateral = Arc::clone(&held.collateral);
            self.metrics.stale_served += u64::from(entry.failure.is_some() && held.is_due(policy, now));
            return Step::Serve { collateral, refresh: entry.may_refresh(policy, now) };
        }
        if let Some(flight) = entry.flight() {
            return Step::Join(flight.clone());
        }
        if let Some(failure) = entry.recent_failure() {
            self.metrics.failures_repeated += 1;
            return Step::Refuse(failure.error.clone());
        }
        self.first_fetch(policy, slot)
    }

    /// A fetch for which a caller waits: limited for FMSPCs that may be invented.
    fn first_fetch(&mut self, policy: &CachePolicy, slot: Slot) -> Step {
        let known = policy.allowed_fmspcs.is_some() || self.marks.knows(slot.key.fmspc);
        let permitted = (known || self.unknown.take(policy)) && self.make_room(policy, slot);
        if permitted { Step::Fetch } else { self.withhold(slot, Fault::RateLimited) }
    }

    fn withhold(&mut self, slot: Slot, fault: Fault) -> Step {
        self.metrics.withheld += 1;
        Step::Refuse(CollateralUnavailable::here(slot.key, fault))
    }

    /// Whether there is a place for the slot, after forgetting another if need be: one without collateral rather
    /// than one with, else the one used longest ago; never one whose fetch is under way.
    fn make_room(&mut self, policy: &CachePolicy, slot: Slot) -> bool {
        if self.entries.contains_key(&slot) || self.entries.len() < policy.max_entries {
            return true;
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.flight().is_none());
        let victim = idle.min_by_key(|(_, entry)| (entry.held.is_some(), entry.used)).map(|(slot, _)| *slot);
        victim.and_then(|victim| self.entries.remove(&victim)).is_some()
    }

    /// Notes that a fetch has begun.
    pub(super) fn launched(&mut self, slot: Slot, flight: Flight) {
        self.metrics.fetches += 1;
        self.entries.entry(slot).or_insert_with(Entry::empty).flight = Some(flight);
    }

    /// Notes how a fetch ended.
    pub(super) fn landed(&mut self, policy: &CachePolicy, slot: Slot, outcome: &Outcome) {
        let entry = self.entries.entry(slot).or_insert_with(Entry::empty);
        entry.flight = None;
        match outcome {
            Ok(collateral) => {
                let fetched = Some(Instant::now());
                entry.held = Some(Held { collateral: Arc::clone(collateral), fetched });
                entry.failure = None;
            }
            Err(error) => {
                let count = entry.failure.as_ref().map_or(0, |failure| failure.count.saturating_add(1));
                let until = Instant::now() + backoff(policy.failure_base, policy.failure_cap, count);
                entry.failure = Some(Failure { error: error.clone(), until, count });
                self.metrics.failures += 1;
            }
        }
    }

    /// Takes in collateral from disk or a pack, which has been checked. False when there is no place for it.
    pub(super) fn insert(&mut self, policy: &CachePolicy, collateral: Arc<CheckedCollateral>) -> bool {
        let slot = Slot { lane: Lane::Decide, key: CollateralKey::of(&collateral) };
        if !self.make_room(policy, slot) {
            return false;
        }
        self.time.learn(&collateral.marks());
        self.entries.entry(slot).or_insert_with(Entry::empty).held = Some(Held { collateral, fetched: None });
        true
    }

    /// What is due to be fetched anew, at most `max` of it.
    pub(super) fn due(&self, policy: &CachePolicy, now: u64, max: usize) -> Vec<Slot> {
        let due = self
            .entries
            .iter()
            .filter(|(slot, entry)| policy.allows(slot.key.fmspc) && entry.may_refresh(policy, now));
        due.map(|(slot, _)| *slot).take(max).collect()
    }

    /// Everything for deciding that is in memory.
    pub(super) fn held(&self) -> Vec<Arc<CheckedCollateral>> {
        let deciding = self.entries.iter().filter(|(slot, _)| slot.lane == Lane::Decide);
        deciding
            .filter_map(|(_, entry)| entry.held.as_ref())
            .map(|held| Arc::clone(&held.collateral))
            .collect()
    }

    pub(super) fn metrics(&self) -> CacheMetrics {
        CacheMetrics { entries: self.entries.len(), ..self.metrics }
    }
}
