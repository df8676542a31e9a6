//! Whether anything is asked on a connection: how many requests are in hand, and since when none is.
//!
//! Counts requests, not bytes: HTTP/2 answers a PING by itself, and a peer that sends nothing else asks for nothing. A
//! request is in hand from its headers until the last byte of its answer is on its way. Begun by `requests`, read by
//! `stream`. Threat: a caller that keeps connections open for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// What happens on a connection.
pub(crate) struct Activity(Mutex<State>);

struct State {
    in_hand: usize,
    quiet_since: Instant,
}

/// A request in hand; no more when it is dropped.
pub(crate) struct InHand(Arc<Activity>);

impl Activity {
    /// A connection that begins now, with nothing in hand.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { in_hand: 0, quiet_since: Instant::now() })))
    }

    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> InHand {
        self.state().in_hand += 1;
        InHand(Arc::clone(self))
    }

    /// Since when no request is in hand; none while one is.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.in_hand == 0).then_some(state.quiet_since)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_hand -= 1;
        state.quiet_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn activity__should_be_quiet_from_the_end_of_the_last_request_on() {
        let activity = Activity::new();
        let start = Instant::now();
        assert_eq!(activity.quiet_since(), Some(start));
        let (one, two) = (activity.begin(), activity.begin());
        advance(Duration::from_secs(9)).await;
        drop(one);
        assert_eq!(activity.quiet_since(), None);
        advance(Duration::from_secs(2)).await;
        drop(two);
        advance(Duration::from_secs(5)).await;
        assert_eq!(activity.quiet_since(), Some(start + Duration::from_secs(11)));
    }
}
