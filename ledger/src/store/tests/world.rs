//! A log for tests: records with evidence, the store's parts on a simulated disk, and what must hold of its files.

use std::collections::BTreeSet;
use std::sync::Arc;

use kms_attestation::ids::{MrAggregated, RootEpoch};

use super::sim::SimDisk;
use crate::blob::{Blob, BlobId, Part};
use crate::blob_file::BlobFile;
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::record::{Decision, Event, Evidence, NodeStamp, Outcome, Record, Subject, Who};
use crate::store::disk::Disk;
use crate::store::entry::{Entry, Prepared, Priority};
use crate::store::fault::StoreFault;
use crate::store::journal::JournalKey;
use crate::store::publish::Publisher;
use crate::store::shared::Shared;
use crate::store::sign::Signing;
use crate::store::tiles::DiskTiles;
use crate::store::writer::Writer;
use crate::store::{Opened, StoreOptions, layout, open, prune};
use crate::testing::{Signer, name};
use crate::tree::{Edge, Tile, TileKind, Tiles as _};

pub(crate) const ORIGIN: &str = "log.example/node";
/// When witnesses cosign.
const NOW: u64 = 1_800_000_000;
/// Small, so that segments are closed often.
const SEGMENT_BYTES: u64 = 2000;

pub(crate) fn signing() -> Signing {
    Signing::new(ORIGIN, Box::new(Signer::new(1))).unwrap()
}

pub(crate) fn journal_key() -> JournalKey {
    JournalKey::new(&[1; 32])
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        origin: ORIGIN.to_owned(),
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: 1000,
        ..StoreOptions::default()
    }
}

fn policy() -> Blob {
    Blob::new(b"the policy".to_vec())
}

fn node() -> NodeStamp {
    NodeStamp {
        name: "n".to_owned(),
        software: "1".to_owned(),
        rules: 1,
        root_epoch: RootEpoch(0),
        policy: policy().id(),
        measurement: MrAggregated([2; 32]),
    }
}

/// A record without evidence of its own.
pub(crate) fn plain(number: u64) -> Entry {
    let record = Record { time: number, node: node(), head: None, event: Event::Stopped };
    Entry { record: record.encode(), blobs: vec![policy()], priority: Priority::Other }
}

/// The code of a contract: a part of every witness.
fn code() -> Vec<u8> {
    b"code".repeat(80)
}

/// A record with evidence: a quote of its own, and a witness with a part that all witnesses have.
pub(crate) fn decision(number: u64) -> Entry {
    let quote = Blob::new(format!("quote {number}").into_bytes());
    let own = Part::own(format!("witness {number}").into_bytes());
    let witness = Blob::of_parts(vec![own, Part::shared(code())]);
    let evidence = Evidence { quote: Some(quote.id()), witness: Some(witness.id()), ..Evidence::default() };
    let deny = Outcome::Deny { code: "x".to_owned(), found: String::new(), expected: String::new() };
    let decision = Decision {
        subject: Subject::AppKeys,
        binding: None,
        release: None,
        evidence,
        out_of_date_since: None,
        who: Who::Unknown,
        outcome: deny,
    };
    let event = Event::Decision(Box::new(decision));
    let record = Record { time: number, node: node(), head: None, event };
    Entry { record: record.encode(), blobs: vec![policy(), quote, witness], priority: Priority::Release }
}

/// A record of the node's standing, whose evidence is a quote of its own and what others have too.
pub(crate) fn standing(number: u64) -> Entry {
    let mut entry = decision(number);
    let mut record = Record::decode(&entry.record).unwrap();
    let Event::Decision(decision) = &mut record.event else { panic!() };
    decision.subject = Subject::Node;
    let shared = Blob::new(format!("quote {}", number + 1).into_bytes());
    decision.evidence.collateral = Some(shared.id());
    entry.blobs.push(shared);
    Entry { record: record.encode(), ..entry }
}

/// A store without threads, on a simulated disk.
pub(crate) struct Parts {
    pub(crate) writer: Writer,
    pub(crate) publisher: Publisher,
    pub(crate) shared: Shared,
    pub(crate) opened: Opened,
}

impl Parts {
    pub(crate) fn open(disk: &SimDisk) -> Result<Self, StoreFault> {
        let parts = open::open(Arc::new(disk.clone()), signing(), &journal_key(), &options())?;
        let shared = Shared::new(parts.writer.durable(), parts.checkpoint, None);
        Ok(Self { writer: parts.writer, publisher: parts.publisher, shared, opened: parts.opened })
    }

