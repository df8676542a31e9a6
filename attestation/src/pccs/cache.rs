//! The collateral that a node decides with: current, never expired, never older than what it saw before.
//!
//! One entry per kind of platform and CA. What is asked of it:
//!
//! - Valid collateral is served at once; when it is due it is fetched anew in the background, and if that fails
//!   the old one is served for as long as it is valid. Expired collateral is never served.
//! - Many callers for the same entry cause one fetch, which runs by itself: a caller that goes away neither stops
//!   it nor harms the others.
//! - A failure is remembered for a while, so that a dead PCCS is not asked once per request.
//! - Nothing is accepted that is older than what was accepted before, in this process or, through the marks on
//!   disk, in those before it.
//! - Time never runs backwards: everything is judged at the later of the caller's `now` and
//!   [`lower_bound`](CollateralCache::lower_bound).
//! - Outsiders choose FMSPCs before their quotes are verified, so unknown ones are fetched only at a bounded rate.
//!
//! Called by the node before each verification, and by tools. It decides nothing about quotes: what it returns is
//! evidence for the one who does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use super::client::{Ask, CollateralClient, vet};
use super::clock::{Clock, SystemClock};
use super::early::EarlyCollateral;
use super::fault::{CollateralUnavailable, Fault};
use super::flight;
use super::key::CollateralKey;
use super::pack::Pack;
use super::policy::CachePolicy;
use super::state::{CacheMetrics, Flight, Lane, Outcome, Slot, State, Step, check_time};
use super::store::{CollateralStore, StoreNote, StoreProblem};
use super::wire::EvaluationSet;
use crate::collateral::{CheckedCollateral, PckCa};
use crate::ids::Fmspc;

/// How many refreshes `refresh_due` begins at once. Each makes four requests.
const MAX_REFRESHES: usize = 8;

/// The cache. Clones share it.
#[derive(Clone)]
pub struct CollateralCache {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) client: CollateralClient,
    pub(super) policy: CachePolicy,
    pub(super) store: Option<Arc<AsyncMutex<CollateralStore>>>,
    clock: Box<dyn Clock>,
    state: Mutex<State>,
    notes: Vec<StoreNote>,
}

/// What became of a pack's entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// What was taken in.
    pub imported: Vec<CollateralKey>,
    /// What was refused, and why.
    pub refused: Vec<(CollateralKey, Fault)>,
}

/// What the cache does about a request, once decided.
enum Plan {
    Serve(Arc<CheckedCollateral>),
    Wait(Flight),
    Refuse(CollateralUnavailable),
}

impl CollateralCache {
    /// A cache in memory only.
    #[must_use]
    pub fn new(client: CollateralClient, policy: CachePolicy) -> Self {
        Self::open(client, policy, None, Box::new(SystemClock))
    }

    /// A cache that begins with what is on disk, all of it checked anew. Reads the disk; reads no network.
    ///
    /// Files that cannot be used are logged and listed by [`store_notes`](Self::store_notes).
    #[must_use]
    pub fn open(
        client: CollateralClient,
        policy: CachePolicy,
        store: Option<CollateralStore>,
        clock: Box<dyn Clock>,
    ) -> Self {
        let mut state = State::new(&policy);
        let now = clock.unix_seconds();
        let load = |store: &CollateralStore| load(&mut state, &client, &policy, store, now);
        let notes = store.as_ref().map(load).unwrap_or_default();
        state.metrics.persistent = store.is_some();
        let store = store.map(|store| Arc::new(AsyncMutex::new(store)));
        Self { shared: Arc::new(Shared { client, policy, store, clock, state: Mutex::new(state), notes }) }
    }

    /// The collateral for a kind of platform, valid at `now` (Unix seconds) and at the lower bound of the time.
    ///
    /// Returns within the client's total deadline. Needs a tokio runtime.
    pub async fn get(
        &self,
        fmspc: Fmspc,
        ca: PckCa,
        now: u64,
    ) -> Result<Arc<CheckedCollateral>, CollateralUnavailable> {
        self.look_up(Slot { lane: Lane::Decide, key: CollateralKey { fmspc, ca } }, now).await
    }

    /// What Intel will demand next of a kind of platform, to forecast with. It cannot decide about a quote.
    pub async fn early(
        &self,
        fmspc: Fmspc,
        ca: PckCa,
        now: u64,
    ) -> Result<EarlyCollateral, CollateralUnavailable> {
        let slot = Slot { lane: Lane::Early, key: CollateralKey { fmspc, ca } };
        self.look_up(slot, now).await.map(EarlyCollateral::new)
    }

    /// Fetches anew, in the background, what is due. For a timer: a node that is seldom asked stays current.
    /// Needs a tokio runtime.
    pub fn refresh_due(&self) {
        let now = self.now();
        let mut state = self.shared.state();
        for slot in state.due(&self.shared.policy, now, MAX_REFRESHES) {
            flight::launch(&self.shared, &mut state, slot, now);
        }
    }

