//! The memory of platforms' states, kept on disk.
//!
//! When a platform is first seen out of date, that is on disk before the answer is given: a node that is made to
//! crash does not begin a grace period anew. What is lost otherwise can only take grace away. A host that brings back an
//! old disk can lengthen a grace period by as much; policies that cannot have that set no grace, which is the default.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kms_attestation::{AuthenticQuote, TcbHistory};

/// The largest file that is read, in bytes: a hundred thousand platforms.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The memory and its file.
pub struct History {
    file: PathBuf,
    memory: Mutex<Memory>,
}

struct Memory {
    platforms: TcbHistory,
    /// Whether it holds what must be on disk before the next answer, and is not.
    unsaved: bool,
}

impl History {
    /// Reads the file; none is an empty memory, and one that cannot be read is an error.
    pub fn open(file: &Path) -> io::Result<Self> {
        let platforms = match fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => TcbHistory::default(),
            Err(error) => return Err(error),
            Ok(meta) if meta.len() > MAX_FILE_BYTES => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) => serde_json::from_slice(&fs::read(file)?)?,
        };
        Ok(Self { file: file.to_owned(), memory: Mutex::new(Memory { platforms, unsaved: false }) })
    }

    /// Takes note of a genuine quote; since when its platform is known to be out of date, in Unix seconds.
    pub(crate) fn observe(&self, quote: &AuthenticQuote, now: u64) -> io::Result<Option<u64>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.platforms.len();
        let since = memory.platforms.observe(quote, now);
        memory.unsaved |= since == Some(now) || memory.platforms.len() > known;
        if memory.unsaved {
            // A disk that fails now is asked again at the next quote: nothing is answered on what only memory holds.
            save(&self.file, &memory.platforms)?;
            memory.unsaved = false;
        }
        Ok(since)
    }
}

/// Whole or not at all.
fn save(path: &Path, memory: &TcbHistory) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&serde_json::to_vec(memory)?)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}