    /// Appends entries as one batch; the indices of those that were acknowledged, with their records.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Vec<Result<(u64, Vec<u8>), StoreFault>> {
        let entries: Vec<Prepared> = entries.into_iter().map(|entry| Prepared::new(entry).unwrap()).collect();
        let outcomes = self.writer.append(&entries);
        self.shared.set_durable(self.writer.durable());
        let acknowledged = |(entry, outcome): (Prepared, Result<_, _>)| {
            outcome.map(|appended: crate::store::Appended| (appended.index, entry.record))
        };
        entries.into_iter().zip(outcomes).map(acknowledged).collect()
    }

    pub(crate) fn publish(&mut self) -> Result<(u64, TreeHash), StoreFault> {
        self.publisher.publish(&self.shared)?;
        Ok(head(&self.shared.checkpoint()))
    }
}

pub(crate) fn head(checkpoint: &SignedCheckpoint) -> (u64, TreeHash) {
    (checkpoint.checkpoint().size, checkpoint.checkpoint().root)
}

/// A checkpoint with the cosignature of a witness.
pub(crate) fn cosigned(signed: &SignedCheckpoint) -> SignedCheckpoint {
    let mut signed = signed.clone();
    let line = signed.cosign(NOW, &name("w"), &Signer::new(2));
    signed.add_cosignature(line, &Signer::new(2).witness_key("w")).unwrap();
    signed
}

/// The tree that a witness has cosigned, as a stranger reads it; the empty one before there is any.
fn witnessed(disk: &SimDisk) -> (u64, TreeHash) {
    let Ok(note) = disk.read(layout::WITNESSED, 0, usize::MAX) else { return (0, TreeHash::empty()) };
    let signed = SignedCheckpoint::open(&note, &signing().key()).unwrap();
    assert_eq!(signed.cosigned_at(&Signer::new(2).witness_key("w")).unwrap(), NOW);
    head(&signed)
}

/// The published log, read like a stranger does, and checked against nothing but itself.
pub(crate) struct Log {
    pub(crate) records: Vec<Vec<u8>>,
    leaves: Vec<TreeHash>,
    pub(crate) size: u64,
    /// The size of the newest tree that a witness has cosigned.
    pub(crate) witnessed: u64,
}

impl Log {
    pub(crate) fn read(disk: &SimDisk) -> Self {
        let note = disk.read(layout::CHECKPOINT, 0, usize::MAX).unwrap();
        let checkpoint = SignedCheckpoint::open(&note, &signing().key()).unwrap();
        let (size, root) = head(&checkpoint);
        let tiles = DiskTiles { disk, size };
        let mut records = Vec::new();
        while let Some(bundle) = Tile::holding(TileKind::Entries, records.len() as u64, size) {
            records.extend(tiles.entries(bundle).unwrap());
        }
        let leaves: Vec<TreeHash> = records.iter().map(|record| TreeHash::leaf(record)).collect();
        let (witnessed, witnessed_root) = witnessed(disk);
        let log = Self { records, leaves, size, witnessed };
        assert_eq!(log.root(witnessed), witnessed_root);
        assert_eq!((log.records.len() as u64, log.root(size)), (size, root));
        log.check_tiles(&tiles);
        log.check_blobs(disk);
        log
    }

    /// The root of the tree of the first entries: RFC 6962, 2.1, word by word.
    pub(crate) fn root(&self, size: u64) -> TreeHash {
        fn root(leaves: &[TreeHash]) -> TreeHash {
            match leaves {
                [] => TreeHash::empty(),
                [leaf] => *leaf,
                _ => {
                    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                    TreeHash::node(root(left), root(right))
                }
            }
        }
        root(&self.leaves[..usize::try_from(size).unwrap()])
    }

    fn check_tiles(&self, tiles: &DiskTiles<'_>) {
        let mut edge = Edge::default();
        let full: Vec<_> = self.leaves.iter().flat_map(|leaf| edge.append(*leaf)).collect();
        for tile in full.into_iter().chain(edge.partials()) {
            assert_eq!(*tiles.hashes(tile.tile).unwrap(), tile.hashes, "{}", tile.tile);
        }
    }

    /// Every record from the mark on, and every one that shares with such a record, has its evidence.
    fn check_blobs(&self, disk: &SimDisk) {
        let mark = usize::try_from(prune::read_mark(disk, layout::PRUNED).unwrap()).unwrap();
        // In a long log the first 250 have the same evidence: one of them will do.
        let first = if self.size > 250 { mark.max(249) } else { mark };
        let young = self.records.iter().skip(first).map(|record| Record::decode(record).unwrap());
        let named: BTreeSet<BlobId> = young.flat_map(|record| record.blobs()).collect();
        let read = |id| disk.read(&layout::blob(id), 0, usize::MAX).map_err(|error| panic!("{id}: {error}"));
        for id in named {
            BlobFile::decode(&read(id).unwrap()).unwrap().assemble(id, read).unwrap();
        }
    }
}
