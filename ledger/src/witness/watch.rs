//! A witness: cosigns a checkpoint if it continues the last one that it cosigned, and remembers it first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::request::AddCheckpoint;
use super::state::State;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::TreeHash;
use crate::note::{KeyName, LogKey, LogSigner, NoteSignature, SignedNote, WitnessKey};
use crate::refusal::LedgerRefusal;
use crate::tree::verify_consistency;

/// What a witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Cosigned: the checkpoint continues what was seen, and is the latest now.
    Cosigned(NoteSignature),
    /// Not asked from the size that the witness knows, or another tree of that very size.
    Conflict(u64),
    /// The request is not one.
    Malformed,
    /// A log that this witness does not watch.
    UnknownLog,
    /// No good signature of the log.
    Unsigned,
    /// The proof does not show that the log continues.
    Inconsistent,
    /// The witness could not remember it.
    Failed,
}

/// A witness of some logs.
pub struct Witness<S> {
    name: KeyName,
    signer: S,
    logs: BTreeMap<KeyName, LogKey>,
    state: Mutex<State>,
}

impl<S: LogSigner> Witness<S> {
    /// A witness of these logs, which remembers in `folder`. Refused with `witness-state-unusable`.
    pub fn open(
        folder: &Path,
        logs: impl IntoIterator<Item = LogKey>,
        name: KeyName,
        signer: S,
    ) -> Result<Self, LedgerRefusal> {
        let logs = logs.into_iter().map(|key| (key.name().clone(), key)).collect();
        let state = Mutex::new(State::open(folder, &logs)?);
        Ok(Self { name, signer, logs, state })
    }

    /// The key that logs and readers know this witness by.
    pub fn key(&self) -> WitnessKey {
        WitnessKey::new(self.name.clone(), self.signer.public_key())
    }

    /// Answers a request, at a time in Unix seconds. Blocks until the checkpoint is on disk.
    pub fn add_checkpoint(&self, body: &[u8], now: u64) -> Verdict {
        self.checked(body, now).unwrap_or_else(|verdict| verdict)
    }

    fn checked(&self, body: &[u8], now: u64) -> Result<Verdict, Verdict> {
        let request = AddCheckpoint::decode(body).map_err(|_| Verdict::Malformed)?;
        let signed = self.signed(&request.note)?;
        let new = signed.checkpoint();
        if request.old > new.size {
            return Err(Verdict::Malformed);
        }
        // One at a time: between the look and the writing nothing else is remembered.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, root) = known(state.latest(&new.origin));
        if request.old != old {
            return Err(Verdict::Conflict(old));
        }
        if old == new.size && root != new.root {
            state.keep_conflict(&signed).map_err(|_| Verdict::Failed)?;
            return Err(Verdict::Conflict(old));
        }
        verify_consistency((old, root), (new.size, new.root), &request.proof)
            .map_err(|_| Verdict::Inconsistent)?;
        state.keep(&signed).map_err(|_| Verdict::Failed)?;
        Ok(Verdict::Cosigned(signed.cosign(now, &self.name, &self.signer)))
    }

    fn signed(&self, note: &str) -> Result<SignedCheckpoint, Verdict> {
        let unverified = SignedNote::decode(note.as_bytes()).map_err(|_| Verdict::Malformed)?;
        let claimed = Checkpoint::decode(unverified.text()).map_err(|_| Verdict::Malformed)?;
        let key = self.logs.get(&claimed.origin).ok_or(Verdict::UnknownLog)?;
        SignedCheckpoint::open(note.as_bytes(), key).map_err(|_| Verdict::Unsigned)
    }
}

fn known(latest: Option<&Checkpoint>) -> (u64, TreeHash) {
    latest.map_or_else(|| (0, TreeHash::empty()), |latest| (latest.size, latest.root))
}
