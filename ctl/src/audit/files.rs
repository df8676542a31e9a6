//! Where the files of a log are: a folder. What comes from there is nobody's word.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// The files could not be asked for, which says nothing about the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {path} of the log: {why}")]
pub(crate) struct Unavailable {
    pub(super) path: String,
    pub(super) why: String,
}

/// The files of a log, by their paths in it.
pub(super) trait Files: Send + Sync {
    /// At most so many bytes of a file; none where there is no such file.
    fn get(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, Unavailable>;
}

/// A folder with the files of a log: a node's own, or a copy.
pub(super) struct Folder(pub(super) PathBuf);

impl Files for Folder {
    fn get(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, Unavailable> {
        let read = |file: File| {
            let mut bytes = Vec::new();
            // One byte more than there may be: what is too long is refused by whoever reads it.
            file.take(max as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
        };
        match File::open(self.0.join(path)).and_then(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Unavailable { path: path.to_owned(), why: error.to_string() }),
        }
    }
}
