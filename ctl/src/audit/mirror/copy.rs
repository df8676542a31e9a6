//! One round: all that a checkpoint covers and the target does not have, then the checkpoint.
//!
//! ```text
//! entries, shown to stand in the tree ─▶ blobs, each under its name ─┐
//!          └─▶ bundles, tiles of leaves;  tiles above, proven ────────┴─▶ `pruned`, if evidence is gone ─▶ checkpoint
//! ```
//!
//! The target's own checkpoint says what it has, so there is no other state: whenever the process ends, the next one begins
//! behind that checkpoint, and finds there what was already put. Bounded: so many bundles and blobs at a time, whatever the
//! log. Threat: a source that gives what the log never signed, or another history than the target has.

use std::cell::Cell;
use std::io::{self, Write as _};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kms_ledger::hash::TreeHash;
use kms_ledger::note::LogKey;
use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::tree::{Level, TILE_WIDTH, Tile, TileHashes, TileKind, Width, append_entry};
use kms_ledger::{LogPath, LogReader, SignedCheckpoint, Source};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::code::{Conflict, MirrorCode, MirrorError, TargetRefusal};
use super::evidence::{Evidence, Known};
use super::target::{Standing, Target};
use crate::audit::progress::Progress;

/// How many entry bundles are on their way at a time: of 4 MiB at most, mostly of 200 KiB.
const BUNDLES: usize = 4;
/// How many blobs are on their way at a time: of 8 MiB at most, mostly of 20 KiB.
pub(super) const BLOBS: usize = 16;

/// What a round did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Copied {
    /// How many records the target had.
    pub(super) from: u64,
    /// How many it has now.
    pub(super) size: u64,
    /// Files that were sent, the checkpoint not among them.
    pub(super) sent: u64,
    /// How many bytes they have.
    pub(super) bytes: u64,
    /// Files that were there already.
    pub(super) there: u64,
    /// Blobs that the source has pruned.
    pub(super) pruned: u64,
}

/// What is counted meanwhile.
#[derive(Default)]
pub(super) struct Counts {
    sent: Cell<u64>,
    bytes: Cell<u64>,
    there: Cell<u64>,
    pub(super) pruned: Cell<u64>,
}

impl Counts {
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.update(|sent| sent + 1);
        self.bytes.update(|sum| sum + bytes as u64);
    }

    pub(super) fn there(&self) {
        self.there.update(|there| there + 1);
    }
}

/// From where to where.
pub(super) struct Route<'a> {
    pub(super) source: &'a Source,
    pub(super) target: &'a Target,
    pub(super) evidence: Evidence,
    /// What is known of the target's blobs, from round to round.
    pub(super) known: &'a Known,
    /// Whether a process before this one may have left partial tiles of full ones.
    pub(super) leftovers: Leftovers,
}

/// Whether to look for partial tiles that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftovers {
    /// Behind the last full tile of each level.
    MayBe,
    /// Only behind tiles that this round made full.
    None,
}

impl Route<'_> {
    /// Brings the target to this checkpoint of the source.
    pub(super) async fn copy(&self, head: &SignedCheckpoint, key: &LogKey) -> Result<Copied, MirrorError> {
        let standing = self.target.checkpoint().await?;
        let reader = LogReader::at(self.source.clone(), head.clone());
        let old = match &standing {
            None => 0,
            Some(standing) => continued(&reader, key, standing).await?,
        };
        let (new, counts) = (reader.size(), Counts::default());
        let round = Round {
            route: self,
            reader,
            old,
            counts: &counts,
            blobs: Semaphore::new(BLOBS),
            progress: Progress::new("mirror", new - old),
        };
        if old < new {
            round.run().await?;
        }
        round.witnessed(key).await?;
        drop(round);
        let note = head.encode().into_bytes();
        if standing.as_ref().is_none_or(|standing| standing.bytes != note) {
            self.target.put_checkpoint(note, standing.as_ref()).await?;
        }
        self.tidy(old, new).await;
        let Counts { sent, bytes, there, pruned } = counts;
        let (sent, bytes, there, pruned) = (sent.get(), bytes.get(), there.get(), pruned.get());
        Ok(Copied { from: old, size: new, sent, bytes, there, pruned })
    }

    /// Removes partial files of tiles that are full by now. What stays does no harm.
    async fn tidy(&self, old: u64, new: u64) {
        for full in outgrown(old, new, self.leftovers) {
            if let Err(refusal) = self.target.remove_partials(full).await {
                let _ = writeln!(io::stderr(), "left {full}.p: {refusal}");
                return;
            }
        }
    }
}

