//! Retention: evidence that only old records name goes, once a day, where the configuration says so. The records stay.
//!
//! Owns when and how much; the store owns what may be removed, and marks it in the log first. Never removes a record, and
//! nothing at all by default. Called by `serve`. Threat: a disk that fills up with what nobody will ask for any more. The
//! node's clock says what is old: a host that sets it ahead makes evidence go early, as it could by deleting the files.

use std::sync::Arc;
use std::time::Duration;

use kms_ledger::store::{Before, Pruned, Store};
use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;
use crate::witnesses::Rounds;

/// How often old evidence is looked for; the first time at the start.
const PRUNE_EVERY: Duration = Duration::from_hours(24);

/// The log of decisions, and for how long the evidence in it is kept.
pub struct KeptLog {
    /// The log.
    pub store: Arc<Store>,
    /// How long evidence is kept; for ever by default.
    pub keep_evidence: Option<Duration>,
    /// Its witnesses, where it has any.
    pub(crate) rounds: Option<Rounds>,
}

/// Removes evidence as it gets too old.
pub(crate) async fn keep_evidence(node: Arc<Node>, store: Arc<Store>, keep: Duration) {
    let mut ticks = interval(PRUNE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        remove_older(&store, node.now(), keep).await;
    }
}

/// Removes evidence older than that. What could not be removed is tried again the next day.
async fn remove_older(store: &Store, now: u64, keep: Duration) {
    match store.prune(Before::Time(now.saturating_sub(keep.as_secs()))).await {
        Ok(Pruned { before, blobs, bytes }) => tracing::info!(before, blobs, bytes, "old evidence removed"),
        Err(fault) => tracing::error!(%fault, "old evidence not removed"),
    }
}

#[cfg(test)]
mod tests {
    use kms_attestation::ids::{MrAggregated, RootEpoch};
    use kms_ledger::note::LogSigner;
    use kms_ledger::record::{Event, NodeStamp, Record};
    use kms_ledger::store::{Entry, JournalKey, Priority, StoreKeys, StoreOptions};
    use kms_ledger::{Blob, LogPath};
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    const DAY: u64 = 86_400;

    struct Key(Ed25519KeyPair);

    impl LogSigner for Key {
        fn public_key(&self) -> [u8; 32] {
            self.0.public_key().as_ref().try_into().unwrap()
        }

        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message).as_ref().try_into().unwrap()
        }
    }

    /// A record of that time with evidence of its own, which is this blob.
    fn entry(time: u64, evidence: &Blob) -> Entry {
        let node = NodeStamp {
            name: "kms-1".to_owned(),
            software: "test".to_owned(),
            rules: 1,
            root_epoch: RootEpoch(0),
            policy: evidence.id(),
            measurement: MrAggregated([1; 32]),
        };
        let record = Record { time, node, head: None, event: Event::Stopped };
        Entry { record: record.encode(), blobs: vec![evidence.clone()], priority: Priority::Other }
    }

    #[tokio::test]
    async fn evidence__should_go_when_it_is_old_and_leave_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
        let options = StoreOptions { origin: "log.test".to_owned(), ..StoreOptions::default() };
        let keys = StoreKeys { signer: Box::new(key), journal: JournalKey::new(&[7; 32]) };
        let (store, _) = Store::open(folder.path(), keys, options).unwrap();
        let (old, young) = (Blob::new("old".to_owned()), Blob::new("young".to_owned()));
        store.append(entry(10 * DAY, &old)).await.unwrap();
        store.append(entry(20 * DAY, &young)).await.unwrap();
        store.publish().await.unwrap();
        let log = store.log_folder();
        let there = |blob: &Blob| log.join(LogPath::Blob(blob.id()).to_string()).exists();

        remove_older(&store, 30 * DAY, Duration::from_secs(21 * DAY)).await;
        assert!(there(&old) && there(&young), "neither is older than three weeks");
        remove_older(&store, 30 * DAY, Duration::from_secs(11 * DAY)).await;
        assert!(!there(&old) && there(&young));
        assert_eq!(std::fs::read_to_string(log.join("pruned")).unwrap(), "1\n");
        assert_eq!(store.state().size, 2);
        store.close().await.unwrap();
    }
}
