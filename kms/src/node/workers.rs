//! Verification is arithmetic: it runs on a bounded number of threads, and what would have to wait too long is turned away.
//!
//! Threats: a flood of evidence that keeps every core busy; a caller who waits for an answer that will come too late.

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
    running: Semaphore,
    queued: Semaphore,
}

impl Workers {
    pub(crate) fn new(limits: WorkLimits) -> Self {
        Self { limits, running: Semaphore::new(limits.running), queued: Semaphore::new(limits.queued) }
    }

    /// Runs a job in its turn. Refused with `overloaded` where too many wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let _queued = self.queued.try_acquire().map_err(|_| self.overloaded())?;
        let _running = self.running.acquire().await.map_err(|_| self.overloaded())?;
        let failed = |_| Refused::new(NodeCode::Internal.into(), "a job that did not end", "its result");
        spawn_blocking(job).await.map_err(failed)
    }

    fn overloaded(&self) -> Refused {
        let found = format!("{} verifications in hand", self.limits.queued);
        Refused::new(NodeCode::Overloaded.into(), found, "room for one more")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
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
        release.send(()).unwrap();
        blocked.await.unwrap().unwrap().unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
        assert!(workers.run(|| ()).await.is_ok());
    }
}
