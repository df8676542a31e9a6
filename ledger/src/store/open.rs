//! Opening the store: what was published is verified, what was journalled is read back, and what was torn is cut off.
//!
//! Never gives an index twice: the log goes on behind the last entry that the journal holds, and a journal that ends before
//! the published tree does is refused. Never signs what this log's key did not sign or write: a log belongs to its key. Called
//! once, by [`super::Store::open`]. Threats: a folder that a crash, a bad disk or a person left in another state than this
//! software does; a host that rewrites the log while the node is down, and has the node sign that.

use std::sync::Arc;

use super::disk::Disk;
use super::fault::{self, StoreFault};
use super::journal::{self, Durable, Journal, JournalKey, Scan, Seal};
use super::layout;
use super::publish::{Published, Publisher, put_checkpoint, read_bundle};
use super::sign::Signing;
use super::tiles::DiskTiles;
use super::writer::Writer;
use super::{Opened, StoreOptions};
use crate::checkpoint::SignedCheckpoint;
use crate::note::{LogKey, MAX_NOTE_BYTES};
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::Edge;

/// A store without its threads.
pub(super) struct Parts {
    pub(super) writer: Writer,
    pub(super) publisher: Publisher,
    pub(super) checkpoint: SignedCheckpoint,
    pub(super) opened: Opened,
}

/// Opens the store on a disk, or makes it.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    signing: Signing,
    key: &JournalKey,
    options: &StoreOptions,
) -> Result<Parts, StoreFault> {
    let seal = Arc::new(Seal::of(key, &signing.key()));
    // What a process that was killed wrote is read back below: it must not vanish afterwards.
    disk.sync_all().map_err(fault::disk("syncing the store"))?;
    if !has_format(&*disk, &options.origin)? {
        create(&*disk, &signing, &seal, options)?;
    }
    let (tree, checkpoint) = read_published(&*disk, &signing.key())?;
    let scan = journal::scan(&*disk, &seal, tree.peaks.clone())?;
    let journal = Journal::resume(Arc::clone(&disk), Arc::clone(&seal), &scan, options.segment_bytes)?;
    let opened = opened(&scan, &tree);
    let writer = Writer::new(Arc::clone(&disk), journal, options.reserve_bytes);
    let publisher = Publisher::new(disk, (seal, signing), tree, scan.unpublished);
    Ok(Parts { writer, publisher, checkpoint, opened })
}

fn opened(scan: &Scan, published: &Published) -> Opened {
    let Durable { size, .. } = scan.durable;
    Opened { size, published: published.edge.size(), torn_bytes: scan.torn_bytes }
}

fn format(origin: &str) -> String {
    format!("onchain-kms/log/v1\n{origin}\n")
}

/// Whether the folder is that of a store; refused if it is that of another.
fn has_format(disk: &dyn Disk, origin: &str) -> Result<bool, StoreFault> {
    let Some(found) = read_small(disk, layout::FORMAT)? else { return Ok(false) };
    let expected = format(origin);
    if found == expected.as_bytes() {
        return Ok(true);
    }
    let found = String::from_utf8_lossy(&found).into_owned();
    Err(LedgerRefusal::quoting(LedgerCode::StoreFormat, &found, format_args!("{expected:?}")))
}

/// Makes an empty log. Interrupted, it is made again: the format is written last.
fn create(disk: &dyn Disk, signing: &Signing, seal: &Seal, options: &StoreOptions) -> Result<(), StoreFault> {
    if holds_entries(disk)? {
        return Err(fault::damaged("entries, and no file `format`", "both, or neither"));
    }
    disk.make_folder(layout::LOG).map_err(fault::disk("making the log"))?;
    Journal::create(disk, seal)?;
    put_checkpoint(disk, &signing.sign(&Edge::default())?)?;
    disk.sync_all().map_err(fault::disk("making the log"))?;
    let written = layout::put_durably(disk, layout::FORMAT, format(&options.origin).as_bytes());
    written.map_err(fault::disk("writing the format"))
}

fn holds_entries(disk: &dyn Disk) -> Result<bool, StoreFault> {
    let tiles = disk.list("log/tile").map_err(fault::disk("listing the log"))?;
    let segments = journal::sequences(disk)?;
    let empty =
        segments.iter().try_fold(true, |empty, sequence| Ok(empty && journal::is_empty(disk, *sequence)?))?;
    Ok(!tiles.is_empty() || !empty)
}

/// The published log: its edge, as the checkpoint has it, and the checkpoint, which this log's key must have signed. Refused
/// with `store-key` or `store-damaged`.
fn read_published(disk: &dyn Disk, key: &LogKey) -> Result<(Published, SignedCheckpoint), StoreFault> {
    let note = read_small(disk, layout::CHECKPOINT)?
        .ok_or_else(|| fault::damaged("no checkpoint", "the checkpoint of the published log"))?;
    let signed = SignedCheckpoint::open(&note, key).map_err(|refusal| not_ours(&refusal, key))?;
    let checkpoint = signed.checkpoint();
    let edge = Edge::read(checkpoint.size, &DiskTiles { disk, size: checkpoint.size })?;
    if edge.root() != checkpoint.root {
        let found = format!("log/tile: {} entries with root {}", edge.size(), edge.root());
        return Err(fault::damaged(found, format_args!("the tree with root {}", checkpoint.root)));
    }
    let (peaks, bundle) = (edge.peaks(), read_bundle(disk, &edge)?);
    Ok((Published { edge, peaks, bundle }, signed))
}

/// A checkpoint that this log's key did not sign. One of another key is the sign of another root, or of a host that made it.
fn not_ours(refusal: &LedgerRefusal, key: &LogKey) -> StoreFault {
    let found = format!("{}: {refusal}", layout::CHECKPOINT);
    match refusal.code {
        LedgerCode::NoteUnsigned => {
            LedgerRefusal::new(LedgerCode::StoreKey, found, format_args!("a checkpoint that {key} signed"))
        }
        _ => fault::damaged(found, "the checkpoint that the node signed"),
    }
}

fn read_small(disk: &dyn Disk, path: &str) -> Result<Option<Vec<u8>>, StoreFault> {
    let reading = |error| fault::disk(format_args!("reading {path}"))(error);
    if disk.length(path).map_err(reading)?.is_none() {
        return Ok(None);
    }
    disk.read(path, 0, MAX_NOTE_BYTES + 1).map(Some).map_err(reading)
}
