//! The door to a log that may have been contradicted: then nothing goes through, no release and no other record.
//!
//! Owns no log. Made where the node is assembled. Threat: a node that continues a log which was rolled back, and so signs a
//! fork of what it has shown to others.

use std::future::ready;
use std::sync::Arc;

use kms_ledger::store::Entry;

use super::Witnesses;
use crate::record::{Appending, Recorder};

/// A recorder that asks first whether the log still is what witnesses saw.
pub(crate) struct Guarded {
    recorder: Arc<dyn Recorder>,
    witnesses: Arc<Witnesses>,
}

impl Guarded {
    pub(crate) const fn new(recorder: Arc<dyn Recorder>, witnesses: Arc<Witnesses>) -> Self {
        Self { recorder, witnesses }
    }
}

impl Recorder for Guarded {
    fn append(&self, entry: Entry) -> Appending<'_> {
        match self.witnesses.contradiction() {
            Some(refusal) => Box::pin(ready(Err(refusal))),
            None => self.recorder.append(entry),
        }
    }
}
