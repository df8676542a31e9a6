//! The thread that publishes: every so often, when it is asked to, and once more at the end.
//!
//! A round that fails is tried again at the next occasion, so publication recovers by itself when the disk does. Threat: a
//! log that stands still and tells nobody; the last fault is kept for whoever watches.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::fault::{self, StoreFault};
use super::known::Reuse;
use super::prune::{Before, Pruned};
use super::publish::Publisher;
use super::writer::Message;
use crate::checkpoint::SignedCheckpoint;

/// What the publisher is asked for.
pub(super) enum Command {
    /// To publish all that is durable now.
    Publish(oneshot::Sender<Result<(), StoreFault>>),
    /// To publish one round of it.
    PublishSome(oneshot::Sender<Result<(), StoreFault>>),
    /// To remove evidence of old records.
    Prune(Before, oneshot::Sender<Result<Pruned, StoreFault>>),
    /// To show a checkpoint that witnesses have cosigned.
    Witnessed(Box<SignedCheckpoint>, oneshot::Sender<Result<(), StoreFault>>),
}

/// A publisher and what it works with.
pub(super) struct PublisherThread {
    pub(super) publisher: Publisher,
    pub(super) shared: Arc<Shared>,
    /// The writer's queue, for as long as it is open.
    pub(super) writer: mpsc::WeakSender<Message>,
    pub(super) every: Duration,
}

impl PublisherThread {
    /// Serves until nobody can ask any more.
    pub(super) fn serve(mut self, commands: &Receiver<Command>) {
        let mut next = Instant::now();
        loop {
            match commands.recv_timeout(next.saturating_duration_since(Instant::now())) {
                // Whoever no longer waits asked in vain, and does no harm.
                Ok(Command::Publish(done)) => drop(done.send(self.publish())),
                Ok(Command::PublishSome(done)) => drop(done.send(self.publish_some())),
                Ok(Command::Prune(before, done)) => drop(done.send(self.prune(before))),
                Ok(Command::Witnessed(signed, done)) => {
                    drop(done.send(self.publisher.show_witnessed(&signed, &self.shared)));
                }
                Err(RecvTimeoutError::Timeout) => {
                    drop(self.publish());
                    next = Instant::now() + self.every;
                }
                Err(RecvTimeoutError::Disconnected) => return drop(self.publish()),
            }
        }
    }

    fn publish(&mut self) -> Result<(), StoreFault> {
        let outcome = self.publisher.publish(&self.shared);
        self.shared.set_fault(outcome.clone().err());
        outcome
    }

    fn publish_some(&mut self) -> Result<(), StoreFault> {
        let outcome = self.publisher.publish_some(&self.shared);
        self.shared.set_fault(outcome.clone().err());
        outcome
    }

    /// While evidence is removed, new entries bring all of theirs with them.
    fn prune(&mut self, before: Before) -> Result<Pruned, StoreFault> {
        self.set_reuse(Reuse::Suspended)?;
        let outcome = self.publisher.prune(before, &self.shared);
        self.set_reuse(Reuse::Allowed)?;
        outcome
    }

    fn set_reuse(&self, reuse: Reuse) -> Result<(), StoreFault> {
        let writer = self.writer.upgrade().ok_or_else(fault::closed)?;
        let (done, set) = oneshot::channel();
        writer.blocking_send(Message::Reuse(reuse, done)).map_err(|_| fault::closed())?;
        set.blocking_recv().map_err(|_| fault::closed())
    }
}
