//! Asks a witness to cosign: `add-checkpoint`, and once more from the size that the witness names.

use std::sync::Arc;

use hyper::{StatusCode, Uri};
use kms_attestation::refusal::sanitise;
use tokio::task::spawn_blocking;

use super::request::AddCheckpoint;
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::http::{Answer, Http, Trust, base, below};
use crate::note::{NoteSignature, WitnessKey};
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::{Plan, Tiles};

/// The largest answer of a witness, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A witness, as a node knows it.
#[derive(Debug, Clone)]
pub struct WitnessClient {
    key: WitnessKey,
    url: Uri,
    http: Http,
}

/// What came of one request.
enum Answered {
    Cosigned(u64),
    Knows(u64),
    /// Asked from the size that it knows, it does not find its own tree in the log's.
    Contradicts,
}

impl WitnessClient {
    /// The witness with this key, at its submission prefix. Refused with `log-source-invalid`.
    pub fn new(prefix: &str, key: WitnessKey, trust: Trust) -> Result<Self, LedgerRefusal> {
        Ok(Self { key, url: below(&base(prefix)?, "add-checkpoint")?, http: Http::new(trust)? })
    }

    /// The key of the witness.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Has a checkpoint cosigned, and takes the cosignature in; returns its time in Unix seconds. `old` is the size that the
    /// witness cosigned last, 0 if unknown; the proof is computed from `tiles`, off the reactor.
    ///
    /// Refused with `witness-ahead` if the witness has seen a longer log, with `log-forked` if it has seen another one, with
    /// `witness-refused`, with what a source refuses, and with what `tiles` refuses.
    pub async fn cosign<T: Tiles + Send + Sync + 'static>(
        &self,
        signed: &mut SignedCheckpoint,
        old: u64,
        tiles: &Arc<T>,
    ) -> Result<u64, LedgerRefusal> {
        let size = signed.checkpoint().size;
        let believed = old.min(size);
        let known = match self.ask(signed, believed, tiles).await? {
            Answered::Cosigned(time) => return Ok(time),
            Answered::Contradicts => return Err(self.forked(believed)),
            Answered::Knows(known) => known,
        };
        if known > size {
            let expected = format!("at least {known} entries, as {} has seen", self.key.name());
            return Err(LedgerRefusal::new(LedgerCode::WitnessAhead, format!("{size} entries"), expected));
        }
        match self.ask(signed, known, tiles).await? {
            Answered::Cosigned(time) => Ok(time),
            Answered::Contradicts => Err(self.forked(known)),
            Answered::Knows(again) if again == known => Err(self.forked(known)),
            Answered::Knows(other) => {
                Err(self.refused(&format!("first {known}, then {other} entries known")))
            }
        }
    }

    async fn ask<T: Tiles + Send + Sync + 'static>(
        &self,
        signed: &mut SignedCheckpoint,
        old: u64,
        tiles: &Arc<T>,
    ) -> Result<Answered, LedgerRefusal> {
        let proof = consistency(old, signed.checkpoint().size, Arc::clone(tiles)).await?;
        let request = AddCheckpoint { old, proof, note: signed.encode() };
        let answer = self.http.post(&self.url, request.encode().into_bytes(), MAX_ANSWER_BYTES).await?;
        let text = String::from_utf8_lossy(&answer.body);
        match answer.status {
            StatusCode::OK => self.take(signed, &text).map(Answered::Cosigned),
            StatusCode::CONFLICT => {
                text.trim_end().parse().map(Answered::Knows).map_err(|_| self.refused(&describe(&answer)))
            }
            // The witness answers 409 unless it was asked from the size that it knows: it has another root there.
            StatusCode::UNPROCESSABLE_ENTITY => Ok(Answered::Contradicts),
            _ => Err(self.refused(&describe(&answer))),
        }
    }

    fn forked(&self, size: u64) -> LedgerRefusal {
        let found = format!("another tree of {size} entries than {} has seen", self.key.name());
        LedgerRefusal::new(LedgerCode::LogForked, found, "the same log")
    }

    /// Takes in this witness's cosignature; lines of other keys are ignored.
    fn take(&self, signed: &mut SignedCheckpoint, lines: &str) -> Result<u64, LedgerRefusal> {
        let lines = lines.lines().filter_map(|line| NoteSignature::decode(line).ok());
        let mine = lines.filter(|line| line.name == *self.key.name() && line.id == self.key.id()).last();
        signed.add_cosignature(mine.ok_or_else(|| self.refused("no cosignature of its key"))?, &self.key)
    }

    fn refused(&self, found: &str) -> LedgerRefusal {
        LedgerRefusal::new(LedgerCode::WitnessRefused, found, format!("a cosignature of {}", self.key.name()))
    }
}

fn describe(answer: &Answer) -> String {
    format!("status {}: {}", answer.status, sanitise(&String::from_utf8_lossy(&answer.body)))
}

async fn consistency<T: Tiles + Send + Sync + 'static>(
    old: u64,
    size: u64,
    tiles: Arc<T>,
) -> Result<Vec<TreeHash>, LedgerRefusal> {
    let plan = Plan::consistency(old, size)?;
    let hashes = spawn_blocking(move || plan.hashes(tiles.as_ref())).await;
    hashes.unwrap_or_else(|_| {
        Err(LedgerRefusal::new(LedgerCode::LogFileMissing, "a reader that broke off", "tiles"))
    })
}
