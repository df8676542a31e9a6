//! `kmsctl audit`: what outsiders do with a node's log: check it, decide again, look for records, take some along.
//!
//! Believes nothing but a pinned key, or a root of trust under which a quote vouches for the log's own key. Every record
//! that is shown has been shown to stand in the signed tree, and every blob has the bytes that it is named by. Nothing here
//! can make a node do anything. `docs/AUDIT.md` says what each command proves, and what not.

mod args;
mod describe;
mod explain;
mod export;
mod files;
mod finding;
mod log;
mod lookup;
mod progress;
mod receipt;
mod report;
mod select;
mod tally;
mod verify;
mod watch;
mod witness;
mod witnesses;

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use kms_attestation::RootOfTrust;
use kms_ledger::SignedCheckpoint;
use kms_ledger::audit_bundle::{AuditBundle, MAX_AUDIT_BUNDLE_BYTES};
use kms_ledger::note::LogKey;
use kms_ledger::replay::{Archive as _, Indices, Replayer, replay_all};

pub(crate) use self::args::AuditCommand;
use self::args::{ExportArgs, LogArgs, OneArgs, ReplayArgs, SearchArgs, VerifyArgs};
use self::explain::Explained;
use self::files::Files;
pub(crate) use self::log::OpenError;
use self::log::{Latest, Log, Parts};
use self::progress::Progress;
use self::report::Replayings;
use self::tally::Tally;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{Exit, Outcome, json};
use crate::style::Style;

/// `kmsctl audit`.
pub(crate) fn run(command: &AuditCommand) -> Result<Outcome, CtlError> {
    match command {
        AuditCommand::Verify(args) => verify(args),
        AuditCommand::Replay(args) => replay(args),
        AuditCommand::Show(args) => show(args),
        AuditCommand::Explain(args) => explain(args),
        AuditCommand::Search(args) => search(args),
        AuditCommand::Export(args) => export(args),
        AuditCommand::Receipt(args) => receipt::receipt(args),
        AuditCommand::Watch(args) => watch::watch(args),
        AuditCommand::Witness(args) => witness::witness(args),
    }
}

fn root(args: &LogArgs) -> Result<RootOfTrust, CtlError> {
    let Some(path) = &args.root else { return Ok(RootOfTrust::intel()) };
    let der = input::read(path)?;
    RootOfTrust::configured(&der).map_err(|source| CtlError::Root { path: path.clone(), source })
}

fn open(args: &LogArgs) -> Result<Log, CtlError> {
    if args.witnesses.is_empty() {
        return open_at(&args.log, args.key.as_ref(), root(args)?, Latest::Published);
    }
    let log = open_at(&args.log, args.key.as_ref(), root(args)?, Latest::Witnessed)?;
    witnesses::check(&log.signed, args)?;
    Ok(log)
}

fn open_at(place: &str, key: Option<&LogKey>, root: RootOfTrust, latest: Latest) -> Result<Log, CtlError> {
    let path = PathBuf::from(place);
    let parts = if path.is_file() {
        let bytes = input::read_at_most(&path, MAX_AUDIT_BUNDLE_BYTES as u64)?;
        Parts::Bundle(AuditBundle::decode(&bytes).map_err(|refusal| CtlError::Bundle { path, refusal })?)
    } else {
        Parts::Files(Files::open(place)?)
    };
    Ok(Log::open(parts, key, root, latest)?)
}

/// What could not be had is no answer.
fn undecided(log: &Log) -> Result<(), CtlError> {
    log.tree().trouble().map_or(Ok(()), |error| Err(OpenError::Unavailable(error).into()))
}

fn verify(args: &VerifyArgs) -> Result<Outcome, CtlError> {
    let log = open(&args.log)?;
    let since = args.since.as_ref().map(|path| -> Result<SignedCheckpoint, CtlError> {
        let bytes = input::read(path)?;
        SignedCheckpoint::open(&bytes, &log.key)
            .map_err(|refusal| CtlError::Checkpoint { path: path.clone(), refusal })
    });
    let since = since.transpose()?;
    let verified = verify::verify(&log, since.as_ref().map(SignedCheckpoint::checkpoint));
    undecided(&log)?;
    let exit = if verified.findings.is_empty() { Exit::Done } else { Exit::Refused };
    if let (Some(path), Exit::Done) = (&args.keep, exit) {
        let written = fs::write(path, log.signed.encode());
        written.map_err(|source| CtlError::NotWritten { path: path.clone(), source })?;
    }
    let stdout = if args.log.json {
        json(&report::verified_json(&log, &verified))?
    } else {
        report::verified_text(&log, &verified, Style::of_stdout()).into_bytes()
    };
    Ok(Outcome { exit, stdout, stderr: witnesses::said(&log.signed, &args.log) })
}

