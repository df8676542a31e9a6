//! A fetch for the cache: runs by itself and lands for all who wait. One that dies in the air is seen to be dead,
//! because what would have announced its landing is gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::cache::Shared;
use super::client::{Ask, Fetched};
use super::fault::{CollateralUnavailable, SourceFault, detail};
use super::key::CollateralKey;
use super::state::{Flight, Lane, Outcome, Slot, State};
use crate::collateral::CheckedCollateral;
use crate::deny::DenyReason;

/// How long a write to disk may take before the cache goes on without it. A healthy one takes 10 ms.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Begins a fetch. `now` is the time of the one who asks, which the clock may lag. Needs a tokio runtime.
pub(super) fn launch(shared: &Arc<Shared>, state: &mut State, slot: Slot, now: u64) -> Flight {
    let (landed, flight) = watch::channel(None);
    state.launched(slot, flight.clone());
    tokio::spawn(fly(InFlight { shared: Arc::clone(shared), slot }, now, landed));
    flight
}

/// A fetch under way.
struct InFlight {
    shared: Arc<Shared>,
    slot: Slot,
}

async fn fly(flight: InFlight, now: u64, landed: watch::Sender<Option<Outcome>>) {
    let outcome = flight.run(now).await;
    flight.shared.state().landed(&flight.shared.policy, flight.slot, &outcome);
    // Nobody may be waiting any more.
    let _ = landed.send(Some(outcome));
}

impl InFlight {
    async fn run(&self, now: u64) -> Outcome {
        let Self { shared, slot } = self;
        let seen = shared.state().book(slot.lane).of(slot.key);
        let fresh_until = now.max(shared.now()).saturating_add(shared.policy.refresh_margin.as_secs());
        let ask = Ask { key: slot.key, set: shared.set(slot.lane), seen, fresh_until };
        let fetched = shared.client.fetch(&ask, &|| now.max(shared.now())).await;
        let attempts = match &fetched {
            Ok(fetched) => &fetched.attempts,
            Err(error) => &error.attempts,
        };
        let rollbacks = attempts.iter().filter(|attempt| attempt.fault.is_rollback()).count();
        shared.state().metrics.rollbacks_refused += u64::try_from(rollbacks).unwrap_or(u64::MAX);
        self.accept(fetched?).await
    }

    async fn accept(&self, fetched: Fetched) -> Outcome {
        let Self { shared, slot } = self;
        let Fetched { collateral, source, mut attempts } = fetched;
        if let Err(reason) = self.mark(&collateral) {
            attempts.push(SourceFault { source, endpoint: None, fault: reason.into() });
            return Err(CollateralUnavailable { key: slot.key, attempts });
        }
        tracing::info!(key = %slot.key, %source, dates = ?collateral.dates(), "collateral fetched");
        let collateral = Arc::new(collateral);
        if slot.lane == Lane::Decide {
            // Before it is served: what has decided once is not forgotten.
            shared.persist(&collateral).await;
        }
        Ok(collateral)
    }

    /// Compares the marks again: another fetch may have landed in between.
    fn mark(&self, collateral: &CheckedCollateral) -> Result<(), DenyReason> {
        let mut state = self.shared.state();
        state.time.learn(&collateral.marks());
        let marked = state.book(self.slot.lane).accept(collateral);
        state.metrics.rollbacks_refused += u64::from(marked.is_err());
        marked
    }
}

impl Shared {
    /// Writes collateral and all marks to disk, if there is a store. A disk that fails is noted, not fatal.
    pub(super) async fn persist(self: &Arc<Self>, collateral: &Arc<CheckedCollateral>) {
        if self.store.is_none() {
            return;
        }
        let written = timeout(STORE_TIMEOUT, Arc::clone(self).write(Arc::clone(collateral))).await;
        let fault = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some("no end of the write in time".to_owned()),
        };
        let mut state = self.state();
        state.metrics.persistent = fault.is_none();
        if let Some(fault) = fault {
            state.metrics.store_failures += 1;
            tracing::warn!("collateral is kept in memory only: {fault}");
        }
    }

    async fn write(self: Arc<Self>, collateral: Arc<CheckedCollateral>) -> Result<(), String> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        // One write at a time; one that hangs holds the lock, so that no more threads hang behind it.
        let store = store.lock_owned().await;
        let write = move || {
            let saved = store.save(CollateralKey::of(&collateral), collateral.source());
            let marks = self.state().marks.clone();
            store.save_marks(&marks, self.client.root().key_id())?;
            saved
        };
        let written = spawn_blocking(write).await.map_err(|error| error.to_string())?;
        written.map_err(|error| detail(&error))
    }
}
