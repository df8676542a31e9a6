//! `kmsctl audit verify`: the whole log, without deciding anything again: signature, every record, every tile, the root,
//! an earlier checkpoint, every blob, and what records say of the node's life. Whatever is wrong is located.

use std::collections::BTreeSet;

use kms_attestation::refusal::Refusal;
use kms_ledger::blob_file::{self, BlobFile};
use kms_ledger::hash::TreeHash;
use kms_ledger::record::{Event, Evidence, NodeStamp, Who};
use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::replay::{Archive as _, ReplayCode};
use kms_ledger::tree::{Edge, Level, TILE_WIDTH, Tile, TileHashes, TileKind};
use kms_ledger::{BlobId, Checkpoint, LogPath, Record};
use serde::Serialize;

use super::finding::{AuditCode, Finding, Place};
use super::log::{Log, Tree};
use super::progress::Progress;

/// The most findings that are kept.
const MAX_FINDINGS: usize = 1000;

/// What was looked at, and what is wrong.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verified {
    /// Records that stand in the tree.
    pub(super) records: u64,
    /// Tiles that are what the records give.
    pub(super) tiles: u64,
    /// Blobs that have the bytes that they are named by.
    pub(super) blobs: u64,
    /// Blobs that are not there.
    pub(super) blobs_missing: u64,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
}

/// Checks everything.
pub(super) fn verify(log: &Log, since: Option<&Checkpoint>) -> Verified {
    let mut check = Check {
        tree: log.tree(),
        verified: Verified::default(),
        edge: Edge::default(),
        stamp: None,
        seen: BTreeSet::new(),
    };
    if let Some(finding) = since.and_then(|since| log.continues(since).err()) {
        check.verified.findings.push(finding);
    }
    if log.tree().is_bundle() {
        check.bundle(log);
    } else {
        check.whole(log.size());
    }
    check.verified
}

struct Check<'a> {
    tree: &'a Tree,
    verified: Verified,
    edge: Edge,
    /// The node, as its last start named it.
    stamp: Option<NodeStamp>,
    seen: BTreeSet<BlobId>,
}

