//! Why no quote could be had: every error has a stable code, the place, what was found, what was expected there
//! and what fixes it.
//!
//! These are faults of this guest, read by its operator. A verifier's refusals are [`crate::deny`]'s.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PlatformError as E;
use super::guest_agent::MAX_ANSWER_BYTES;
use super::tsm::{ATTEMPTS, PROVIDER};
use crate::ids::ReportData;
use crate::quote::MAX_QUOTE_BYTES;

/// What went wrong on the way to a quote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// `platform-no-source`: neither a guest agent nor configfs-tsm is there.
    NoSource {
        /// Where the agent was looked for.
        agent_socket: PathBuf,
        /// Where configfs-tsm was looked for.
        tsm_root: PathBuf,
    },
    /// `quote-wrong-report-data`: the source returned a quote for another question, or no quote.
    WrongQuote {
        /// The source.
        place: PathBuf,
        /// What the quote carries.
        found: String,
        /// What was asked for.
        expected: ReportData,
    },
    /// `agent-unreachable`: nothing accepts connections on the socket.
    AgentUnreachable {
        /// The socket.
        socket: PathBuf,
        /// The reason of the operating system.
        source: io::Error,
    },
    /// `agent-timeout`: the agent did not answer in time.
    AgentTimeout {
        /// The socket.
        socket: PathBuf,
        /// The method, for instance `/GetQuote`.
        method: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// `agent-protocol`: what answers does not speak HTTP/1, or hung up.
    AgentProtocol {
        /// The socket.
        socket: PathBuf,
        /// The method.
        method: &'static str,
        /// The reason of the HTTP library.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `agent-refused`: the agent answered with an error.
    AgentRefused {
        /// The socket.
        socket: PathBuf,
        /// The method.
        method: &'static str,
        /// The HTTP status.
        status: u16,
        /// The agent's own words, bounded and escaped.
        message: String,
    },
    /// `agent-answer-too-large`: the answer exceeds [`MAX_ANSWER_BYTES`].
    AgentAnswerTooLarge {
        /// The socket.
        socket: PathBuf,
        /// The method.
        method: &'static str,
    },
    /// `agent-answer-malformed`: the answer is not what the method returns.
    AgentAnswer {
        /// The socket.
        socket: PathBuf,
        /// The method.
        method: &'static str,
        /// What is wrong with it.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// `tsm-missing`: configfs-tsm is not at this place.
    TsmMissing {
        /// The file or directory that is not there.
        path: PathBuf,
    },
    /// `tsm-provider`: the kernel makes reports of another kind, or none.
    TsmProvider {
        /// The directory of reports.
        root: PathBuf,
        /// The kernel's provider.
        found: String,
    },
    /// `tsm-conflict`: something else kept writing to our report entries.
    TsmConflict {
        /// The directory of reports.
        root: PathBuf,
        /// The generation after the conflicting write, beside the one that was expected.
        found: String,
    },
    /// `tsm-busy`: the kernel kept refusing because another quote is under way.
    TsmBusy {
        /// The directory of reports.
        root: PathBuf,
        /// The reason of the operating system.
        source: io::Error,
    },
    /// `tsm-quote-too-large`: the quote exceeds [`MAX_QUOTE_BYTES`].
    TsmTooLarge {
        /// The file that holds it.
        path: PathBuf,
    },
    /// `tsm-io`: reading or writing a report failed otherwise.
    TsmIo {
        /// The file or directory.
        path: PathBuf,
        /// The reason of the operating system.
        source: io::Error,
    },
    /// `tsm-timeout`: the kernel did not deliver in time.
    TsmTimeout {
        /// The directory of reports.
        root: PathBuf,
        /// How long was waited.
        after: Duration,
    },
}

impl PlatformError {
    /// The stable code: callers and operators match on it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            E::NoSource { .. } => "platform-no-source",
            E::WrongQuote { .. } => "quote-wrong-report-data",
            E::AgentUnreachable { .. } => "agent-unreachable",
            E::AgentTimeout { .. } => "agent-timeout",
            E::AgentProtocol { .. } => "agent-protocol",
            E::AgentRefused { .. } => "agent-refused",
            E::AgentAnswerTooLarge { .. } => "agent-answer-too-large",
            E::AgentAnswer { .. } => "agent-answer-malformed",
            E::TsmMissing { .. } => "tsm-missing",
            E::TsmProvider { .. } => "tsm-provider",
            E::TsmConflict { .. } => "tsm-conflict",
            E::TsmBusy { .. } => "tsm-busy",
            E::TsmTooLarge { .. } => "tsm-quote-too-large",
            E::TsmIo { .. } => "tsm-io",
            E::TsmTimeout { .. } => "tsm-timeout",
        }
    }

    /// The socket, file or directory that the error is about.
    #[must_use]
    pub fn place(&self) -> &Path {
        match self {
            E::NoSource { agent_socket: path, .. }
            | E::WrongQuote { place: path, .. }
            | E::AgentUnreachable { socket: path, .. }
            | E::AgentTimeout { socket: path, .. }
            | E::AgentProtocol { socket: path, .. }
            | E::AgentRefused { socket: path, .. }
            | E::AgentAnswerTooLarge { socket: path, .. }
            | E::AgentAnswer { socket: path, .. }
            | E::TsmMissing { path }
            | E::TsmProvider { root: path, .. }
            | E::TsmConflict { root: path, .. }
            | E::TsmBusy { root: path, .. }
            | E::TsmTooLarge { path }
            | E::TsmIo { path, .. }
            | E::TsmTimeout { root: path, .. } => path,
        }
    }

    /// What was found there.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            E::NoSource { tsm_root, .. } => {
                format!("no socket there, and no directory {}", tsm_root.display())
            }
            E::WrongQuote { found, .. }
            | E::AgentAnswer { found, .. }
            | E::TsmProvider { found, .. }
            | E::TsmConflict { found, .. } => found.clone(),
            E::AgentUnreachable { source, .. } | E::TsmBusy { source, .. } | E::TsmIo { source, .. } => {
                source.to_string()
            }
            E::AgentTimeout { method, after, .. } => format!("no answer to {method} after {after:?}"),
            E::AgentProtocol { method, source, .. } => format!("{source} in answer to {method}"),
            E::AgentRefused { method, status, message, .. } => {
                format!("status {status} in answer to {method}: {message}")
            }
            E::AgentAnswerTooLarge { method, .. } => format!("a larger answer to {method}"),
            E::TsmMissing { .. } => "nothing".to_owned(),
            E::TsmTooLarge { .. } => "a larger report".to_owned(),
            E::TsmTimeout { after, .. } => format!("no quote after {after:?}"),
        }
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            E::NoSource { .. } => "a guest agent's socket or configfs-tsm".to_owned(),
            E::WrongQuote { expected, .. } => format!("a TDX quote with report data {expected}"),
            E::AgentUnreachable { .. } => "a listening guest agent".to_owned(),
            E::AgentTimeout { .. } => "an answer in time".to_owned(),
            E::AgentProtocol { .. } => "an HTTP/1 response".to_owned(),
            E::AgentRefused { .. } => "status 200".to_owned(),
            E::AgentAnswerTooLarge { .. } => format!("at most {MAX_ANSWER_BYTES} bytes"),
            E::AgentAnswer { expected, .. } => (*expected).to_owned(),
            E::TsmMissing { .. } => "configfs-tsm".to_owned(),
            E::TsmProvider { .. } => format!("provider {PROVIDER}"),
            E::TsmConflict { .. } => format!("a report of our own within {ATTEMPTS} attempts"),
            E::TsmBusy { .. } => format!("a report within {ATTEMPTS} attempts"),
            E::TsmTooLarge { .. } => format!("at most {MAX_QUOTE_BYTES} bytes"),
            E::TsmIo { .. } => "a readable and writable report entry".to_owned(),
            E::TsmTimeout { .. } => "a quote in time".to_owned(),
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            E::NoSource { .. } => {
                "Run inside a TDX guest whose agent's socket is mounted, or with Linux 6.7 and configfs mounted."
            }
            E::WrongQuote { .. } => {
                "Ask again; if it happens again, restart the source: it answers other requests."
            }
            E::AgentUnreachable { .. } => {
                "Start the guest agent, and check the socket's path and permissions."
            }
            E::AgentTimeout { .. } | E::TsmTimeout { .. } => {
                "Check the host's quote generation service; a stock kernel makes about one quote a second."
            }
            E::AgentProtocol { .. } => "Check that the socket is the dstack guest agent's.",
            E::AgentRefused { .. } => {
                "Read the agent's message; status 404 means an agent older than dstack 0.5."
            }
            E::AgentAnswerTooLarge { .. } | E::AgentAnswer { .. } => {
                "Check that the socket is the dstack guest agent's, and update the guest image."
            }
            E::TsmMissing { .. } => {
                "Mount configfs (mount -t configfs none /sys/kernel/config) on Linux 6.7 or later."
            }
            E::TsmProvider { .. } => "Run inside a TDX guest and load the tdx_guest module.",
            E::TsmConflict { .. } => "Find the process that writes to every report entry, and stop it.",
            E::TsmBusy { .. } => "Wait for the quote that is under way; restart the guest if it never ends.",
            E::TsmTooLarge { .. } => "Check the host's quoting enclave: a quote has about 5000 bytes.",
            E::TsmIo { .. } => "Run as root, and read the kernel's log for the reason.",
        }
    }
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, place) = (self.code(), self.place().display());
        write!(f, "{code} at {place} (found {}; expected {})", self.found(), self.expected())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn every_error() -> Vec<PlatformError> {
        let path = || PathBuf::from("/the/place");
        let source = || io::Error::other("the reason");
        let (method, found, after) = ("/Method", "what was found".to_owned(), Duration::from_secs(1));
        vec![
            E::NoSource { agent_socket: path(), tsm_root: path() },
            E::WrongQuote { place: path(), found: found.clone(), expected: ReportData::ZERO },
            E::AgentUnreachable { socket: path(), source: source() },
            E::AgentTimeout { socket: path(), method, after },
            E::AgentProtocol { socket: path(), method, source: source().into() },
            E::AgentRefused { socket: path(), method, status: 500, message: found.clone() },
            E::AgentAnswerTooLarge { socket: path(), method },
            E::AgentAnswer { socket: path(), method, found: found.clone(), expected: "another" },
            E::TsmMissing { path: path() },
            E::TsmProvider { root: path(), found: found.clone() },
            E::TsmConflict { root: path(), found },
            E::TsmBusy { root: path(), source: source() },
            E::TsmTooLarge { path: path() },
            E::TsmIo { path: path(), source: source() },
            E::TsmTimeout { root: path(), after },
        ]
    }

    #[test]
    fn errors__should_have_unique_codes_and_say_what_fixes_them() {
        let errors = every_error();
        let codes: BTreeSet<_> = errors.iter().map(PlatformError::code).collect();
        assert_eq!(codes.len(), errors.len());
        for error in errors {
            assert!(error.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{error}");
            assert!(error.fix().ends_with('.') && !error.found().is_empty(), "{error}");
            assert!(
                error.to_string().starts_with(&format!("{} at /the/place (found ", error.code())),
                "{error}"
            );
        }
    }
}
