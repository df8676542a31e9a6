//! A recorder that is measured: how long appends take, how many fail, and what the records say was decided.
//!
//! Owns no log; changes nothing on the way. An append that nobody waits for any more, because its caller went away, is on
//! disk and is not counted. Made where the node is assembled.

use std::sync::Arc;
use std::time::Instant;

use super::Metrics;
use crate::record::{Appending, Outcome, Record, Recorder};

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
    fn append<'a>(&'a self, record: &Record) -> Appending<'a> {
        let denied = match record.outcome {
            Outcome::Allow { .. } => None,
            Outcome::Deny { code, .. } => Some(code),
        };
        let (subject, begin, append) = (record.subject, Instant::now(), self.recorder.append(record));
        Box::pin(async move {
            let appended = append.await;
            self.metrics.appended(begin.elapsed());
            match (&appended, denied) {
                (Err(_), _) => self.metrics.append_failed(),
                (Ok(_), None) => self.metrics.release_recorded(subject),
                (Ok(_), Some(code)) => self.metrics.denial_recorded(code),
            }
            appended
        })
    }
}
