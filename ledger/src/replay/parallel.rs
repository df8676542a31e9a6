//! Many records at once, on plain threads: each takes the next few that nobody has taken.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::outcome::Replayed;
use super::{Archive, Replayer};

/// How many records a thread takes at a time: records that stand side by side often share what they rest on.
const AT_ONCE: u64 = 16;

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indices {
    /// All of them from the first to the one before the second.
    Range(Range<u64>),
    /// These.
    List(Vec<u64>),
}

impl Indices {
    /// How many.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Range(range) => range.end.saturating_sub(range.start),
            Self::List(list) => list.len() as u64,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, at: u64) -> Option<u64> {
        match self {
            Self::Range(range) => range.start.checked_add(at).filter(|index| *index < range.end),
            Self::List(list) => usize::try_from(at).ok().and_then(|at| list.get(at)).copied(),
        }
    }
}

/// Decides these records again, on so many threads. `each` hears of every record once, in any order, from any thread.
pub fn replay_all(
    replayer: &Replayer,
    archive: &dyn Archive,
    indices: &Indices,
    workers: NonZeroUsize,
    each: &(dyn Fn(u64, Replayed) + Sync),
) {
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let first = next.fetch_add(AT_ONCE, Ordering::Relaxed);
            let taken: Vec<u64> =
                (first..first.saturating_add(AT_ONCE)).map_while(|at| indices.get(at)).collect();
            if taken.is_empty() {
                return;
            }
            for index in taken {
                each(index, replay_one(replayer, archive, index));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.get() {
            scope.spawn(work);
        }
        work();
    });
}

fn replay_one(replayer: &Replayer, archive: &dyn Archive, index: u64) -> Replayed {
    match archive.record(index) {
        Ok(record) => replayer.replay(archive, index, &record),
        Err(gap) => gap.into(),
    }
}
