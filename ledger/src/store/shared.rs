//! What the writer, the publisher and those who ask share: how far the log is durable, and how far it is published.
//!
//! The publisher never reads past what the writer declares durable here. Holds the lock of the folder, so that it is open
//! to nobody else before both threads are gone. Threat: two processes that write one log.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::fault::StoreFault;
use super::journal::Durable;
use crate::checkpoint::SignedCheckpoint;
use crate::refusal::LedgerCode;

/// The state of a store that runs.
pub(super) struct Shared {
    durable: Mutex<Durable>,
    checkpoint: watch::Sender<Arc<SignedCheckpoint>>,
    /// How many bytes of the journal were published.
    published_bytes: AtomicU64,
    fault: Mutex<Option<StoreFault>>,
    _lock: Option<File>,
}

/// A thread that panicked left nothing half written here: each value is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(durable: Durable, checkpoint: SignedCheckpoint, lock: Option<File>) -> Self {
        let (checkpoint, _) = watch::channel(Arc::new(checkpoint));
        let (durable, fault) = (Mutex::new(durable), Mutex::new(None));
        Self { durable, checkpoint, published_bytes: AtomicU64::new(0), fault, _lock: lock }
    }

    /// How far the journal is durable.
    pub(super) fn durable(&self) -> Durable {
        *lock(&self.durable)
    }

    pub(super) fn set_durable(&self, durable: Durable) {
        *lock(&self.durable) = durable;
    }

    /// The latest checkpoint in the log.
    pub(super) fn checkpoint(&self) -> Arc<SignedCheckpoint> {
        Arc::clone(&self.checkpoint.borrow())
    }

    /// The latest checkpoint, and every one that follows.
    pub(super) fn checkpoints(&self) -> watch::Receiver<Arc<SignedCheckpoint>> {
        self.checkpoint.subscribe()
    }

    /// The latest checkpoint, and how many bytes of the journal were published up to it.
    pub(super) fn set_published(&self, checkpoint: SignedCheckpoint, bytes: u64) {
        self.published_bytes.store(bytes, Ordering::Release);
        self.set_checkpoint(checkpoint);
    }

    /// The latest checkpoint, or more cosignatures of it.
    pub(super) fn set_checkpoint(&self, checkpoint: SignedCheckpoint) {
        self.checkpoint.send_replace(Arc::new(checkpoint));
    }

    /// How many bytes of the journal are durable and not published.
    pub(super) fn backlog(&self) -> u64 {
        self.durable().bytes.saturating_sub(self.published_bytes.load(Ordering::Acquire))
    }

    /// Why the last round of publication failed, if it did.
    pub(super) fn fault(&self) -> Option<StoreFault> {
        lock(&self.fault).clone()
    }

    /// Refused once the publisher found that the journal is not what was written: what is appended would never be published.
    pub(super) fn intact(&self) -> Result<(), StoreFault> {
        let changed =
            |fault: &StoreFault| matches!(fault.code, LedgerCode::StoreForged | LedgerCode::StoreDamaged);
        self.fault().filter(changed).map_or(Ok(()), Err)
    }

    pub(super) fn set_fault(&self, fault: Option<StoreFault>) {
        *lock(&self.fault) = fault;
    }
}
