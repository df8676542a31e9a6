//! `kmsctl audit verify`: the whole log, without deciding anything again: signature, every record, every tile, the root,
//! an earlier checkpoint, every blob, and what records say of the node's life. Whatever is wrong is located.
//!
//! A verified reader stops at the first thing that is wrong. To say where, this looks at records and tiles as they are there,
//! and asks which of the two the log signed.

mod evidence;

use std::collections::BTreeMap;

use kms_attestation::refusal::{Refusal, StableCode};
use kms_ledger::hash::TreeHash;
use kms_ledger::reader::LogFiles;
use kms_ledger::record::{Event, NodeStamp};
use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::replay::Indices;
use kms_ledger::tree::{Edge, Level, Plan, TILE_WIDTH, Tile, TileHashes, TileKind, verify_inclusion};
use kms_ledger::{Checkpoint, Record, SignedCheckpoint};
use serde::Serialize;

use self::evidence::Evidence;
use self::evidence::Wanted;
pub(super) use self::evidence::{Found, State};
use super::args::VerifyArgs;
use super::describe::printable;
use super::finding::{AuditCode, Code, Finding, Place};
use super::log::{Log, OpenError};
use super::progress::Progress;
use super::{checkpoint_file, report, witnesses};
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome, json};
use crate::style::Style;

/// The most findings that are kept.
const MAX_FINDINGS: usize = 1000;

/// `kmsctl audit verify`.
pub(super) fn run(args: &VerifyArgs) -> Result<Outcome, CtlError> {
    let log = super::open_unchecked(&args.log)?;
    let since = args.since.as_deref().map(|path| checkpoint_file::read(path, &log.key)).transpose()?;
    let wanted = if args.no_evidence { Wanted::Nothing } else { Wanted::All };
    let verified = verify(&log, since.as_ref().map(SignedCheckpoint::checkpoint), wanted)?;
    if let (Some(path), true) = (&args.keep, verified.findings.is_empty()) {
        checkpoint_file::write(path, &log.signed)?;
    }
    let stdout = if args.log.json {
        json(&report::verified_json(&log, &verified))?
    } else {
        report::verified_text(&log, &verified, Style::of_stdout()).into_bytes()
    };
    Ok(Outcome { exit: verified.exit(), stdout, stderr: witnesses::said(&log.signed, &args.log.witnesses) })
}

/// What was looked at, and what is wrong.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verified {
    /// Records that stand in the tree.
    pub(super) records: u64,
    /// Tiles that are what the records give.
    pub(super) tiles: u64,
    /// What there is of the evidence.
    #[serde(flatten)]
    pub(super) evidence: Found,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
}

impl Verified {
    fn find<C: StableCode>(&mut self, place: Place, refusal: Refusal<C>)
    where
        Code: From<C>,
    {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding::new(place, refusal));
        }
    }

    /// 10 where something is wrong; 3 where there is no evidence to look at; else 0.
    fn exit(&self) -> Exit {
        if !self.findings.is_empty() {
            return Exit::Refused;
        }
        if self.evidence.is_untold() { Exit::Undecided } else { Exit::Done }
    }
}

/// Checks everything. Refused where the source cannot be had, which says nothing about the log.
fn verify(log: &Log, since: Option<&Checkpoint>, wanted: Wanted) -> Result<Verified, CtlError> {
    let evidence = Evidence::new(log, wanted)?;
    let mut check =
        Check { log, verified: Verified::default(), edge: Edge::default(), stamp: None, evidence };
    if let Some(finding) = since.map_or(Ok(None), |since| log.continues(since))? {
        check.verified.findings.push(finding);
    }
    match (log.reader(), log.indices()) {
        (Some(reader), _) => check.whole(reader.files()),
        (None, Indices::List(indices)) => check.bundle(&indices),
        (None, Indices::Range(_)) => Ok(()),
    }
    .map_err(OpenError::Unavailable)?;
    let Check { mut verified, evidence, .. } = check;
    evidence.end(&mut verified);
    Ok(verified)
}

