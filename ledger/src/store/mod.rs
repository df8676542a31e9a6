//! The durable store of the log: nothing is acknowledged before it is on the disk, and everything that is gets published.
//!
//! ```text
//! append ─▶ queue ─▶ writer: one write and one fdatasync for all that wait ─▶ acknowledged, with an index
//!                       │ journal/
//!                       ▼
//!                    publisher: blobs, bundles, tiles ─▶ one sync ─▶ checkpoint, signed ─▶ the journal is cut
//!                       │ log/, for a web server or any mirror
//! ```
//!
//! A [`Store`] owns its folder and two threads. Whatever happens, an acknowledged entry keeps its index, its bytes and its
//! evidence; after a crash at any instruction the store opens again; a checkpoint covers only what is durable. When the
//! disk fails, appends are refused, and go on by themselves when it is well again. Called by `kms-node`, which releases
//! nothing before [`Store::append`] has returned. What is published and signed is what this process's key wrote: whatever
//! else is on the disk is refused. Threats: a disk that fails, fills up, loses power or is rolled back; a process that is
//! killed; evidence that fills the disk; a host that writes to the disk.

mod disk;
mod entry;
mod fault;
mod journal;
mod known;
mod layout;
mod open;
mod prune;
mod publish;
mod publisher_thread;
mod round;
mod shared;
mod sign;
mod tiles;
mod witnessed;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use self::disk::{Disk, Folder};
use self::entry::Prepared;
pub use self::entry::{Entry, Priority};
pub use self::fault::StoreFault;
pub use self::journal::JournalKey;
pub use self::prune::{Before, Pruned};
use self::publisher_thread::{Command, PublisherThread};
use self::shared::Shared;
use self::sign::Signing;
use self::tiles::DiskTiles;
use self::writer::{MAX_BATCH, Message, Pending};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::note::LogSigner;
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::Plan;

const KIB: usize = 1024;
const MIB: u64 = 1024 * 1024;

/// The secrets of a log. A log belongs to them: with others its folder is refused.
pub struct StoreKeys {
    /// What signs its checkpoints.
    pub signer: Box<dyn LogSigner>,
    /// What its journal is authenticated with.
    pub journal: JournalKey,
}

/// How a store is run.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The name of the log: the first line of its checkpoints. A folder belongs to one log.
    pub origin: String,
    /// Below how many free bytes only releases are written. 256 MiB: ten thousand releases and more.
    pub reserve_bytes: u64,
    /// How long an entry waits at most until a checkpoint covers it, while the disk keeps up. One second.
    pub publish_every: Duration,
    /// From how many bytes on a file of the journal is closed. 64 MiB: it bounds what is read when the store is opened.
    pub segment_bytes: u64,
    /// How many bytes of entries may wait for the disk; further ones wait outside. 64 MiB.
    pub queue_bytes: usize,
    /// How many bytes of the journal may be unpublished; further entries wait until fewer are. 256 MiB: some ten thousand
    /// releases. What no checkpoint covers can be lost with the disk, and nobody would know.
    pub backlog_bytes: u64,
}

impl Default for StoreOptions {
    /// All but the origin, which has no default: a store without one is refused.
    fn default() -> Self {
        Self {
            origin: String::new(),
            reserve_bytes: 256 * MIB,
            publish_every: Duration::from_secs(1),
            segment_bytes: 64 * MIB,
            queue_bytes: 64 * KIB * KIB,
            backlog_bytes: 256 * MIB,
        }
    }
}

/// What was found when the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// How many entries the log has: the next one has this index.
    pub size: u64,
    /// How many of them were published; the others are published again.
    pub published: u64,
    /// How many bytes of a torn tail were cut off. None of them had been acknowledged.
    pub torn_bytes: u64,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its index in the log.
    pub index: u64,
    /// Its hash in the tree.
    pub leaf: TreeHash,
}

