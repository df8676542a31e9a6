//! What a command did: its exit code, and what it prints. The one place that writes to standard output.
//!
//! The exit code is what scripts act on, so it is settled before anything is printed; if printing fails, the code
//! says so rather than repeat a verdict that nobody could read.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::error::CtlError;

/// The exit codes: part of the interface, listed in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The evidence was accepted, or the command did what it was told.
    Done = 0,
    /// A result could not be written.
    NotWritten = 1,
    /// The command line is wrong, or a file that it names cannot be used. As clap's own.
    Usage = 2,
    /// Neither accepted nor refused: there was no collateral to judge by, or no provider that could be asked.
    Undecided = 3,
    /// The evidence was refused.
    Refused = 10,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    /// The result, for programs and pipes.
    pub(crate) stdout: Vec<u8>,
    /// Remarks, for people.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Prints it and gives the exit code.
    pub(crate) fn emit(self) -> ExitCode {
        // Remarks that nobody can read change nothing.
        let _ = io::stderr().write_all(self.stderr.as_bytes());
        let mut stdout = io::stdout().lock();
        let exit = match stdout.write_all(&self.stdout).and_then(|()| stdout.flush()) {
            Ok(()) => self.exit,
            Err(_) => Exit::NotWritten,
        };
        ExitCode::from(exit as u8)
    }
}

/// A result as JSON for programs, one line for each member.
pub(crate) fn json(result: &impl Serialize) -> Result<Vec<u8>, CtlError> {
    let mut text = serde_json::to_vec_pretty(result).map_err(CtlError::Encode)?;
    text.push(b'\n');
    Ok(text)
}
