//! `kmsctl audit watch`: follows a log, and speaks when it must.
//!
//! What was seen last is a file with the log's own signature. A log that does not continue it ends the watch with exit
//! code 10, and the other checkpoint is kept beside: the two prove the fork to anyone. Threat: history that is rewritten
//! while nobody looks.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use kms_attestation::ids::AppId;
use kms_ledger::SignedCheckpoint;
use kms_ledger::record::{Event, Record, Subject};
use kms_ledger::replay::Archive as _;
use serde_json::{Value, json};

use super::args::WatchArgs;
use super::finding::Finding;
use super::log::{Log, OpenError};
use super::{describe, select};
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome};

/// Looks until the log is no longer what it was.
pub(super) fn watch(args: &WatchArgs) -> Result<Outcome, CtlError> {
    loop {
        match look(args) {
            Ok(None) => {}
            Ok(Some(alert)) => {
                say(args, &alert.text(), &json!({ "alert": alert }))?;
                return Ok(ended(Exit::Refused));
            }
            // The source may come back; what it said before stands.
            Err(CtlError::Audit(OpenError::Unavailable(refusal))) if !args.once => {
                let _ = writeln!(io::stderr(), "{refusal}");
            }
            Err(error) => return Err(error),
        }
        if args.once {
            return Ok(ended(Exit::Done));
        }
        sleep(Duration::from_secs(args.every));
    }
}

fn ended(exit: Exit) -> Outcome {
    Outcome { exit, stdout: Vec::new(), stderr: String::new() }
}

/// One look: tells of what is new and remembers it, or gives the alert that ends the watch.
fn look(args: &WatchArgs) -> Result<Option<Finding>, CtlError> {
    let log = super::open(&args.log)?;
    let from = match seen(&args.state, &log)? {
        None => 0,
        Some(seen) => {
            if let Err(finding) = log.continues(seen.checkpoint()) {
                super::undecided(&log)?;
                keep(&beside(&args.state), &log.signed)?;
                return Ok(Some(finding));
            }
            seen.checkpoint().size
        }
    };
    for index in from..log.size() {
        let record = log.record(index).map_err(CtlError::Gap)?;
        if is_release(&args.apps, &log, &record) {
            say(args, &format!("{}\n", describe::line(index, &record)), &release(index, &record))?;
        }
    }
    keep(&args.state, &log.signed)?;
    Ok(None)
}

fn seen(path: &Path, log: &Log) -> Result<Option<SignedCheckpoint>, CtlError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CtlError::Unreadable { path: path.to_owned(), source }),
    };
    let open = SignedCheckpoint::open(&bytes, &log.key);
    open.map(Some).map_err(|refusal| CtlError::Checkpoint { path: path.to_owned(), refusal })
}

fn is_release(apps: &[AppId], log: &Log, record: &Record) -> bool {
    let Event::Decision(decision) = &record.event else { return false };
    let released = decision.subject != Subject::Node && decision.outcome.code().is_none();
    let theirs = || select::identity(log, record).is_some_and(|identity| apps.contains(&identity.app_id));
    released && (apps.is_empty() || theirs())
}

fn release(index: u64, record: &Record) -> Value {
    json!({ "release": describe::members(index, record) })
}

/// Each line goes out at once: someone waits for it.
fn say(args: &WatchArgs, text: &str, members: &Value) -> Result<(), CtlError> {
    let line = if args.log.json { format!("{members}\n") } else { text.to_owned() };
    let mut stdout = io::stdout();
    let written = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|source| CtlError::NotWritten { path: PathBuf::from("-"), source })
}

/// The place of the checkpoint that contradicts what was seen.
fn beside(state: &Path) -> PathBuf {
    with_end(state, ".conflict")
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Written whole or not at all.
fn keep(path: &Path, signed: &SignedCheckpoint) -> Result<(), CtlError> {
    let new = with_end(path, ".new");
    let written = fs::write(&new, signed.encode()).and_then(|()| fs::rename(&new, path));
    written.map_err(|source| CtlError::NotWritten { path: path.to_owned(), source })
}
