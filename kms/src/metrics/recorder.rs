//! A recorder that is measured: how long appends take, how many fail, and what the records say was decided.
//!
//! Owns no log; changes nothing on the way. An append that nobody waits for any more, because its caller went away, is on
//! disk and is not counted. Made where the node is assembled.

use std::sync::Arc;
use std::time::Instant;

use kms_ledger::store::Entry;

use super::Metrics;
use crate::record::{Appending, Recorder};

/// A recorder, measured.
pub(crate) struct Measured<R> {
    recorder: R,
    metrics: Arc<Metrics>,
}

impl<R> Measured<R> {
    pub(crate) const fn new(recorder: R, metrics: Arc<Metrics>) -> Self {
        Self { recorder, metrics }
    }
}

impl<R: Recorder> Recorder for Measured<R> {
    fn append(&self, entry: Entry) -> Appending<'_> {
        let (begin, append) = (Instant::now(), self.recorder.append(entry));
        Box::pin(async move {
            let appended = append.await;
            self.metrics.appended(begin.elapsed());
            if appended.is_err() {
                self.metrics.append_failed();
            }
            appended
        })
    }
}
