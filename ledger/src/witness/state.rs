//! What a witness remembers: the latest checkpoint of each log, on disk before anyone is told.
//!
//! `<SHA-256 of the origin>.checkpoint` in the folder: the note as its log signed it, and checked again when it is read. Beside
//! it `.conflict`: the first other checkpoint of the same size, with which it proves that the log was forked. A lock keeps
//! a second process out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kms_attestation::hash::sha256;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::note::{KeyName, LogKey};
use crate::refusal::{LedgerCode, LedgerRefusal};

pub(super) struct State {
    folder: PathBuf,
    latest: BTreeMap<KeyName, Checkpoint>,
    _lock: File,
}

impl State {
    /// Reads what is remembered of these logs. Refused with `witness-state-unusable`.
    pub(super) fn open(folder: &Path, logs: &BTreeMap<KeyName, LogKey>) -> Result<Self, LedgerRefusal> {
        let lock = lock(folder).map_err(|error| unusable(folder, error))?;
        let mut latest = BTreeMap::new();
        for (origin, key) in logs {
            let path = folder.join(file_name(origin));
            match fs::read(&path) {
                Ok(bytes) => {
                    let signed =
                        SignedCheckpoint::open(&bytes, key).map_err(|refusal| unusable(&path, refusal))?;
                    latest.insert(origin.clone(), signed.checkpoint().clone());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unusable(&path, error)),
            }
        }
        Ok(Self { folder: folder.to_owned(), latest, _lock: lock })
    }

    pub(super) fn latest(&self, origin: &KeyName) -> Option<&Checkpoint> {
        self.latest.get(origin)
    }

    /// Remembers a checkpoint. It is on disk when this returns.
    pub(super) fn keep(&mut self, signed: &SignedCheckpoint) -> io::Result<()> {
        let checkpoint = signed.checkpoint();
        let name = file_name(&checkpoint.origin);
        let new = self.folder.join(format!("{name}.new"));
        write(&new, signed)?;
        fs::rename(&new, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()?;
        self.latest.insert(checkpoint.origin.clone(), checkpoint.clone());
        Ok(())
    }

    /// Keeps the proof of a fork, unless there is one already.
    pub(super) fn keep_conflict(&self, signed: &SignedCheckpoint) -> io::Result<()> {
        let path = self.folder.join(format!("{}.conflict", file_name(&signed.checkpoint().origin)));
        if path.exists() {
            return Ok(());
        }
        write(&path, signed)?;
        File::open(&self.folder)?.sync_all()
    }
}

fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock()?;
    Ok(lock)
}

fn write(path: &Path, signed: &SignedCheckpoint) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(signed.encode().as_bytes())?;
    file.sync_all()
}

fn file_name(origin: &KeyName) -> String {
    format!("{}.checkpoint", hex::encode(sha256(&[origin.as_str().as_bytes()])))
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> LedgerRefusal {
    let found = format!("{}: {error}", path.display());
    LedgerRefusal::new(LedgerCode::WitnessState, found, "what this witness wrote, for it alone")
}
