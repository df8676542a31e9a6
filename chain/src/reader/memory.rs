//! What earlier readings have shown, so that it need not be fetched again.
//!
//! Owns nodes, codes and footprints of decisions, by app, and their bounds. Nothing in it is believed: a node or a code counts
//! only under the hash that the state root of the head in question leads to, as if a provider had sent it just now, and a
//! footprint is a hint. So it cannot make an answer older than its head, nor another one; at worst it costs a round. Called
//! by the reader. Threats: an app that would fill it; a provider that is gone, which must show even while nothing is missing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::Address;

use crate::question::Question;
use crate::state::Footprint;
use crate::trie::HashedBytes;
use crate::witness::Witness;

/// The most apps that are remembered; then all are forgotten, and those that still ask are learned again.
const MAX_APPS: usize = 128;
/// The most evidence that is remembered of one, in bytes. A genuine decision uses 20-100 KiB, of which apps share most.
const MAX_BYTES: usize = 128 * 1024;
/// How long nodes count, in seconds: less than the time between two heads of Ethereum. Afterwards the provider is asked, so
/// that one that no longer answers is soon found out.
const NODES_COUNT_FOR: u64 = 5;

/// What one decision used.
struct Used {
    nodes: HashedBytes,
    codes: HashedBytes,
    footprint: Footprint,
    /// The clock of that decision, in Unix seconds.
    clock: u64,
}

/// What is known before a reading begins.
#[derive(Default)]
pub(super) struct Known {
    pub(super) nodes: HashedBytes,
    pub(super) codes: HashedBytes,
    /// The accounts whose code is among `codes`, or which have none.
    pub(super) contracts: BTreeSet<Address>,
    /// What the last decision about the same app read; none for one that is not remembered.
    pub(super) footprint: Option<Footprint>,
}

/// The memory of one reader.
#[derive(Default)]
pub(crate) struct ReadMemory(Mutex<Apps>);

#[derive(Default)]
struct Apps {
    /// By app; none stands for KMS nodes.
    used: HashMap<Option<Address>, Arc<Used>>,
    /// Of whichever: apps share the KMS contract, and often their implementation.
    newest: Option<Arc<Used>>,
}

impl ReadMemory {
    /// What may serve for that question; `clock` in Unix seconds.
    pub(super) fn recall(&self, question: &Question, clock: u64) -> Known {
        let (used, is_same) = {
            let apps = self.apps();
            let same = apps.used.get(&subject(question)).cloned();
            (same.clone().or_else(|| apps.newest.clone()), same.is_some())
        };
        let Some(used) = used else { return Known::default() };
        let count = clock.abs_diff(used.clock) < NODES_COUNT_FOR;
        Known {
            nodes: if count { used.nodes.clone() } else { HashedBytes::default() },
            codes: used.codes.clone(),
            contracts: used.footprint.keys().copied().collect(),
            footprint: is_same.then(|| used.footprint.clone()),
        }
    }

    /// Remembers what a decision used that a provider was asked for, if it is no more than a genuine one uses.
    pub(super) fn note(&self, question: &Question, witness: &Witness, footprint: Footprint) {
        if witness.evidence_bytes() > MAX_BYTES {
            return;
        }
        let (nodes, codes) = (witness.nodes.clone(), witness.codes.clone());
        let (mut apps, subject) = (self.apps(), subject(question));
        let used = Arc::new(Used { nodes, codes, footprint, clock: witness.clock });
        if apps.used.len() >= MAX_APPS && !apps.used.contains_key(&subject) {
            apps.used.clear();
        }
        apps.newest = Some(Arc::clone(&used));
        apps.used.insert(subject, used);
    }

    fn apps(&self) -> MutexGuard<'_, Apps> {
        // Nothing panics while it holds the lock; were it so, what is in it would still be only hints.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subject(question: &Question) -> Option<Address> {
    match question {
        Question::App(info) => Some(info.appId),
        Question::Kms(_) => None,
    }
}
