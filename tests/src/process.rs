//! A process that ends with its owner, and whose words are kept for whoever has to find out why a test failed.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The lines that are shown of a process when a test fails.
const SHOWN_LINES: usize = 60;

/// A program of this workspace, beside the test: `target/debug`.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("a folder above deps");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "no {name} at {}: `make end-to-end` builds it, as does `cargo test --workspace --all-features`",
        path.display()
    );
    path
}

/// A running process.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

#[derive(Default)]
struct Lines {
    all: Mutex<Vec<String>>,
    more: Condvar,
}

impl Lines {
    fn gather(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let lines = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.all.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                lines.more.notify_all();
            }
        });
    }
}

impl Process {
    /// Starts a command; `name` is for people.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let lines = Arc::<Lines>::default();
        lines.gather(child.stdout.take().expect("stdout"));
        lines.gather(child.stderr.take().expect("stderr"));
        Self { name: name.to_owned(), child, lines }
    }

    /// Waits for a line that the function knows, from the first line on.
    pub fn await_line<T>(&mut self, patience: Duration, known: impl Fn(&str) -> Option<T>) -> T {
        let end = Instant::now() + patience;
        loop {
            let all = self.lines.all.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = all.iter().find_map(|line| known(line)) {
                return found;
            }
            let (all, _) = self
                .lines
                .more
                .wait_timeout(all, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner);
            let said = all.join("\n");
            drop(all);
            let ended = self.child.try_wait().expect("a child to wait for");
            assert!(
                ended.is_none() && Instant::now() < end,
                "{} did not say what was awaited (ended: {ended:?}); it said:\n{said}",
                self.name
            );
        }
    }

    /// Waits until it has ended by itself; what it said.
    pub fn await_end(&mut self, patience: Duration) -> (ExitStatus, String) {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                std::thread::sleep(Duration::from_millis(50));
                return (status, self.said());
            }
            assert!(Instant::now() < end, "{} did not end; it said:\n{}", self.name, self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that it has written so far.
    pub fn said(&self) -> String {
        self.lines.all.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let from = said.lines().count().saturating_sub(SHOWN_LINES);
            let tail: Vec<_> = said.lines().skip(from).collect();
            eprintln!("--- the last words of {}:\n{}\n---", self.name, tail.join("\n"));
        }
    }
}
