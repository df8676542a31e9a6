//! Runs the real binary.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Asserts the exit code, with what was printed where it is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }
}

fn command<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kmsctl"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it with these arguments.
pub(crate) fn kmsctl<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    Run::of(command(args).output().unwrap())
}

/// Runs it with these arguments and that on standard input.
pub(crate) fn kmsctl_with_stdin<A: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = A>,
    stdin: &[u8],
) -> Run {
    let mut command = command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that ends without reading all of its input closes the pipe; its exit code is what counts.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    Run::of(child.wait_with_output().unwrap())
}
