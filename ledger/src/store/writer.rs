//! The one thread that appends: it takes all that waits, and makes it durable with one sync.
//!
//! Decides which blobs are new, and what may use the disk's reserve. Each entry is told its index when it is durable, and
//! a fault when it may not be. Called through a bounded queue by [`super::Store`]. Threats: a disk that others fill up; an
//! entry that is acknowledged without its evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::disk::Disk;
use super::entry::{File, Prepared, Priority};
use super::fault::{self, StoreFault};
use super::journal::{Batch, Durable, Journal};
use super::known::{Form, Known, Reuse};
use super::{Appended, Shared};
use crate::blob::BlobId;
use crate::blob_file;
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The most entries that share one sync.
pub(super) const MAX_BATCH: usize = 1024;

/// What the writer is asked for.
pub(super) enum Message {
    /// To append an entry.
    Append(Pending),
    /// Whether blobs that are there may be relied on, from the next batch on.
    Reuse(Reuse, oneshot::Sender<()>),
}

/// An entry that waits.
pub(super) struct Pending {
    pub(super) entry: Prepared,
    pub(super) done: oneshot::Sender<Result<Appended, StoreFault>>,
    /// Its share of the memory for entries that wait.
    pub(super) room: OwnedSemaphorePermit,
}

/// Appends to the journal.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    journal: Journal,
    known: Known,
    reserve_bytes: u64,
}

impl Writer {
    pub(super) fn new(disk: Arc<dyn Disk>, journal: Journal, reserve_bytes: u64) -> Self {
        Self { disk, journal, known: Known::new(), reserve_bytes }
    }

    /// How far the journal is durable.
    pub(super) const fn durable(&self) -> Durable {
        self.journal.durable()
    }

    pub(super) fn set_reuse(&mut self, reuse: Reuse) {
        self.known.set_reuse(reuse);
    }

    /// Serves until nobody can ask any more.
    pub(super) fn serve(mut self, mut messages: mpsc::Receiver<Message>, shared: &Shared) {
        let mut taken = Vec::with_capacity(MAX_BATCH);
        while messages.blocking_recv_many(&mut taken, MAX_BATCH) > 0 {
            let mut waiting = Vec::with_capacity(taken.len());
            for message in taken.drain(..) {
                match message {
                    Message::Append(pending) => waiting.push(pending),
                    Message::Reuse(reuse, done) => {
                        self.append_all(&mut waiting, shared);
                        self.set_reuse(reuse);
                        // Whoever no longer waits asked in vain, and does no harm.
                        let _ = done.send(());
                    }
                }
            }
            self.append_all(&mut waiting, shared);
        }
    }

    fn append_all(&mut self, waiting: &mut Vec<Pending>, shared: &Shared) {
        let (entries, replies): (Vec<_>, Vec<_>) =
            waiting.drain(..).map(|Pending { entry, done, room }| (entry, (done, room))).unzip();
        let outcomes = self.append(&entries);
        shared.set_durable(self.durable());
        for ((done, room), outcome) in replies.into_iter().zip(outcomes) {
            // Whoever no longer waits has been refused; the entry says that it was decided.
            drop(done.send(outcome));
            drop(room);
        }
    }

    /// Appends entries with one sync; an outcome for each, in order.
    pub(super) fn append(&mut self, entries: &[Prepared]) -> Vec<Result<Appended, StoreFault>> {
        let reserved = if entries.is_empty() { None } else { self.reserved() };
        let refusal = |entry: &Prepared| match entry.priority {
            Priority::Release => None,
            Priority::Other => reserved.clone(),
        };
        let refusals: Vec<Option<StoreFault>> = entries.iter().map(refusal).collect();
        let taken = entries.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        let mut outcome = self.commit(&taken.map(|(entry, _)| entry).collect::<Vec<_>>());
        let answer = |(entry, refusal): (&Prepared, Option<StoreFault>)| {
            let index = refusal.map_or_else(|| outcome.clone(), Err)?;
            outcome = Ok(index + 1);
            Ok(Appended { index, leaf: entry.leaf })
        };
        entries.iter().zip(refusals).map(answer).collect()
    }

    /// Why only releases may be written now, if that is so.
    fn reserved(&self) -> Option<StoreFault> {
        match self.disk.free() {
            Ok(free) if free >= self.reserve_bytes => None,
            Ok(free) => {
                let expected = format!("{} bytes, or a release", self.reserve_bytes);
                Some(LedgerRefusal::new(
                    LedgerCode::StoreReserved,
                    format_args!("{free} bytes free"),
                    expected,
                ))
            }
            Err(error) => Some(fault::disk("asking for free space")(error)),
        }
    }

    /// Makes entries durable; the index of the first.
    fn commit(&mut self, entries: &[&Prepared]) -> Result<u64, StoreFault> {
        if entries.is_empty() {
            return Ok(self.durable().size);
        }
        self.disk.in_place().map_err(fault::disk("finding the log's folder"))?;
        let mut batch = self.journal.begin()?;
        let mut fresh = BTreeMap::new();
        for entry in entries {
            entry.files.iter().for_each(|file| self.add(&mut batch, &mut fresh, file));
            batch.entry(entry.leaf, &entry.record);
        }
        let first = self.journal.commit(batch)?;
        for (id, form) in fresh {
            self.known.add(id, form);
        }
        Ok(first)
    }

    /// Adds a blob to the batch, unless it is there.
    fn add(&mut self, batch: &mut Batch, fresh: &mut BTreeMap<BlobId, Form>, file: &File) {
        let (id, needed, form) = (file.id(), file.needed(), file.form());
        if fresh.get(&id).is_some_and(|known| *known >= needed) || self.known.has(&*self.disk, id, needed) {
            return;
        }
        match file {
            File::Blob(id, bytes) => batch.blob(*id, bytes),
            File::Part(id, bytes) => batch.file(*id, &blob_file::encode_whole(bytes)),
            File::List(id, file) => batch.file(*id, file),
        }
        let known = fresh.entry(id).or_insert(form);
        *known = form.max(*known);
    }
}
