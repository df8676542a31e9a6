//! The files of `kmsctl env`: a key that is read, a blob and variables that are written.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kms_client::env::EnvPrivateKey;
use kms_client::secret::Secret;
use zeroize::Zeroizing;

use super::error::EnvCommandError;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{Exit, Outcome};

/// Who may read a new file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Readers {
    /// Whoever the umask allows.
    Umask,
    /// Its owner alone.
    Owner,
}

/// A private key from 32 bytes, or their hexadecimal form with an optional `0x` and line end.
pub(super) fn read_key(path: &Path) -> Result<EnvPrivateKey, CtlError> {
    let content = Zeroizing::new(input::read(path)?);
    let key = Secret::copy_of(&content).or_else(|| from_hex(content.trim_ascii()));
    let no_key = || EnvCommandError::KeyFile { path: path.to_owned() };
    Ok(key.map(EnvPrivateKey::new).ok_or_else(no_key)?)
}

fn from_hex(text: &[u8]) -> Option<Secret<32>> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    Secret::try_fill(|bytes| hex::decode_to_slice(digits, bytes)).ok()
}

/// Writes a result to a file, new unless forced, or to standard output.
pub(super) fn write(path: &Path, content: &[u8], readers: Readers, force: bool) -> Result<Outcome, CtlError> {
    if path == Path::new("-") {
        return Ok(Outcome { exit: Exit::Done, stdout: content.to_vec(), stderr: String::new() });
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    if matches!(readers, Readers::Owner) {
        options.mode(0o600);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(content));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CtlError::Exists { path: path.to_owned() },
        _ => CtlError::NotWritten { path: path.to_owned(), source },
    })?;
    let stderr = format!("wrote {}\n", path.display());
    Ok(Outcome { exit: Exit::Done, stdout: Vec::new(), stderr })
}