/// How much the target has, if the source continues it.
async fn continued(reader: &LogReader, key: &LogKey, standing: &Standing) -> Result<u64, MirrorError> {
    let conflict = |refusal| {
        let source_note = reader.head().encode();
        let target_note = String::from_utf8_lossy(&standing.bytes).into_owned();
        MirrorError::Conflict(Box::new(Conflict { refusal, source_note, target_note }))
    };
    let signed = SignedCheckpoint::open(&standing.bytes, key).map_err(conflict)?;
    match reader.check_continues(signed.checkpoint()).await {
        Ok(()) => Ok(signed.checkpoint().size),
        Err(refusal) => match refusal.code {
            LedgerCode::LogForked | LedgerCode::LogShrunk => Err(conflict(refusal)),
            _ => Err(refusal.into()),
        },
    }
}

fn kinds() -> impl Iterator<Item = TileKind> {
    Level::all().map(TileKind::Hashes).chain([TileKind::Entries])
}

/// The full tiles whose partial files are not needed any more.
fn outgrown(old: u64, new: u64, leftovers: Leftovers) -> Vec<Tile> {
    let full = |kind: TileKind, size: u64| kind.level().hashes_in(size) / TILE_WIDTH as u64;
    let grown = |kind| (full(kind, old) < full(kind, new)).then(|| full(kind, old));
    let last = |kind| full(kind, new).checked_sub(1).filter(|_| leftovers == Leftovers::MayBe);
    let tile = |kind, index| Tile::new(kind, index, Width::FULL);
    let mut tiles: Vec<Tile> = kinds()
        .flat_map(|kind| {
            [grown(kind), last(kind)].into_iter().flatten().filter_map(move |index| tile(kind, index))
        })
        .collect();
    tiles.dedup();
    tiles
}

/// A round under way.
pub(super) struct Round<'a> {
    pub(super) route: &'a Route<'a>,
    pub(super) reader: LogReader,
    old: u64,
    pub(super) counts: &'a Counts,
    /// How many more blobs may be on their way.
    pub(super) blobs: Semaphore,
    progress: Progress,
}

