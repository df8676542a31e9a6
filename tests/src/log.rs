//! A node's log of decisions, read from its folder.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kms_ledger::Record;
use kms_ledger::hash::TreeHash;
use kms_ledger::record::Event;
use kms_ledger::tree::{Tile, TileKind, decode_bundle};
use kms_proto::v1::GetCheckpointRequest;
use kms_proto::v1::audit_client::AuditClient;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::wire::{ClientCertificate, Wire};

/// How long a node may take to publish what it has acknowledged.
const PUBLISHED: Duration = Duration::from_secs(20);

/// An entry of a log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its hash as a leaf.
    pub leaf_hash: [u8; 32],
    /// What it says.
    pub record: Record,
}

impl Entry {
    /// The decision in JSON; nothing of other events.
    pub fn decision(&self) -> Option<Value> {
        match &self.record.event {
            Event::Decision(decision) => Some(serde_json::to_value(decision).expect("JSON")),
            _ => None,
        }
    }
}

/// Every entry of the log in a folder, once all is published that the node at this address has acknowledged. A node that
/// does not answer has published what there is.
pub fn read(folder: &Path, address: SocketAddr) -> Vec<Entry> {
    let acknowledged = thread::scope(|scope| {
        let ask = scope.spawn(|| Runtime::new().expect("a runtime").block_on(acknowledged(address)));
        ask.join().expect("an answer")
    });
    let end = Instant::now() + PUBLISHED;
    loop {
        let size = published(folder);
        if size >= acknowledged.unwrap_or_default() {
            return entries(folder, size);
        }
        assert!(Instant::now() < end, "{size} entries are published of {acknowledged:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

async fn acknowledged(address: SocketAddr) -> Option<u64> {
    let wire = Wire::try_connect(address, &ClientCertificate::None).await.ok()?;
    let answer = AuditClient::new(wire.channel()).get_checkpoint(GetCheckpointRequest {}).await.ok()?;
    Some(size(&answer.into_inner().checkpoint))
}

/// The size that the folder's checkpoint says; 0 without one.
fn published(folder: &Path) -> u64 {
    fs::read(folder.join("checkpoint")).map_or(0, |note| size(&note))
}

fn size(note: &[u8]) -> u64 {
    let text = std::str::from_utf8(note).expect("text");
    text.lines().nth(1).expect("a size").parse().expect("a number")
}

fn entries(folder: &Path, size: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    while (entries.len() as u64) < size {
        let tile = Tile::holding(TileKind::Entries, entries.len() as u64, size).expect("a bundle");
        let bundle = fs::read(folder.join(tile.to_string())).expect("a bundle");
        let records = decode_bundle(&bundle, tile.width()).expect("entries");
        entries.extend(records.into_iter().map(|bytes| Entry {
            leaf_hash: TreeHash::leaf(bytes).0,
            record: Record::decode(bytes).expect("a record"),
        }));
    }
    entries
}
