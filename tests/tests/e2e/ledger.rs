//! The log as auditors and mirrors get it from a node: over HTTP, believed for its signature and proofs alone.

use std::time::{Duration, Instant};

use kms_ledger::hash::TreeHash;
use kms_ledger::http::Trust;
use kms_ledger::note::LogKey;
use kms_ledger::record::{Event, Outcome};
use kms_ledger::tree::{Level, Tile, TileKind};
use kms_ledger::{LedgerCode, LogPath, LogReader, Record, Source};
use kms_proto::v1::RecordReference;
use kms_tests::node::Node;
use kms_tests::wire::{Wire, granted};
use kms_tests::world::{World, info};

/// How long a node may take to publish a release.
const PUBLISHED: Duration = Duration::from_secs(20);
const SERVED: &str = "ledger.address=127.0.0.1:0";

/// The log at the node's address for it.
fn source(node: &Node) -> Source {
    Source::web(&format!("http://{}", node.log_address()), Trust::default()).unwrap()
}

/// The key that the node says its log has.
async fn key(node: &Node) -> LogKey {
    let log = info(node).await.log.unwrap();
    LogKey::new(log.origin.parse().unwrap(), log.public_key.try_into().unwrap())
}

/// Has keys released, and says which record of it the guest was told of.
async fn release(world: &World, node: &Node, name: &str) -> RecordReference {
    let app = world.app(name);
    world.seen_by(node).await;
    granted(Wire::connect(node.address()).await.boot_as(&world.guest(&app)).await).record.unwrap()
}

/// The log, as soon as its checkpoint covers that entry.
async fn published(node: &Node, index: u64) -> LogReader {
    let (key, end) = (key(node).await, Instant::now() + PUBLISHED);
    loop {
        let reader = LogReader::open(source(node), &key).await.unwrap();
        if reader.size() > index {
            return reader;
        }
        assert!(Instant::now() < end, "{} entries are published", reader.size());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The record that a guest was told of, with its proof checked.
async fn proven(reader: &LogReader, told: &RecordReference) -> Record {
    let entry = reader.entry(told.index).await.unwrap();
    assert_eq!(TreeHash::leaf(&entry).0[..], told.leaf_hash[..]);
    Record::decode(&entry).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn served_log__should_prove_a_release_and_withhold_its_evidence() {
    let world = World::shared();
    let node = world.node(&[SERVED]).await;
    let told = release(&world, &node, "on record").await;
    let reader = published(&node, told.index).await;
    let record = proven(&reader, &told).await;
    let Event::Decision(decision) = &record.event else { panic!("{record:?}") };
    assert!(matches!(decision.outcome, Outcome::Allow { .. }), "{decision:?}");

    let (source, size) = (source(&node), reader.size());
    for kind in [TileKind::Hashes(Level::all().next().unwrap()), TileKind::Entries] {
        let tile = Tile::holding(kind, 0, size).unwrap();
        let bytes = source.get(LogPath::Tile(tile)).await.unwrap();
        assert!(bytes.is_some_and(|bytes| !bytes.is_empty()), "{tile}");
    }
    assert!(!record.blobs().is_empty());
    for id in record.blobs() {
        assert_eq!(source.get(LogPath::Blob(id)).await.unwrap(), None);
        assert_eq!(reader.blob(id).await.unwrap_err().code, LedgerCode::BlobMissing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn served_log__should_hand_out_evidence_where_that_was_chosen() {
    let world = World::shared();
    let node = world.node(&[SERVED, "ledger.serve_evidence=served"]).await;
    let told = release(&world, &node, "in full").await;
    let reader = published(&node, told.index).await;
    let record = proven(&reader, &told).await;
    let Event::Decision(decision) = &record.event else { panic!("{record:?}") };
    let quote = reader.blob(decision.evidence.quote.unwrap()).await.unwrap();
    assert!(!quote.is_empty());
    for id in record.blobs() {
        reader.blob(id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn served_log__should_not_start_on_a_port_that_is_taken() {
    let world = World::shared();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = format!("ledger.address={}", taken.local_addr().unwrap());
    let (status, said) = Node::fail_to_start(&world.chain, &world.simulated, &[&setting]);
    assert!(!status.success());
    assert!(said.contains("start-listen") && said.contains("ledger.address"), "{said}");
}