/// How the store does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreState {
    /// How many entries are durable.
    pub size: u64,
    /// How many of them the latest checkpoint covers.
    pub published: u64,
    /// How many bytes of the journal are durable and not published.
    pub backlog_bytes: u64,
    /// Why they were not published when that was last tried.
    pub fault: Option<StoreFault>,
}

/// The log of a node, open.
pub struct Store {
    folder: PathBuf,
    options: StoreOptions,
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    /// Held by the one append that has a round published, when too much is not.
    catching_up: Mutex<()>,
    commands: std_mpsc::Sender<Command>,
    writer: JoinHandle<()>,
    publisher: JoinHandle<()>,
}

impl Store {
    /// Opens the store in a folder, or makes it. Refused with `store-locked`, `store-format`, `store-key`, `store-forged`,
    /// `store-damaged`, `store-full` or `store-disk`; with `log-key-malformed` for an origin that is no name.
    pub fn open(folder: &Path, keys: StoreKeys, options: StoreOptions) -> Result<(Self, Opened), StoreFault> {
        let signing = Signing::new(&options.origin, keys.signer)?;
        let disk = Folder::open(folder).map_err(fault::disk(format_args!("opening {}", folder.display())))?;
        let lock = lock(folder)?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let parts = open::open(Arc::clone(&disk), signing, &keys.journal, &options)?;
        let opened = parts.opened;
        Ok((Self::start(folder, disk, parts, options, lock)?, opened))
    }

    fn start(
        folder: &Path,
        disk: Arc<dyn Disk>,
        parts: open::Parts,
        options: StoreOptions,
        lock: File,
    ) -> Result<Self, StoreFault> {
        let open::Parts { writer, publisher, checkpoint, .. } = parts;
        let shared = Arc::new(Shared::new(writer.durable(), checkpoint, Some(lock)));
        let (queue, messages) = mpsc::channel(MAX_BATCH);
        let (commands, asked) = std_mpsc::channel();
        let publisher = PublisherThread {
            publisher,
            shared: Arc::clone(&shared),
            writer: queue.downgrade(),
            every: options.publish_every,
        };
        let writers_state = Arc::clone(&shared);
        let writer = spawn("log-writer", move || writer.serve(messages, &writers_state))?;
        let publisher = spawn("log-publisher", move || publisher.serve(&asked))?;
        let room = Arc::new(Semaphore::new(options.queue_bytes / KIB));
        let (folder, catching_up) = (folder.to_owned(), Mutex::new(()));
        Ok(Self { folder, options, disk, shared, queue, room, catching_up, commands, writer, publisher })
    }

