//! The record of every decision: how one is drafted, and the door to the log that it goes through before keys do.
//!
//! ```text
//! Draft (evidence and identity, as they become known) ─▶ Record + blobs ─▶ Recorder::append ─▶ keys leave
//!                                                    └▶ Books: recorded or counted ─▶ Entered ─▶ the refusal is answered
//! ```
//!
//! [`Recorder`] is the door: nothing is released unless [`Recorder::append`] has come back, and it comes back only when the
//! record and its evidence are on disk for good. `kms-ledger` is behind it. `Books` are the other door: nobody is refused
//! anything, by any method, but with an `Entered`, which stands in the log or in its counts.
//!
//! Threats: a release that nobody can see afterwards; a record that claims more than was decided; a caller who fills the
//! disk.

mod books;
mod collateral;
mod draft;
mod exhibits;
mod life;
mod log_key;
mod retention;

use std::future::Future;
use std::pin::Pin;

use kms_attestation::ids::{MrAggregated, RootEpoch};
use kms_ledger::record::{Block, Event, NodeStamp, Record};
use kms_ledger::store::{Appended, Entry, Priority, Store, StoreFault};
use kms_ledger::{Blob, BlobId};
use kms_verdict::RULES_VERSION;

pub use self::books::DENIALS_PER_DEVICE;
pub(crate) use self::books::{Books, Budget, Entered, UNCODED};
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

impl Recorder for Store {
    fn append(&self, entry: Entry) -> Appending<'_> {
        Box::pin(Self::append(self, entry))
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

/// The moment that a record is about: the time that was decided by, and the head of that time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Unix seconds.
    pub(crate) time: u64,
    head: Option<Block>,
}

impl Node {
    /// This moment. A decision takes a while, in which blocks come: the head that stands beside its time is the one of the
    /// same moment, never a later one, else the record would contradict itself. A head that is too far ahead of this
    /// node's clock counts for nothing, and is left out.
    pub(crate) fn moment(&self) -> Moment {
        // The head first: the time is not before it, unless it is too far ahead.
        let head = self.head();
        let time = self.now();
        Moment { time, head: head.filter(|head| head.timestamp <= time) }
    }

    /// An entry of the log about an event.
    fn entry(&self, moment: Moment, event: Event, mut blobs: Vec<Blob>, priority: Priority) -> Entry {
        let Moment { time, head } = moment;
        blobs.push(self.stamp.policy.clone());
        let record = Record { time, node: self.stamp.node.clone(), head, event };
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
