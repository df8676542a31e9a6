//! One attempt at a quote: the order of reads and writes on a report entry, and what its failures mean.
//!
//! The two traits are the seam between this order and the file system. They exist because a directory of plain
//! files cannot act like the kernel: tests put an emulation of it behind them, production has `configfs.rs`.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::PROVIDER;
use crate::ids::ReportData;
use crate::platform::{PlatformError, check_carries};
use crate::quote::MAX_QUOTE_BYTES;

/// `ENXIO`: no provider is registered with the kernel.
const ENXIO: i32 = 6;
/// The longest text attribute, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// A place in which report entries are made.
pub(super) trait Reports: Clone + Send + 'static {
    /// An entry. Dropping it removes it.
    type Entry: Entry;

    fn root(&self) -> &Path;
    fn create(&self) -> io::Result<Self::Entry>;
}

/// One report entry.
pub(super) trait Entry {
    fn path(&self) -> &Path;
    /// Reads a whole attribute; `FileTooLarge` when it has more than `limit` bytes.
    fn read(&self, attribute: &str, limit: usize) -> io::Result<Vec<u8>>;
    /// Writes `inblob` and closes it.
    fn write_inblob(&self, report_data: &ReportData) -> io::Result<()>;
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The next attempt may succeed.
    Passing(PlatformError),
    /// It may not.
    Lasting(PlatformError),
}

impl Failure {
    pub(super) fn into_error(self) -> PlatformError {
        match self {
            Self::Passing(error) | Self::Lasting(error) => error,
        }
    }

    fn of_io(root: &Path, path: PathBuf, error: io::Error) -> Self {
        let root = root.to_owned();
        match error.kind() {
            ErrorKind::ResourceBusy | ErrorKind::WouldBlock | ErrorKind::Interrupted => {
                Self::Passing(PlatformError::TsmBusy { root, source: error })
            }
            ErrorKind::NotFound => Self::Lasting(PlatformError::TsmMissing { path }),
            ErrorKind::FileTooLarge => Self::Lasting(PlatformError::TsmTooLarge { path }),
            _ if error.raw_os_error() == Some(ENXIO) => {
                Self::Lasting(PlatformError::TsmProvider { root, found: "no provider".to_owned() })
            }
            _ => Self::Lasting(PlatformError::TsmIo { path, source: error }),
        }
    }
}

/// Makes an entry, takes one quote from it and removes it.
pub(super) fn make<R: Reports>(reports: &R, report_data: &ReportData) -> Result<Vec<u8>, Failure> {
    let root = reports.root();
    let entry = reports.create().map_err(|error| Failure::of_io(root, root.to_owned(), error))?;
    let attempt = Attempt { root, entry: &entry };
    attempt.check_provider()?;
    let generation = attempt.generation()?.wrapping_add(1);
    attempt.write(report_data)?;
    attempt.check_generation(generation)?;
    let quote = attempt.read("outblob", MAX_QUOTE_BYTES)?;
    attempt.check_generation(generation)?;
    check_carries(&quote, report_data, root).map_err(Failure::Lasting)?;
    Ok(quote)
}

struct Attempt<'a, E> {
    root: &'a Path,
    entry: &'a E,
}

impl<E: Entry> Attempt<'_, E> {
    fn read(&self, attribute: &str, limit: usize) -> Result<Vec<u8>, Failure> {
        let read = self.entry.read(attribute, limit);
        read.map_err(|error| Failure::of_io(self.root, self.entry.path().join(attribute), error))
    }

    fn write(&self, report_data: &ReportData) -> Result<(), Failure> {
        let written = self.entry.write_inblob(report_data);
        written.map_err(|error| Failure::of_io(self.root, self.entry.path().join("inblob"), error))
    }

    fn text(&self, attribute: &str) -> Result<String, Failure> {
        let bytes = self.read(attribute, MAX_TEXT_BYTES)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn check_provider(&self) -> Result<(), Failure> {
        let found = self.text("provider")?;
        if found == PROVIDER {
            return Ok(());
        }
        let found = format!("provider \"{}\"", found.escape_default());
        Err(Failure::Lasting(PlatformError::TsmProvider { root: self.root.to_owned(), found }))
    }

    fn generation(&self) -> Result<u64, Failure> {
        let text = self.text("generation")?;
        text.parse().map_err(|error| {
            let path = self.entry.path().join("generation");
            let source = io::Error::new(ErrorKind::InvalidData, format!("no generation: {error}"));
            Failure::Lasting(PlatformError::TsmIo { path, source })
        })
    }

    fn check_generation(&self, expected: u64) -> Result<(), Failure> {
        let generation = self.generation()?;
        if generation == expected {
            return Ok(());
        }
        let root = self.root.to_owned();
        // Our own write left no trace: the kernel refused it.
        if generation.wrapping_add(1) == expected {
            let source = io::Error::new(ErrorKind::ResourceBusy, "the kernel did not take the report data");
            return Err(Failure::Passing(PlatformError::TsmBusy { root, source }));
        }
        let found = format!("generation {generation} where our own write made {expected}");
        Err(Failure::Passing(PlatformError::TsmConflict { root, found }))
    }
}