    /// Appends an entry. Returns only when it and all its evidence are durable; a fault means that nothing may be
    /// released. Refused with `record-too-large`, `blob-malformed`, `store-reserved`, `store-behind`, `store-full`,
    /// `store-disk` or `store-closed`; with `store-forged` or `store-damaged` for as long as the journal that was written is
    /// not the one that is read.
    pub async fn append(&self, entry: Entry) -> Result<Appended, StoreFault> {
        let entry = Prepared::new(entry)?;
        self.shared.intact()?;
        self.keep_up().await?;
        let kib = (entry.len() / KIB + 1).min(self.options.queue_bytes / KIB);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| fault::closed())?;
        let (done, outcome) = oneshot::channel();
        let message = Message::Append(Pending { entry, done, room });
        self.queue.send(message).await.map_err(|_| fault::closed())?;
        outcome.await.map_err(|_| fault::closed())?
    }

    /// Waits while too much is unpublished: one of those who wait has another round published. So the journal never grows
    /// by much more than the bound and what waits in the queue.
    async fn keep_up(&self) -> Result<(), StoreFault> {
        while self.shared.backlog() >= self.options.backlog_bytes {
            let _turn = self.catching_up.lock().await;
            if self.shared.backlog() >= self.options.backlog_bytes {
                self.ask(Command::PublishSome).await.map_err(|fault| self.behind(&fault))?;
            }
        }
        Ok(())
    }

    fn behind(&self, fault: &StoreFault) -> StoreFault {
        let found = format!("{} bytes that are not published: {fault}", self.shared.backlog());
        let expected = format!("less than {}", self.options.backlog_bytes);
        LedgerRefusal::new(LedgerCode::StoreBehind, found, expected)
    }

    /// The latest checkpoint of the published log.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<SignedCheckpoint> {
        self.shared.checkpoint()
    }

    /// The same, and every one that follows.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Arc<SignedCheckpoint>> {
        self.shared.checkpoints()
    }

    /// How the store does.
    #[must_use]
    pub fn state(&self) -> StoreState {
        let published = self.shared.checkpoint().checkpoint().size;
        let (size, backlog_bytes) = (self.shared.durable().size, self.shared.backlog());
        StoreState { size, published, backlog_bytes, fault: self.shared.fault() }
    }

    /// The folder to be served or mirrored: the log's files, and nothing else.
    #[must_use]
    pub fn log_folder(&self) -> PathBuf {
        self.folder.join(layout::LOG)
    }

    /// The proof that an entry is in the tree of `size` entries, which must be published. Refused with `log-out-of-range`.
    pub async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<TreeHash>, StoreFault> {
        self.prove(size, Plan::inclusion(index, size)?).await
    }

    /// The proof that the tree of `new` entries, which must be published, continues that of `old`. Refused with
    /// `log-out-of-range`.
    pub async fn consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, StoreFault> {
        self.prove(new, Plan::consistency(old, new)?).await
    }

    async fn prove(&self, size: u64, plan: Plan) -> Result<Vec<TreeHash>, StoreFault> {
        let published = self.checkpoint().checkpoint().size;
        if size > published {
            let expected = format!("at most {published}, which are published");
            return Err(LedgerRefusal::new(LedgerCode::LogRange, size, expected));
        }
        let disk = Arc::clone(&self.disk);
        let prove = move || plan.hashes(&DiskTiles { disk: &*disk, size: published });
        tokio::task::spawn_blocking(prove).await.map_err(|_| fault::closed())?
    }

    /// Publishes all that is durable now, without waiting for the next occasion.
    pub async fn publish(&self) -> Result<(), StoreFault> {
        self.ask(Command::Publish).await
    }

    /// Removes evidence that only old records name. The records stay, and the tree can be verified as before. Evidence that
    /// is a part of other evidence stays too.
    pub async fn prune(&self, before: Before) -> Result<Pruned, StoreFault> {
        self.ask(|done| Command::Prune(before, done)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreFault>>) -> Command,
    ) -> Result<T, StoreFault> {
        let (done, outcome) = oneshot::channel();
        self.commands.send(command(done)).map_err(|_| fault::closed())?;
        outcome.await.map_err(|_| fault::closed())?
    }

    /// Appends what waits, publishes everything and gives the folder free. After a fault the rest is published when the
    /// store is opened again.
    pub async fn close(self) -> Result<(), StoreFault> {
        let Self { queue, commands, writer, publisher, .. } = self;
        drop(queue);
        let (done, outcome) = oneshot::channel();
        let end = move || {
            let ended = writer.join();
            let asked = commands.send(Command::Publish(done));
            drop(commands);
            ended.and(publisher.join()).is_ok() && asked.is_ok()
        };
        let ended = tokio::task::spawn_blocking(end).await.unwrap_or_default();
        let outcome = outcome.await.map_err(|_| fault::closed())?;
        if ended { outcome } else { Err(fault::closed()) }
    }
}

/// Takes the folder for this process.
fn lock(folder: &Path) -> Result<File, StoreFault> {
    let path = folder.join(layout::LOCK);
    let file = File::create(&path).map_err(fault::disk("opening the lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let found = format!("{} is locked", path.display());
            Err(LedgerRefusal::new(LedgerCode::StoreLocked, found, "a folder that no other process has open"))
        }
        Err(TryLockError::Error(error)) => Err(fault::disk("locking the store")(error)),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreFault> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(fault::disk(format_args!("starting the thread {name}")))
}

#[cfg(test)]
mod tests;
