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
    serde_json::to_string_pretty(result).map(|text| lines(&text)).map_err(CtlError::Encode)
}

/// A result as JSON in one line.
pub(crate) fn json_line(result: &impl Serialize) -> Result<Vec<u8>, CtlError> {
    serde_json::to_string(result).map(|text| lines(&text)).map_err(CtlError::Encode)
}

/// JSON in ASCII alone, and a newline. An outsider's text may hold what a terminal acts on; outside of texts, JSON is ASCII.
fn lines(json: &str) -> Vec<u8> {
    let mut out = String::with_capacity(json.len() + 1);
    for char in json.chars() {
        if char == '\n' || (' '..='~').contains(&char) {
            out.push(char);
        } else {
            let mut units = [0; 2];
            out.extend(char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out.push('\n');
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json__should_be_ascii_and_read_back_the_same() {
        let hostile = "a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{1f600}\n\"\\\r\u{0}\u{feff}";
        for text in [json(&[hostile]).unwrap(), json_line(&[hostile]).unwrap()] {
            assert!(text.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)), "{text:?}");
            assert_eq!(serde_json::from_slice::<[String; 1]>(&text).unwrap(), [hostile]);
        }
        assert_eq!(json_line(&[hostile]).unwrap().split(|byte| *byte == b'\n').count(), 2);
    }
}
