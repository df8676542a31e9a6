//! Where the files of a log are: a folder or a web server. What comes from there is nobody's word.
//!
//! The library's sources wait for the network; auditing does not, and asks from many threads. One thread drives them.

use kms_ledger::http::Trust;
use kms_ledger::{Checkpoint, LedgerRefusal, LogPath, LogReader, SignedCheckpoint, Source};
use tokio::runtime::{Builder, Runtime};

use crate::error::CtlError;

/// The files of a log.
pub(super) struct Files {
    source: Source,
    runtime: Runtime,
}

impl Files {
    /// Those at a URL, or in a folder.
    pub(super) fn open(place: &str) -> Result<Self, CtlError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let source = Source::open(place, Trust::default()).map_err(CtlError::Source)?;
        Ok(Self { source, runtime: runtime.map_err(CtlError::Runtime)? })
    }

    /// The bytes of a file; none where there is no such file. Refused where the source cannot be had, which says nothing about
    /// the log.
    pub(super) fn get(&self, path: LogPath) -> Result<Option<Vec<u8>>, LedgerRefusal> {
        self.runtime.block_on(self.source.get(path))
    }

    /// Whether the log, as of one checkpoint, continues another. Refused with `log-rolled-back`, `log-forked`, and with what
    /// tiles are refused with.
    pub(super) fn continues(&self, head: &SignedCheckpoint, older: &Checkpoint) -> Result<(), LedgerRefusal> {
        self.runtime.block_on(async {
            let reader = LogReader::at(self.source.clone(), head.clone()).await?;
            reader.check_continues(older).await
        })
    }
}
