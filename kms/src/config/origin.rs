//! Where a value came from: every fault and every line of the report says it. Never holds a value.

use std::fmt;
use std::sync::Arc;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the default counts, where there is one.
    NotGiven,
    /// In the file.
    File {
        /// The file's name, as it was given.
        file: Arc<str>,
        /// The line, counted from 1.
        line: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
    /// In a `--set` of the command line: the how manieth, counted from 1.
    Flag(usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGiven => f.write_str("not given"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(number) => write!(f, "--set number {number}"),
        }
    }
}