    /// The time to judge by: the clock's, but never before [`lower_bound`](Self::lower_bound). In Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.shared.now()
    }

    /// The earliest that it can be, in Unix seconds: the latest issue date whose signature this process has
    /// checked, plus the time that has passed since. A host that sets the clock back cannot go behind it, so it
    /// cannot bring expired collateral back to life.
    #[must_use]
    pub fn lower_bound(&self) -> u64 {
        self.shared.state().time.lower_bound()
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> CacheMetrics {
        self.shared.state().metrics()
    }

    /// The files that were on disk but could not be used.
    #[must_use]
    pub fn store_notes(&self) -> &[StoreNote] {
        &self.shared.notes
    }

    /// All collateral for deciding that is valid now, as an offline pack.
    #[must_use]
    pub fn export_pack(&self) -> Pack {
        let now = self.now();
        let held = self.shared.state().held();
        let root = self.shared.client.root();
        Pack::of(held.iter().map(Arc::as_ref).filter(|one| check_time(root, one, now).is_ok()))
    }

    /// Takes in what an offline pack holds. Each entry is checked like the answer of a PCCS.
    pub async fn import_pack(&self, pack: &Pack) -> ImportReport {
        // Entries are compared with what was known before: those of one pack differ in age among themselves.
        let known = self.shared.state().marks.clone();
        let mut report = ImportReport::default();
        for key in pack.keys() {
            let ask = Ask { key, set: self.shared.policy.set, seen: known.of(key), fresh_until: 0 };
            match self.import(pack, &ask).await {
                Ok(()) => report.imported.push(key),
                Err(fault) => report.refused.push((key, fault)),
            }
        }
        report
    }

    async fn import(&self, pack: &Pack, ask: &Ask) -> Result<(), Fault> {
        let collateral = pack.get(ask.key).ok_or(Fault::NotInPack)?;
        if !self.shared.policy.allows(ask.key.fmspc) {
            return Err(Fault::NotAllowed);
        }
        let checked = vet(self.shared.client.root(), ask, collateral, self.now()).inspect_err(|fault| {
            self.shared.state().metrics.rollbacks_refused += u64::from(fault.is_rollback());
        })?;
        let checked = Arc::new(checked);
        {
            let mut state = self.shared.state();
            if !state.insert(&self.shared.policy, Arc::clone(&checked)) {
                return Err(Fault::RateLimited);
            }
            state.marks.raise(ask.key, &checked.marks());
        }
        self.shared.persist(&checked).await;
        Ok(())
    }

    async fn look_up(&self, slot: Slot, now: u64) -> Outcome {
        match self.plan(slot, now) {
            Plan::Serve(collateral) => Ok(collateral),
            Plan::Refuse(error) => Err(error),
            Plan::Wait(flight) => self.wait(flight, slot, now).await,
        }
    }

    fn plan(&self, slot: Slot, now: u64) -> Plan {
        let Shared { policy, client, .. } = &*self.shared;
        let mut state = self.shared.state();
        let now = now.max(state.time.lower_bound());
        match state.step(policy, client.root(), slot, now) {
            Step::Serve { collateral, refresh } => {
                if refresh {
                    flight::launch(&self.shared, &mut state, slot, now);
                }
                Plan::Serve(collateral)
            }
            Step::Fetch => Plan::Wait(flight::launch(&self.shared, &mut state, slot, now)),
            Step::Join(flight) => Plan::Wait(flight),
            Step::Refuse(error) => Plan::Refuse(error),
        }
    }

    async fn wait(&self, mut flight: Flight, slot: Slot, now: u64) -> Outcome {
        let interrupted = || CollateralUnavailable::here(slot.key, Fault::Interrupted);
        let landed = flight.wait_for(Option::is_some).await.map_err(|_| interrupted())?.clone();
        let collateral = landed.ok_or_else(interrupted)??;
        // The fetch was begun for another caller, whose time may be earlier than this one's.
        let now = now.max(self.lower_bound());
        check_time(self.shared.client.root(), &collateral, now)
            .map_err(|reason| CollateralUnavailable::here(slot.key, reason.into()))?;
        Ok(collateral)
    }
}

impl Shared {
    /// The state. A panic while it was held leaves nothing half done that matters: each field is sound by itself.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.unix_seconds().max(self.state().time.lower_bound())
    }

    /// Which requirements a lane asks for.
    pub(super) fn set(&self, lane: Lane) -> EvaluationSet {
        match lane {
            Lane::Decide => self.policy.set,
            Lane::Early => EvaluationSet::Early,
        }
    }
}

/// Takes in what is on disk and passes every check; notes the rest.
fn load(
    state: &mut State,
    client: &CollateralClient,
    policy: &CachePolicy,
    store: &CollateralStore,
    now: u64,
) -> Vec<StoreNote> {
    let loaded = store.load(client.root().key_id());
    let mut notes = loaded.notes;
    for (key, collateral) in loaded.collateral {
        let ask = Ask { key, set: policy.set, seen: loaded.marks.own(key), fresh_until: 0 };
        match vet(client.root(), &ask, collateral, now) {
            Ok(checked) => {
                state.marks.raise(key, &checked.marks());
                state.insert(policy, Arc::new(checked));
            }
            Err(fault) => notes.push(StoreNote {
                file: CollateralStore::file_name(key),
                problem: StoreProblem::Refused(fault),
            }),
        }
    }
    state.marks.merge(&loaded.marks);
    for note in &notes {
        tracing::warn!("stored collateral not used: {note}");
    }
    notes
}
