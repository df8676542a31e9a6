//! The records of the node's own life: its start, its end, its standing, and the refusals that were only counted.

use std::sync::Arc;
use std::time::Duration;

use kms_attestation::ids::SpkiHash;
use kms_ledger::record::{Event, RootOrigin, Started};
use kms_ledger::store::{Priority, StoreFault};
use tokio::time::{MissedTickBehavior, interval};

use super::exhibits::Exhibits;
use crate::node::Node;

/// How often counted refusals are recorded, if there were any.
const CLOSE_BOOKS_EVERY: Duration = Duration::from_hours(1);

impl Node {
    /// Records the start: the first record of each run, before anything is served.
    pub(crate) async fn record_start(&self, root_origin: RootOrigin) -> Result<(), StoreFault> {
        let moment = self.moment();
        let root = self.root.public_keys();
        let (evidence, blobs) = self.log_evidence(moment.time).await.named();
        let started = Started {
            root_origin,
            root_signer: root.signer.to_compressed(),
            root_ca: SpkiHash::of(&root.ca_spki).0,
            log_key: self.log.public_key,
            evidence,
            insecure_settings: self.insecure_settings.clone(),
        };
        let entry = self.entry(moment, Event::Started(Box::new(started)), blobs, Priority::Release);
        self.recorder.append(entry).await.map(drop)
    }

    /// The quote over the log's key. Without collateral where none can be had at the start: the record of this node's
    /// standing names it as soon as it is there, and auditors take it from that.
    async fn log_evidence(&self, now: u64) -> Exhibits {
        Exhibits {
            quote: Some(self.log.quote.quote.clone().into()),
            os_image_manifest: Some(self.os_image_manifest.clone().into()),
            collateral: self.collateral(&self.log.quote.hardware, now).await.ok(),
            ..Exhibits::default()
        }
    }

    /// Records the refusals that were only counted, if there were any.
    async fn close_books(&self) {
        let now = self.now();
        if let Some(unstored) = self.books.close(now) {
            self.record_life(Event::Unstored(unstored)).await;
        }
    }

    /// Records the end of this run.
    pub(crate) async fn record_stop(&self) {
        self.close_books().await;
        self.record_life(Event::Stopped).await;
    }

    async fn record_life(&self, event: Event) {
        let entry = self.entry(self.moment(), event, Vec::new(), Priority::Release);
        if let Err(fault) = self.recorder.append(entry).await {
            tracing::error!(%fault, "not recorded");
        }
    }
}

/// Closes the books from time to time.
pub(crate) async fn keep_books(node: Arc<Node>) {
    let mut ticks = interval(CLOSE_BOOKS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        node.close_books().await;
    }
}
