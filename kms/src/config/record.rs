//! `[record]`: where decisions are recorded.

use std::path::{Path, PathBuf};

use super::reader::Section;

/// The record's file, in the state directory, by default.
pub const DEFAULT_FILE: &str = "decisions.log";

/// Where decisions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The file.
    pub path: PathBuf,
}

impl Record {
    pub(super) fn read(section: &mut Section<'_>, state_dir: &Path) -> Self {
        Self { path: section.or("path", state_dir.join(DEFAULT_FILE)) }
    }
}
