//! How far a long command has come: one line on a terminal's standard error, and nothing anywhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);
/// The width of the bar, in characters.
const WIDTH: u64 = 30;

/// The line.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    done: AtomicU64,
    shown: Option<Mutex<Instant>>,
}

impl Progress {
    /// Of so many.
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let shown = io::stderr().is_terminal().then(|| Mutex::new(Instant::now()));
        Self { what, total, done: AtomicU64::new(0), shown }
    }

    /// One more is done.
    pub(super) fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever holds the lock writes; nobody waits for it.
        let Some(Ok(mut last)) = self.shown.as_ref().map(Mutex::try_lock) else { return };
        if last.elapsed() >= EVERY {
            *last = Instant::now();
            self.write(&bar(self.what, done, self.total));
        }
    }

    fn write(&self, line: &str) {
        if self.shown.is_some() {
            // A bar that nobody can read changes nothing.
            let _ = write!(io::stderr(), "\r\u{1b}[K{line}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.write("");
    }
}

fn bar(what: &str, done: u64, total: u64) -> String {
    let filled = (done.min(total) * WIDTH).checked_div(total).unwrap_or(WIDTH);
    let repeat = |mark: &str, count: u64| mark.repeat(usize::try_from(count).unwrap_or(0));
    format!("{what} [{}{}] {done}/{total}", repeat("#", filled), repeat(".", WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar__should_be_as_wide_however_much_is_done() {
        assert_eq!(bar("replay", 0, 10), format!("replay [{}] 0/10", ".".repeat(30)));
        assert_eq!(bar("replay", 5, 10), format!("replay [{}{}] 5/10", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar("replay", 12, 10), format!("replay [{}] 12/10", "#".repeat(30)));
        assert_eq!(bar("replay", 0, 0), format!("replay [{}] 0/0", "#".repeat(30)));
    }
}
