//! `run`, as `kms-node` runs, but nothing is recorded: what is left is what a node would cost without its log.
//!
//! The bench starts itself so, as another process. There is no such program but this one.

use std::env;
use std::future::ready;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kms_ledger::hash::TreeHash;
use kms_ledger::store::{Appended, Entry};
use kms_node::config::Config;
use kms_node::daemon;
use kms_node::record::{Appending, Recorder};

/// Takes every entry, and forgets it.
#[derive(Default)]
struct Nothing(AtomicU64);

impl Recorder for Nothing {
    fn append(&self, _: Entry) -> Appending<'_> {
        let index = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(Ok(Appended { index, leaf: TreeHash([0; 32]) })))
    }
}

/// Runs the node; the arguments are those of `kms-node run`, as the tests give them: `--config FILE`, and `--set SETTING`s.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let value = |name: &str, pair: &[String]| (pair[0] == name).then(|| pair[1].clone());
    let values = |name| arguments.chunks(2).filter_map(move |pair| value(name, pair));
    let file = values("--config").next().expect("--config");
    let settings: Vec<String> = values("--set").collect();
    let config = Config::load(Some(Path::new(&file)), env::vars_os(), &settings).expect("a configuration");
    daemon::run(&config, |_| Arc::new(Nothing::default())).expect("a node");
    ExitCode::SUCCESS
}