impl Check<'_> {
    fn find<C: kms_attestation::refusal::StableCode>(&mut self, place: Place, refusal: Refusal<C>)
    where
        super::finding::Code: From<C>,
    {
        if self.verified.findings.len() < MAX_FINDINGS {
            self.verified.findings.push(Finding::new(place, refusal));
        }
    }

    fn bundle(&mut self, log: &Log) {
        let kms_ledger::replay::Indices::List(indices) = log.indices() else { return };
        for index in indices {
            match self.tree.entry(index) {
                Ok(bytes) => self.record(index, &bytes),
                Err(gap) => self.find(Place::Entry(index), gap),
            }
        }
    }

    fn whole(&mut self, size: u64) {
        let bundles = size.div_ceil(TILE_WIDTH as u64);
        let progress = Progress::new("verify", bundles);
        for number in 0..bundles {
            if !self.leaves(number) {
                // Without its leaves, nothing above can be compared.
                return;
            }
            progress.step();
        }
        for partial in self.edge.partials() {
            self.tile(&partial);
        }
        let (found, expected) = (self.edge.root(), self.tree.checkpoint().root);
        if found != expected && self.verified.findings.is_empty() {
            self.find(Place::Checkpoint, Refusal::new(AuditCode::RootMismatch, found, expected));
        }
    }

    /// One bundle and its tile: which of the two the log signed, and what is in it. Whether its leaves are known.
    fn leaves(&mut self, number: u64) -> bool {
        let bundle = self.tree.bundle(number);
        let (place, tile) = self.places(number);
        let hashes = tile.map(|tile| self.tree.tile(tile));
        match (bundle, hashes) {
            (Ok((entries, leaves)), Some(Ok(hashes))) => {
                let signed = self.signed(number, &leaves, &hashes, tile);
                self.entries(number, &entries, &leaves, &signed);
                self.append(&signed);
                true
            }
            (Ok((entries, leaves)), hashes) => {
                if let (Some(tile), Some(Err(refusal))) = (tile, hashes) {
                    self.find(Place::File(tile.to_string()), refusal);
                }
                self.entries(number, &entries, &leaves, &leaves);
                self.append(&leaves);
                true
            }
            (Err(refusal), hashes) => {
                self.find(place, refusal);
                let known = hashes.and_then(Result::ok);
                if let Some(hashes) = &known {
                    self.append(hashes);
                }
                known.is_some()
            }
        }
    }

    fn places(&self, number: u64) -> (Place, Option<Tile>) {
        let first = number * TILE_WIDTH as u64;
        let of = |kind| Tile::holding(kind, first, self.tree.checkpoint().size);
        let path = of(TileKind::Entries).map_or_else(String::new, |tile| tile.to_string());
        (Place::File(path), of(TileKind::Hashes(Level::LEAVES)))
    }

    /// The leaves that the log signed: those of the records, or those of the tile where only these lead to the root.
    fn signed(
        &mut self,
        number: u64,
        leaves: &[TreeHash],
        hashes: &[TreeHash],
        tile: Option<Tile>,
    ) -> Vec<TreeHash> {
        if leaves == hashes {
            return leaves.to_vec();
        }
        if self.tree.check_leaves(number, hashes).is_ok() {
            return hashes.to_vec();
        }
        let differ = leaves.iter().zip(hashes).find(|(leaf, hash)| leaf != hash);
        let (leaf, hash) =
            differ.map_or_else(Default::default, |(leaf, hash)| (leaf.to_string(), hash.to_string()));
        let path = tile.map_or_else(String::new, |tile| tile.to_string());
        self.find(Place::File(path), Refusal::new(AuditCode::TileChanged, hash, leaf));
        leaves.to_vec()
    }

    fn entries(&mut self, number: u64, entries: &[Vec<u8>], leaves: &[TreeHash], signed: &[TreeHash]) {
        let first = number * TILE_WIDTH as u64;
        for ((index, entry), (leaf, signed)) in (first..).zip(entries).zip(leaves.iter().zip(signed)) {
            if leaf == signed {
                self.record(index, entry);
            } else {
                let (found, expected) = (format!("leaf {leaf}"), format!("leaf {signed}"));
                self.find(Place::Entry(index), Refusal::new(AuditCode::EntryChanged, found, expected));
            }
        }
    }

    fn append(&mut self, leaves: &[TreeHash]) {
        for leaf in leaves {
            for full in self.edge.append(*leaf) {
                self.tile(&full);
            }
        }
    }

    /// A tile of hashes above the leaves, or of the leaves: whether it is what the records give.
    fn tile(&mut self, computed: &TileHashes) {
        if computed.tile.kind() == TileKind::Hashes(Level::LEAVES) {
            self.verified.tiles += 1;
            return;
        }
        match self.tree.tile(computed.tile) {
            Ok(found) if found == computed.hashes => self.verified.tiles += 1,
            Ok(found) => {
                let differ = found.iter().zip(&computed.hashes).find(|(found, computed)| found != computed);
                let (found, expected) = differ.map_or_else(Default::default, |(found, expected)| {
                    (found.to_string(), expected.to_string())
                });
                let place = Place::File(computed.tile.to_string());
                self.find(place, Refusal::new(AuditCode::TileChanged, found, expected));
            }
            Err(refusal) => self.find(Place::File(computed.tile.to_string()), refusal),
        }
    }

    fn record(&mut self, index: u64, bytes: &[u8]) {
        self.verified.records += 1;
        match Record::decode(bytes) {
            Err(refusal) => self.find(Place::Entry(index), refusal),
            Ok(record) => {
                self.life(index, &record);
                let blobs: Vec<BlobId> = blobs(&record).filter(|id| self.seen.insert(*id)).collect();
                for id in blobs {
                    self.blob(index, id);
                }
            }
        }
    }

    /// What cannot change while a node runs.
    fn life(&mut self, index: u64, record: &Record) {
        if let Event::Started(_) = record.event {
            self.stamp = Some(record.node.clone());
            return;
        }
        if index == 0 {
            let expected = "the start of a node";
            return self
                .find(Place::Entry(0), Refusal::new(AuditCode::NotStarted, "another record", expected));
        }
        let Some(stamp) = &self.stamp else { return };
        if self.tree.is_bundle() || *stamp == record.node {
            return;
        }
        let (found, expected) = (stamp_text(&record.node), stamp_text(stamp));
        self.find(Place::Entry(index), Refusal::new(AuditCode::StampChanged, found, expected));
    }

    fn blob(&mut self, index: u64, id: BlobId) {
        match self.tree.blob(&id) {
            Ok(_) => self.verified.blobs += 1,
            Err(gap) if gap.code == ReplayCode::BlobMissing => {
                self.verified.blobs_missing += 1;
                let found = format!("nothing, and record {index} names it");
                self.find(Place::File(blob_file::path(id)), Refusal::new(LedgerCode::BlobMissing, found, id));
            }
            Err(gap) => match self.blob_refusal(id) {
                Some(refusal) => self.find(Place::File(blob_file::path(id)), refusal),
                None => self.find(Place::File(blob_file::path(id)), gap),
            },
        }
    }

    /// Why the file of a blob is refused, with the code of the file's form.
    fn blob_refusal(&self, id: BlobId) -> Option<LedgerRefusal> {
        let file = self.tree.file(LogPath::Blob(id))?;
        let missing = |part| LedgerRefusal::new(LedgerCode::LogFileMissing, "nothing", LogPath::Blob(part));
        let part = |part| self.tree.file(LogPath::Blob(part)).ok_or_else(|| missing(part));
        BlobFile::decode(&file).and_then(|file| file.assemble(id, part)).err()
    }
}

fn stamp_text(stamp: &NodeStamp) -> String {
    format!("measurement {}, root epoch {}, policy {}", stamp.measurement, stamp.root_epoch, stamp.policy)
}

/// Every blob that a record names.
pub(super) fn blobs(record: &Record) -> impl Iterator<Item = BlobId> {
    let (evidence, sealed) = match &record.event {
        Event::Started(started) => (started.evidence, None),
        Event::Decision(decision) => match decision.who {
            Who::Sealed(id) => (decision.evidence, Some(id)),
            Who::Unknown | Who::Open(_) => (decision.evidence, None),
        },
        Event::Stopped | Event::Unstored(_) => (Evidence::default(), None),
    };
    let named: Vec<BlobId> = evidence.blobs().chain(sealed).chain([record.node.policy]).collect();
    named.into_iter()
}
