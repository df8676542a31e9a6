//! `kmsctl audit watch`: follows a log, and speaks when it must.
//!
//! What was seen last is a file with the log's own signature. A log that does not continue it ends the watch with exit
//! code 10, and the other checkpoint is kept beside: the two prove the fork to anyone. A release is told at least once: the
//! file is written after the line. Threat: history that is rewritten while nobody looks; a release that nobody hears of.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use kms_attestation::ids::AppId;
use kms_ledger::SignedCheckpoint;
use kms_ledger::record::{Event, Record, Subject};
use kms_ledger::refusal::LedgerCode;
use kms_ledger::replay::{Archive as _, ReplayCode};
use serde_json::{Value, json};

use super::args::WatchArgs;
use super::finding::{Code, Finding, Place};
use super::log::{Log, OpenError};
use super::{checkpoint_file, describe, select};
use crate::error::CtlError;
use crate::outcome::{self, Exit, Outcome};

/// What the checkpoint that contradicts the one seen has after the name of the state.
const CONFLICT_SUFFIX: &str = ".conflict";

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
            Err(error) if !args.once && error.outcome().exit == Exit::Undecided => {
                let _ = writeln!(io::stderr(), "{error}");
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
    let log = match super::open(&args.log) {
        // The log is there, and is wrong: that is what a watch is for.
        Err(CtlError::Audit(OpenError::Refused(finding))) => return Ok(Some(*finding)),
        opened => opened?,
    };
    if log.reader().is_none() {
        return Err(CtlError::WatchOfBundle);
    }
    let from = match seen(args, &log)? {
        Seen::Nothing => 0,
        Seen::Before(seen) => match log.continues(seen.checkpoint())? {
            None => seen.checkpoint().size,
            Some(finding) => return alert(args, &log, finding).map(Some),
        },
        Seen::OtherKey(finding) => return alert(args, &log, finding).map(Some),
    };
    for index in from..log.size() {
        let record = log.record(index).map_err(CtlError::Gap)?;
        match of_interest(&args.apps, &log, &record)? {
            Told::Not => {}
            Told::Open => {
                say(args, &format!("{}\n", describe::line(index, &record)), &release(index, &record))?;
            }
            Told::Sealed => {
                let text = format!("{}, and the sealed blob is not here\n", describe::line(index, &record));
                say(args, &text, &release(index, &record))?;
            }
        }
    }
    checkpoint_file::write(&args.state, &log.signed)?;
    Ok(None)
}

/// Keeps the checkpoint that contradicts what was seen.
fn alert(args: &WatchArgs, log: &Log, finding: Finding) -> Result<Finding, CtlError> {
    let contradicts = [LedgerCode::LogForked, LedgerCode::LogShrunk, LedgerCode::NoteUnsigned];
    if contradicts.iter().any(|code| finding.refusal.code == Code::Ledger(*code)) {
        checkpoint_file::write(&checkpoint_file::with_end(&args.state, CONFLICT_SUFFIX), &log.signed)?;
    }
    Ok(finding)
}

/// What was seen of the log before.
enum Seen {
    Nothing,
    Before(SignedCheckpoint),
    /// Another key signed it: the log that is there now is another one.
    OtherKey(Finding),
}

fn seen(args: &WatchArgs, log: &Log) -> Result<Seen, CtlError> {
    match checkpoint_file::read_if_there(&args.state, &log.key) {
        Ok(None) => Ok(Seen::Nothing),
        Ok(Some(signed)) => Ok(Seen::Before(signed)),
        Err(CtlError::Checkpoint { refusal, .. }) if refusal.code == LedgerCode::NoteUnsigned => {
            Ok(Seen::OtherKey(Finding::new(Place::Checkpoint, refusal)))
        }
        Err(error) => Err(error),
    }
}

/// Whether a record is told of.
enum Told {
    Not,
    Open,
    /// A release that may be one for the apps: who got it is sealed, and cannot be known here.
    Sealed,
}

fn of_interest(apps: &[AppId], log: &Log, record: &Record) -> Result<Told, CtlError> {
    let Event::Decision(decision) = &record.event else { return Ok(Told::Not) };
    if decision.subject == Subject::Node || decision.outcome.code().is_some() {
        return Ok(Told::Not);
    }
    if apps.is_empty() {
        return Ok(Told::Open);
    }
    match select::identity(log, record) {
        Ok(Some(identity)) if apps.contains(&identity.app_id) => Ok(Told::Open),
        Ok(_) => Ok(Told::Not),
        Err(gap) if gap.code == ReplayCode::BlobMissing => Ok(Told::Sealed),
        Err(gap) => Err(CtlError::Gap(gap)),
    }
}

fn release(index: u64, record: &Record) -> Value {
    json!({ "release": describe::members(index, record) })
}

/// Each line goes out at once: someone waits for it.
fn say(args: &WatchArgs, text: &str, members: &Value) -> Result<(), CtlError> {
    let line = if args.log.json { outcome::json_line(members)? } else { text.as_bytes().to_vec() };
    let mut stdout = io::stdout();
    let written = stdout.write_all(&line).and_then(|()| stdout.flush());
    written.map_err(|source| CtlError::NotWritten { path: PathBuf::from("-"), source })
}
