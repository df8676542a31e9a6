//! `[record]`: where decisions are recorded.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::value::Bounds;

/// The record's file, in the state directory, by default.
pub const DEFAULT_FILE: &str = "decisions.log";
/// Bytes that are set aside for the record, 64 MiB: a full disk is noticed some thousand decisions before the node must
/// deny because it cannot record.
pub const RESERVE_BYTES: Bounds = Bounds::new(64 << 20, 1 << 20, 64 << 30);

/// Where decisions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The file.
    pub path: PathBuf,
    /// Bytes that are set aside for it.
    pub reserve_bytes: u64,
}

impl Record {
    pub(super) fn read(section: &mut Section<'_>, state_dir: &Path) -> Self {
        Self {
            path: section.or("path", state_dir.join(DEFAULT_FILE)),
            reserve_bytes: section.number("reserve_bytes", RESERVE_BYTES),
        }
    }
}
