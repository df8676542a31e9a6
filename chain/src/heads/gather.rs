//! Takes answers from several providers without being held up by one of them.
//!
//! Owns the grace, and when to stop; knows nothing of what is asked. Called by the quorum. Threat: a provider that accepts a
//! question and never answers, so that every poll takes as long as an RPC may, and a revocation as much longer.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long others are waited for once enough have answered. Healthy providers answer within 0.5 s of one another; a silent
/// one costs a fraction of the time between two polls, which is 3 s.
pub const GRACE: Duration = Duration::from_millis(500);

/// How far a round of questions has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not enough have answered: wait for as long as an RPC may take.
    Open,
    /// Enough have: wait for the others for the grace, and no longer.
    Enough,
    /// No answer that is waited for can change the outcome.
    Decided,
}

/// Takes answers as they come, until it is decided or the grace is over; and those that are there by then.
pub(super) async fn gather<T: 'static>(tasks: &mut JoinSet<T>, mut take: impl FnMut(T) -> Progress) {
    let mut end = None;
    while let Some(done) = until(end, tasks.join_next()).await {
        let Ok(answer) = done else { continue };
        match take(answer) {
            Progress::Open => {}
            Progress::Enough => end = end.or_else(|| Some(Instant::now() + GRACE)),
            Progress::Decided => break,
        }
    }
    while let Some(done) = tasks.try_join_next() {
        if let Ok(answer) = done {
            take(answer);
        }
    }
}

async fn until<T>(end: Option<Instant>, next: impl Future<Output = Option<T>>) -> Option<T> {
    match end {
        Some(end) => timeout_at(end, next).await.unwrap_or(None),
        None => next.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// Answers after so many milliseconds each; how many were taken, and when it was over.
    async fn run(answers: &[u64], progress: impl Fn(usize) -> Progress) -> (usize, Duration) {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for after in answers {
            tasks.spawn(sleep(Duration::from_millis(*after)));
        }
        let mut taken = 0;
        gather(&mut tasks, |()| {
            taken += 1;
            progress(taken)
        })
        .await;
        (taken, start.elapsed())
    }

    fn near(elapsed: Duration, millis: u64) -> bool {
        elapsed.abs_diff(Duration::from_millis(millis)) <= Duration::from_millis(2)
    }

    #[tokio::test(start_paused = true)]
    async fn gather__should_wait_for_the_grace_once_there_is_enough() {
        let enough_at_two = |taken| if taken < 2 { Progress::Open } else { Progress::Enough };
        let (taken, elapsed) = run(&[10, 3000, 3200, 8000], enough_at_two).await;
        assert!(taken == 3 && near(elapsed, 3500), "{taken} in {elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn gather__should_end_at_once_when_it_is_decided_or_everyone_has_answered() {
        let decided = |_| Progress::Decided;
        let (taken, elapsed) = run(&[10, 8000], decided).await;
        assert!(taken == 1 && near(elapsed, 10), "{taken} in {elapsed:?}");
        let (taken, elapsed) = run(&[10, 30], |_| Progress::Enough).await;
        assert!(taken == 2 && near(elapsed, 30), "{taken} in {elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn gather__should_wait_for_all_where_there_is_never_enough() {
        let (taken, elapsed) = run(&[10, 8000], |_| Progress::Open).await;
        assert!(taken == 2 && near(elapsed, 8000), "{taken} in {elapsed:?}");
    }
}
