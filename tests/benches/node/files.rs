//! What it takes to make a small file where nodes have their logs: a release with new evidence makes one or more.
//!
//! Printed beside what the log costs, because it says whether that figure is the node's or the disk's. On ext4 a directory in
//! which many files were deleted within the last minutes makes new ones ten times as slowly: it looks at every inode that
//! was freed of late, and takes none of them.

use std::fs;
use std::time::{Duration, Instant};

use crate::median;

/// How many are made; the median counts.
const FILES: usize = 301;
/// About as much as a quote.
const BYTES: [u8; 8192] = [1; 8192];

/// Made beside its place and renamed, as the log does it. Nothing is synced.
pub(crate) fn time_to_make_one() -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join("staging");
    let times = (0..FILES).map(|number| {
        let start = Instant::now();
        fs::write(&staging, BYTES).unwrap();
        fs::rename(&staging, folder.path().join(number.to_string())).unwrap();
        start.elapsed()
    });
    median(times.collect())
}
