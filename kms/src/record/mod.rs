//! The record of every decision: how one is drafted, and the door to the log that it goes through before keys do.
//!
//! ```text
//! Draft (evidence and identity, as they become known) ─▶ Record + blobs ─▶ Recorder::append ─▶ keys leave
//!                                                    └▶ counted, where it proved nothing and so might be anybody's
//! ```
//!
//! [`Recorder`] is the door: nothing is released unless [`Recorder::append`] has come back, and it comes back only when the
//! record and its evidence are on disk for good. `kms-ledger` is behind it.
//!
//! Threats: a release that nobody can see afterwards; a record that claims more than was decided; a caller who fills the
//! disk.

mod books;
mod collateral;
mod draft;
mod life;
mod log_key;
mod retention;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use kms_attestation::ids::{MrAggregated, RootEpoch};
use kms_ledger::record::{Block, Event, NodeStamp, Record};
use kms_ledger::store::{Appended, Entry, Priority, Store, StoreFault};
use kms_ledger::{Blob, BlobId};
use kms_verdict::RULES_VERSION;

pub use self::books::DENIALS_PER_DEVICE;
pub(crate) use self::books::{Books, Budget};
pub(crate) use self::collateral::CollateralBlobs;
pub(crate) use self::draft::{Draft, unrecorded};
pub(crate) use self::life::keep_books;
pub(crate) use self::log_key::LogIdentity;
pub use self::retention::KeptLog;
pub(crate) use self::retention::keep_evidence;
use crate::keys::NodeId;
use crate::node::{Node, SOFTWARE};

/// The future of an append.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Appended, StoreFault>> + Send + 'a>>;

/// A log of decisions.
pub trait Recorder: Send + Sync {
    /// Appends a record with its evidence; comes back when both are durable, or with why they are not.
    fn append(&self, entry: Entry) -> Appending<'_>;
}

impl Recorder for Arc<Store> {
    fn append(&self, entry: Entry) -> Appending<'_> {
        Box::pin(Store::append(self, entry))
    }
}

/// What stands in every record of this node, and does not change while it runs.
pub(crate) struct Stamp {
    node: NodeStamp,
    policy: Blob,
}

impl Stamp {
    /// The stamp of a node with this policy document and measurement.
    pub(crate) fn new(name: &NodeId, policy: String, epoch: RootEpoch, measurement: MrAggregated) -> Self {
        let policy = Blob::new(policy);
        let node = NodeStamp {
            name: name.to_string(),
            software: SOFTWARE.to_owned(),
            rules: RULES_VERSION,
            root_epoch: epoch,
            policy: policy.id(),
            measurement,
        };
        Self { node, policy }
    }

    /// The policy's digest.
    pub(crate) const fn policy(&self) -> BlobId {
        self.node.policy
    }
}

impl Node {
    /// An entry of the log about an event; `time` in Unix seconds.
    fn entry(&self, time: u64, event: Event, mut blobs: Vec<Blob>, priority: Priority) -> Entry {
        blobs.push(self.stamp.policy.clone());
        let record = Record { time, node: self.stamp.node.clone(), head: self.head(), event };
        Entry { record: record.encode(), blobs, priority }
    }

    /// The latest head that is known.
    fn head(&self) -> Option<Block> {
        let heads = self.chain.feed().current().ok()?;
        let header = &heads.latest.header;
        let (number, hash, timestamp) = (header.number(), header.hash().0, header.timestamp());
        Some(Block { number, hash, timestamp })
    }
}
