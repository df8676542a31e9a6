//! A checkpoint that an auditor keeps: what was seen of a log, with the log's own signature.
//!
//! Written whole or not at all, and on the disk before the command says so: the next run compares with it. Threat: a log that
//! is rewritten while nobody looks.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kms_ledger::SignedCheckpoint;
use kms_ledger::note::{LogKey, MAX_NOTE_BYTES};

use crate::error::CtlError;
use crate::input;

/// The checkpoint in a file, which this log signed.
pub(super) fn read(path: &Path, key: &LogKey) -> Result<SignedCheckpoint, CtlError> {
    let bytes = input::read_at_most(path, MAX_NOTE_BYTES as u64)?;
    SignedCheckpoint::open(&bytes, key)
        .map_err(|refusal| CtlError::Checkpoint { path: path.to_owned(), refusal })
}

/// The same; none where there is no such file.
pub(super) fn read_if_there(path: &Path, key: &LogKey) -> Result<Option<SignedCheckpoint>, CtlError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => read(path, key).map(Some),
    }
}

/// Writes a checkpoint.
pub(super) fn write(path: &Path, signed: &SignedCheckpoint) -> Result<(), CtlError> {
    let new = with_end(path, ".new");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(signed.encode().as_bytes())?;
        file.sync_all()
    });
    let written = written.and_then(|()| fs::rename(&new, path));
    written.map_err(|source| CtlError::NotWritten { path: path.to_owned(), source })
}

/// A file beside another.
pub(super) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