impl Round<'_> {
    async fn run(&self) -> Result<(), MirrorError> {
        let bundles = self.old / TILE_WIDTH as u64..self.reader.size().div_ceil(TILE_WIDTH as u64);
        let bundles = stream::iter(bundles).map(|number| self.bundle(number)).buffer_unordered(BUNDLES);
        bundles.try_collect::<()>().await?;
        for level in Level::all().filter(|level| *level != Level::LEAVES) {
            self.level(level).await?;
        }
        if self.counts.pruned.get() > 0 {
            self.mark().await?;
        }
        Ok(())
    }

    /// A bundle, its tile, and what the records in it name that the target does not have yet.
    async fn bundle(&self, number: u64) -> Result<(), MirrorError> {
        let first = number * TILE_WIDTH as u64;
        let entries = self.reader.bundle(number).await?;
        if self.route.evidence == Evidence::Copied {
            self.evidence(first, &entries, self.old).await?;
        }
        let tile = |kind| Tile::holding(kind, first, self.reader.size());
        if let Some(bundle) = tile(TileKind::Entries) {
            self.file(bundle, bundle_file(&entries)?).await?;
        }
        if let Some(tile) = tile(TileKind::Hashes(Level::LEAVES)) {
            let hashes = entries.iter().map(|entry| TreeHash::leaf(entry)).collect();
            self.file(tile, TileHashes { tile, hashes }.encode()).await?;
        }
        let last = first + entries.len() as u64;
        (first.max(self.old)..last).for_each(|_| self.progress.step());
        Ok(())
    }

    /// The tiles of a level above the leaves, as far as they changed.
    async fn level(&self, level: Level) -> Result<(), MirrorError> {
        let (size, width) = (self.reader.size(), TILE_WIDTH as u64);
        let tiles = level.hashes_in(self.old) / width..level.hashes_in(size).div_ceil(width);
        for index in tiles {
            let tile = Tile::holding(TileKind::Hashes(level), index * width, size);
            let Some(tile) = tile else { continue };
            let hashes = self.reader.tile(tile).await?;
            self.file(tile, hashes.encode()).await?;
        }
        Ok(())
    }

    /// Puts a tile or a bundle in its place; what is there must be the same.
    pub(super) async fn file(&self, tile: Tile, bytes: Vec<u8>) -> Result<(), MirrorError> {
        let path = LogPath::Tile(tile);
        match self.route.target.get(path).await? {
            Some(there) if there == bytes => self.counts.there(),
            Some(_) => {
                let expected = "what the log signed";
                return Err(TargetRefusal::new(
                    MirrorCode::Foreign,
                    format!("other bytes in {path}"),
                    expected,
                )
                .into());
            }
            None => {
                let len = bytes.len();
                self.route.target.put(path, bytes).await?;
                self.counts.sent(len);
            }
        }
        Ok(())
    }

    /// Says in the target before which record evidence may be missing.
    async fn mark(&self) -> Result<(), MirrorError> {
        let mark = self
            .route
            .known
            .pruned()
            .max(pruned_in(self.route.target.get(LogPath::Pruned).await?.as_deref()));
        Ok(self.route.target.put(LogPath::Pruned, format!("{mark}\n").into_bytes()).await?)
    }
}

/// The bytes of an entry bundle's file.
pub(super) fn bundle_file(entries: &[Vec<u8>]) -> Result<Vec<u8>, LedgerRefusal> {
    let mut bytes = Vec::new();
    entries.iter().try_for_each(|entry| append_entry(&mut bytes, entry))?;
    Ok(bytes)
}

/// What the target's file `pruned` says; nothing, if it says no index.
fn pruned_in(file: Option<&[u8]>) -> u64 {
    let text = file.and_then(|file| str::from_utf8(file).ok()).and_then(|text| text.strip_suffix('\n'));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outgrown__should_name_full_tiles_that_were_partial_or_may_have_been() {
        let paths = |old, new, leftovers| {
            outgrown(old, new, leftovers).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(paths(0, 255, Leftovers::MayBe).is_empty());
        assert_eq!(paths(255, 256, Leftovers::None), ["tile/0/000", "tile/entries/000"]);
        assert_eq!(paths(256, 300, Leftovers::None), [""; 0]);
        assert_eq!(paths(256, 300, Leftovers::MayBe), ["tile/0/000", "tile/entries/000"]);
        assert_eq!(
            paths(300, 65_536, Leftovers::MayBe),
            ["tile/0/001", "tile/0/255", "tile/1/000", "tile/entries/001", "tile/entries/255"]
        );
    }

    #[test]
    fn pruned__should_be_an_index_on_a_line() {
        assert_eq!(pruned_in(Some(b"12\n")), 12);
        for other in [None, Some(&b"12"[..]), Some(b""), Some(b"a\n"), Some(b"\xff\n"), Some(b"-1\n")] {
            assert_eq!(pruned_in(other), 0);
        }
    }
}
