//! Linux configfs-tsm: a quote from the kernel, without any agent.
//!
//! ```text
//! mkdir <root>/<name>     a report entry of our own          rmdir <root>/<name>     when done
//!   inblob      write     64 bytes of report data; taken when the file is closed
//!   outblob     read      the quote; the read waits until the kernel has it
//!   provider    read      "tdx_guest\n"
//!   generation  read      decimal; each write to the entry increments it
//! ```
//!
//! Specified by `Documentation/ABI/testing/configfs-tsm-report` (Linux 6.7) and checked against
//! `drivers/virt/coco/guest/report.c` and `fs/configfs/file.c`, from which follows what the documentation leaves
//! out: the kernel ignores the result of the write that closing `inblob` makes, so that a refused write (`EBUSY`)
//! shows only in a `generation` that did not move. The generation is therefore read before the write, after it,
//! and after the quote, and must have moved by exactly one.
//!
//! Each attempt makes a new entry with a random name and removes it, also when it fails. What may pass is tried
//! again, at most [`ATTEMPTS`] times with pauses of milliseconds; the kernel's own wait, one second or more on a
//! stock kernel, is inside the read of `outblob`. All of this blocks and runs on a blocking thread, which outlives
//! a caller that gives up, ends with the kernel's own limit (30 s) and still removes its entry.
//!
//! Threats: another process that writes to our entry and so swaps the report data (noticed by the generation, and
//! by the report data of the quote), and a provider of another kind.

mod configfs;
mod report;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use configfs::ConfigFs;
use report::{Failure, Reports};

use super::{GuestQuote, PlatformError, QuoteProvider};
use crate::ids::ReportData;

/// Where the kernel makes reports when configfs is mounted at its usual place.
pub const DEFAULT_TSM_ROOT: &str = "/sys/kernel/config/tsm/report";
/// The provider of TDX guests.
pub(super) const PROVIDER: &str = "tdx_guest";
/// How often a quote is tried.
pub(super) const ATTEMPTS: u32 = 8;
/// The pause after the first attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long all attempts may take together.
const DEADLINE: Duration = Duration::from_secs(45);

/// The kernel as a source of quotes.
#[derive(Debug, Clone)]
pub struct Tsm {
    root: PathBuf,
}

impl Tsm {
    /// The kernel's reports in this directory.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl QuoteProvider for Tsm {
    async fn quote(&self, report_data: ReportData) -> Result<GuestQuote, PlatformError> {
        let reports = ConfigFs { root: self.root.clone() };
        let quote = tokio::time::timeout(DEADLINE, persistently(reports, report_data)).await;
        let quote = quote.unwrap_or_else(|_| {
            Err(PlatformError::TsmTimeout { root: self.root.clone(), after: DEADLINE })
        })?;
        Ok(GuestQuote { quote, event_log: None })
    }
}

/// Tries until there is a quote, an error that will not pass, or no attempt left.
async fn persistently<R: Reports>(reports: R, report_data: ReportData) -> Result<Vec<u8>, PlatformError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match once(reports.clone(), report_data).await {
            Ok(quote) => return Ok(quote),
            Err(Failure::Lasting(error)) => return Err(error),
            Err(Failure::Passing(_)) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    once(reports, report_data).await.map_err(Failure::into_error)
}

async fn once<R: Reports>(reports: R, report_data: ReportData) -> Result<Vec<u8>, Failure> {
    let root = reports.root().to_owned();
    let attempt = tokio::task::spawn_blocking(move || report::make(&reports, &report_data));
    attempt.await.unwrap_or_else(|error| {
        Err(Failure::Lasting(PlatformError::TsmIo { path: root, source: io::Error::other(error) }))
    })
}