/// A refusal that says something about the log; the other kind ends the check.
fn told<T>(read: Result<T, LedgerRefusal>) -> Result<Result<T, LedgerRefusal>, LedgerRefusal> {
    match read {
        Err(refusal) if refusal.code == LedgerCode::LogSource => Err(refusal),
        told => Ok(told),
    }
}

struct Check<'a> {
    log: &'a Log,
    verified: Verified,
    edge: Edge,
    /// The node, as its last start named it.
    stamp: Option<NodeStamp>,
    evidence: Evidence<'a>,
}

impl Check<'_> {
    fn bundle(&mut self, indices: &[u64]) -> Result<(), LedgerRefusal> {
        for index in indices {
            match self.log.entry(*index) {
                Ok(bytes) => self.record(*index, &bytes)?,
                Err(gap) => self.verified.find(Place::Entry(*index), gap),
            }
        }
        Ok(())
    }

    fn whole(&mut self, files: &LogFiles) -> Result<(), LedgerRefusal> {
        let bundles = self.log.size().div_ceil(TILE_WIDTH as u64);
        let progress = Progress::new("verify", bundles);
        for number in 0..bundles {
            if !self.leaves(files, number)? {
                // Without its leaves, nothing above can be compared.
                return Ok(());
            }
            progress.step();
        }
        for partial in self.edge.partials() {
            self.tile(files, &partial)?;
        }
        let (found, expected) = (self.edge.root(), self.log.signed.checkpoint().root);
        if found != expected && self.verified.findings.is_empty() {
            self.verified.find(Place::Checkpoint, Refusal::new(AuditCode::RootMismatch, found, expected));
        }
        Ok(())
    }

    /// One bundle and its tile: which of the two the log signed, and what is in it. Whether its leaves are known.
    fn leaves(&mut self, files: &LogFiles, number: u64) -> Result<bool, LedgerRefusal> {
        let (bundle, tile) = (files.bundle(number)?, files.leaves(number)?);
        let entries = told(self.log.wait(files.entries(bundle)))?;
        let hashes = told(self.log.wait(files.hashes(tile)))?;
        if let Err(refusal) = &hashes {
            self.verified.find(Place::File(tile.to_string()), refusal.clone());
        }
        match (entries, hashes) {
            (Ok(entries), hashes) => {
                let leaves: Vec<_> = entries.iter().map(|entry| TreeHash::leaf(entry)).collect();
                let signed = match &hashes {
                    Ok(hashes) => self.signed(files, tile, &leaves, hashes)?,
                    Err(_) => leaves.clone(),
                };
                self.entries(bundle.start(), &entries, &leaves, &signed)?;
                self.append(files, &signed)?;
                Ok(true)
            }
            (Err(refusal), hashes) => {
                self.verified.find(Place::File(bundle.to_string()), refusal);
                self.append(files, hashes.as_deref().unwrap_or_default())?;
                Ok(hashes.is_ok())
            }
        }
    }

    /// The leaves that the log signed: those of the records, or those of the tile where only these lead to the root.
    fn signed(
        &mut self,
        files: &LogFiles,
        tile: Tile,
        leaves: &[TreeHash],
        hashes: &[TreeHash],
    ) -> Result<Vec<TreeHash>, LedgerRefusal> {
        if leaves == hashes {
            return Ok(leaves.to_vec());
        }
        if told(self.lead_to_root(files, tile, hashes))?.is_ok() {
            return Ok(hashes.to_vec());
        }
        self.tile_changed(tile, hashes, leaves);
        Ok(leaves.to_vec())
    }

    /// That the hashes of a tile of leaves are those under the root: by the way of its first, on which all others lie.
    fn lead_to_root(&self, files: &LogFiles, tile: Tile, leaves: &[TreeHash]) -> Result<(), LedgerRefusal> {
        let Checkpoint { size, root, .. } = self.log.signed.checkpoint();
        let plan = Plan::inclusion(tile.start(), *size)?;
        let mut tiles = BTreeMap::from([(tile, leaves.to_vec())]);
        for beside in plan.tiles() {
            if beside != tile {
                tiles.insert(beside, self.log.wait(files.hashes(beside))?);
            }
        }
        let leaf = leaves.first().copied().unwrap_or_else(TreeHash::empty);
        verify_inclusion(tile.start(), *size, leaf, &plan.hashes(&tiles)?, *root)
    }

    fn tile_changed(&mut self, tile: Tile, found: &[TreeHash], expected: &[TreeHash]) {
        let differ = found.iter().zip(expected).enumerate().find(|(_, (found, expected))| found != expected);
        let (found, expected) = differ.map_or_else(Default::default, |(place, (found, expected))| {
            (format!("hash {place}: {found}"), expected.to_string())
        });
        self.verified
            .find(Place::File(tile.to_string()), Refusal::new(AuditCode::TileChanged, found, expected));
    }

    fn entries(
        &mut self,
        first: u64,
        entries: &[Vec<u8>],
        leaves: &[TreeHash],
        signed: &[TreeHash],
    ) -> Result<(), LedgerRefusal> {
        for ((index, entry), (leaf, signed)) in (first..).zip(entries).zip(leaves.iter().zip(signed)) {
            if leaf == signed {
                self.record(index, entry)?;
            } else {
                let (found, expected) = (format!("leaf {leaf}"), format!("leaf {signed}"));
                let refusal = Refusal::new(AuditCode::EntryChanged, found, expected);
                self.verified.find(Place::Entry(index), refusal);
            }
        }
        Ok(())
    }

    fn append(&mut self, files: &LogFiles, leaves: &[TreeHash]) -> Result<(), LedgerRefusal> {
        for leaf in leaves {
            for full in self.edge.append(*leaf) {
                self.tile(files, &full)?;
            }
        }
        Ok(())
    }

    /// A tile of hashes above the leaves, or of the leaves: whether it is what the records give.
    fn tile(&mut self, files: &LogFiles, computed: &TileHashes) -> Result<(), LedgerRefusal> {
        if computed.tile.kind() == TileKind::Hashes(Level::LEAVES) {
            self.verified.tiles += 1;
            return Ok(());
        }
        match told(self.log.wait(files.hashes(computed.tile)))? {
            Ok(found) if found == computed.hashes => self.verified.tiles += 1,
            Ok(found) => self.tile_changed(computed.tile, &found, &computed.hashes),
            Err(refusal) => self.verified.find(Place::File(computed.tile.to_string()), refusal),
        }
        Ok(())
    }

    fn record(&mut self, index: u64, bytes: &[u8]) -> Result<(), LedgerRefusal> {
        self.verified.records += 1;
        match Record::decode(bytes) {
            Err(refusal) => self.verified.find(Place::Entry(index), refusal),
            Ok(record) => {
                self.life(index, &record);
                for id in record.blobs() {
                    self.evidence.take(index, id, &mut self.verified)?;
                }
            }
        }
        Ok(())
    }

    /// What cannot change while a node runs.
    fn life(&mut self, index: u64, record: &Record) {
        if let Event::Started(_) = record.event {
            self.stamp = Some(record.node.clone());
            return;
        }
        if index == 0 {
            let refusal = Refusal::new(AuditCode::NotStarted, "another record", "the start of a node");
            return self.verified.find(Place::Entry(0), refusal);
        }
        let Some(stamp) = &self.stamp else { return };
        if self.log.reader().is_none() || *stamp == record.node {
            return;
        }
        let (found, expected) = (stamp_text(&record.node), stamp_text(stamp));
        let refusal = Refusal::new(AuditCode::StampChanged, found, expected);
        self.verified.find(Place::Entry(index), refusal);
    }
}

fn stamp_text(stamp: &NodeStamp) -> String {
    let NodeStamp { name, software, rules, root_epoch, policy, measurement } = stamp;
    let (name, software) = (printable(name), printable(software));
    format!(
        "{name} of {software}, rules {rules}, measurement {measurement}, root epoch {root_epoch}, policy {policy}"
    )
}
