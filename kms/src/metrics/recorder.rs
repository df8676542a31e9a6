//! A recorder that is measured: how long appends take, how many fail, and what the records say was decided.
//!
//! Owns no log; changes nothing on the way. An append that nobody waits for any more, because its caller went away, is on
//! disk and is not counted. Made where the node is assembled.

use std::sync::Arc;
use std::time::Instant;

use kms_ledger::store::{Appended, Entry, StoreFault};

use super::Metrics;
use crate::record::Recorder;

/// A recorder, measured.
pub(crate) struct Measured {
    recorder: Arc<dyn Recorder>,
    metrics: Arc<Metrics>,
}

impl Measured {
    pub(crate) const fn new(recorder: Arc<dyn Recorder>, metrics: Arc<Metrics>) -> Self {
        Self { recorder, metrics }
    }

    /// Appends a record with its evidence; comes back when both are durable, or with why they are not.
    pub(crate) async fn append(&self, entry: Entry) -> Result<Appended, StoreFault> {
        let begin = Instant::now();
        let appended = self.recorder.append(entry).await;
        self.metrics.appended(begin.elapsed());
        if appended.is_err() {
            self.metrics.append_failed();
        }
        appended
    }
}