fn replay(args: &ReplayArgs) -> Result<Outcome, CtlError> {
    let log = open(&args.log)?;
    let replayer = Replayer::new(root(&args.log)?, Some(log.identity()));
    let indices = if args.indices.is_empty() { log.indices() } else { Indices::List(args.indices.clone()) };
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = args.threads.unwrap_or(cores);
    let (progress, tally) = (Progress::new("replay", indices.len()), Mutex::new(Tally::default()));
    let started = Instant::now();
    replay_all(&replayer, &log, &indices, threads, &|index, replayed| {
        let record = log.record(index).ok();
        tally.lock().unwrap_or_else(PoisonError::into_inner).add(index, record.as_deref(), replayed);
        progress.step();
    });
    let elapsed = started.elapsed();
    drop(progress);
    undecided(&log)?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner).sorted();
    let report = Replayings { log: &log, tally: &tally, elapsed, threads: threads.min(cores) };
    let stdout =
        if args.log.json { json(&report.json())? } else { report.text(Style::of_stdout()).into_bytes() };
    Ok(Outcome { exit: tally.exit(), stdout, stderr: String::new() })
}

fn show(args: &OneArgs) -> Result<Outcome, CtlError> {
    let log = open(&args.log)?;
    let record = log.record(args.index).map_err(CtlError::Gap)?;
    let stdout = json(&describe::members(args.index, &record))?;
    Ok(Outcome { exit: Exit::Done, stdout, stderr: String::new() })
}

fn explain(args: &OneArgs) -> Result<Outcome, CtlError> {
    let log = open(&args.log)?;
    let record = log.record(args.index).map_err(CtlError::Gap)?;
    let replayed = Replayer::new(root(&args.log)?, Some(log.identity())).replay(&log, args.index, &record);
    let mut tally = Tally::default();
    tally.add(args.index, Some(&record), replayed.clone());
    let stdout = if args.log.json {
        json(&report::explained_json(args.index, &record, &replayed))?
    } else {
        let style = Style::of_stdout();
        let (index, record) = (args.index, &*record);
        let explained = Explained { index, record, archive: &log, replayed: &replayed, style };
        explained.text().into_bytes()
    };
    Ok(Outcome { exit: tally.exit(), stdout, stderr: String::new() })
}

fn search(args: &SearchArgs) -> Result<Outcome, CtlError> {
    let log = open(&args.log)?;
    let indices: Vec<u64> = match log.indices() {
        Indices::Range(range) => range.collect(),
        Indices::List(list) => list,
    };
    let progress = Progress::new("search", indices.len() as u64);
    let mut found = Vec::new();
    for index in indices {
        let record = log.record(index).map_err(CtlError::Gap)?;
        if args.filter.fits(&log, &record) {
            found.push((index, record));
        }
        progress.step();
    }
    drop(progress);
    let stdout = if args.log.json {
        let found: Vec<_> = found.iter().map(|(index, record)| describe::members(*index, record)).collect();
        json(&found)?
    } else {
        let lines = found.iter().map(|(index, record)| describe::line(*index, record) + "\n");
        lines.collect::<String>().into_bytes()
    };
    Ok(Outcome { exit: Exit::Done, stdout, stderr: format!("{} records\n", found.len()) })
}

fn export(args: &ExportArgs) -> Result<Outcome, CtlError> {
    let log = open(&args.log)?;
    if log.tree().is_bundle() {
        return Err(CtlError::ExportOfBundle);
    }
    let bundle = export::bundle(&log, &args.indices).map_err(CtlError::Gap)?;
    let bytes = bundle.encode();
    let written = fs::write(&args.output, &bytes);
    written.map_err(|source| CtlError::NotWritten { path: args.output.clone(), source })?;
    let (records, blobs) = (bundle.entries.len(), bundle.blobs.len());
    let text = format!("{records} records, {blobs} blobs, {} bytes\n", bytes.len());
    let members = serde_json::json!({ "records": records, "blobs": blobs, "bytes": bytes.len() });
    let stdout = if args.log.json { json(&members)? } else { text.into_bytes() };
    Ok(Outcome { exit: Exit::Done, stdout, stderr: String::new() })
}
