//! Verification is arithmetic: it runs on a bounded number of threads, and what would have to wait too long is turned away.
//!
//! A job that has begun runs to its end, and keeps its place until then, also when its caller has gone away.
//!
//! Threats: a flood of evidence that keeps every core busy; a caller who waits for an answer that will come too late;
//! callers who go away so that others' jobs run beside theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::refusal::{NodeCode, Refused};

/// How long a caller that is turned away should wait: some fifty verifications.
pub const OVERLOAD_PAUSE: Duration = Duration::from_millis(500);

/// How much is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkLimits {
    /// Jobs that run.
    pub running: usize,
    /// Jobs that run or wait.
    pub queued: usize,
}

/// The bounded pool.
pub(crate) struct Workers {
    limits: WorkLimits,
    running: Arc<Semaphore>,
    queued: Arc<Semaphore>,
    shed: AtomicU64,
}

/// What the pool does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Jobs that run.
    pub(crate) running: usize,
    /// Jobs that wait for their turn.
    pub(crate) waiting: usize,
    /// Jobs that were turned away, since the start.
    pub(crate) shed: u64,
}

impl Workers {
    pub(crate) fn new(limits: WorkLimits) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        let (running, queued) = (places(limits.running), places(limits.queued));
        Self { limits, running, queued, shed: AtomicU64::new(0) }
    }

    /// Runs a job in its turn. Refused with `overloaded` where too many wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let queued = Arc::clone(&self.queued).try_acquire_owned().map_err(|_| self.overloaded())?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| self.overloaded())?;
        let failed = |_| Refused::new(NodeCode::Internal.into(), "a job that did not end", "its result");
        let work = move || {
            let _places = (queued, running);
            job()
        };
        spawn_blocking(work).await.map_err(failed)
    }

    /// What it does at the moment.
    pub(crate) fn load(&self) -> Load {
        let in_hand = self.limits.queued.saturating_sub(self.queued.available_permits());
        let running = self.limits.running.saturating_sub(self.running.available_permits());
        Load { running, waiting: in_hand.saturating_sub(running), shed: self.shed.load(Ordering::Relaxed) }
    }

    fn overloaded(&self) -> Refused {
        self.shed.fetch_add(1, Ordering::Relaxed);
        let found = format!("{} verifications in hand", self.limits.queued);
        Refused::new(NodeCode::Overloaded.into(), found, "room for one more")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::refusal::Code;

    #[tokio::test(flavor = "multi_thread")]
    async fn run__should_turn_away_what_would_have_to_wait_too_long() {
        let workers = Arc::new(Workers::new(WorkLimits { running: 1, queued: 2 }));
        let (release, gate) = mpsc::channel::<()>();
        let blocked = {
            let workers = Arc::clone(&workers);
            tokio::spawn(async move { workers.run(move || gate.recv()).await })
        };
        let waiting = {
            let workers = Arc::clone(&workers);
            tokio::spawn(async move { workers.run(|| 7).await })
        };
        while workers.queued.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = workers.run(|| ()).await.unwrap_err();
        assert_eq!(refused.code, Code::Node(NodeCode::Overloaded));
        assert_eq!(workers.load(), Load { running: 1, waiting: 1, shed: 1 });
        release.send(()).unwrap();
        blocked.await.unwrap().unwrap().unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
        assert!(workers.run(|| ()).await.is_ok());
        assert_eq!(workers.load(), Load { running: 0, waiting: 0, shed: 1 });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn run__should_keep_the_place_of_a_job_whose_caller_went_away() {
        let workers = Arc::new(Workers::new(WorkLimits { running: 1, queued: 1 }));
        let (release, gate) = mpsc::channel::<()>();
        let (runs, running) = tokio::sync::oneshot::channel();
        let caller = {
            let workers = Arc::clone(&workers);
            let job = move || (runs.send(()), gate.recv()).1;
            tokio::spawn(async move { workers.run(job).await })
        };
        running.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert!(workers.run(|| ()).await.is_err(), "the job still runs");
        release.send(()).unwrap();
        while workers.load().running > 0 {
            tokio::task::yield_now().await;
        }
        assert!(workers.run(|| ()).await.is_ok());
    }
}
