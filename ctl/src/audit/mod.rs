//! `kmsctl audit`: what outsiders do with a node's log: check it, decide again, look for records, take some along.
//!
//! Believes nothing but a pinned key, or a root of trust under which a quote vouches for the log's own key. Every record
//! that is shown has been shown to stand in the signed tree, and every blob has the bytes that it is named by. Nothing here
//! can make a node do anything. `docs/AUDIT.md` says what each command proves, and what not.

mod args;
mod checkpoint_file;
mod describe;
mod explain;
mod export;
mod finding;
mod log;
mod lookup;
mod mirror;
mod own_key;
mod progress;
mod receipt;
mod replay;
mod report;
mod search;
mod select;
mod source;
mod tally;
mod verify;
mod watch;
mod witness;
mod witnesses;

use kms_attestation::RootOfTrust;
use kms_ledger::replay::{Archive as _, Replayer};

pub(crate) use self::args::AuditCommand;
use self::args::{LogArgs, OneArgs};
use self::explain::Explained;
use self::log::Latest;
use self::log::Log;
pub(crate) use self::log::OpenError;
pub(crate) use self::mirror::MirrorError;
use self::replay::Pruned;
use self::tally::Tally;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{Exit, Outcome, json};
use crate::style::Style;

/// `kmsctl audit`.
pub(crate) fn run(command: &AuditCommand) -> Result<Outcome, CtlError> {
    match command {
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::Replay(args) => replay::run(args),
        AuditCommand::Show(args) => show(args),
        AuditCommand::Explain(args) => explain(args),
        AuditCommand::Search(args) => search::run(args),
        AuditCommand::Export(args) => export::run(args),
        AuditCommand::Receipt(args) => receipt::receipt(args),
        AuditCommand::Watch(args) => watch::watch(args),
        AuditCommand::Mirror(args) => mirror::mirror(args),
        AuditCommand::Witness(args) => witness::witness(args),
    }
}

fn root(args: &LogArgs) -> Result<RootOfTrust, CtlError> {
    let Some(path) = &args.root else { return Ok(RootOfTrust::intel()) };
    let der = input::read(path)?;
    RootOfTrust::configured(&der).map_err(|source| CtlError::Root { path: path.clone(), source })
}

/// A log whose records can be shown.
fn open(args: &LogArgs) -> Result<Log, CtlError> {
    let log = open_unchecked(args)?;
    log.check_edge()?;
    Ok(log)
}

/// A log of which nothing but signatures was looked at: its own, and those of the witnesses that are asked for.
fn open_unchecked(args: &LogArgs) -> Result<Log, CtlError> {
    let latest = if args.witnesses.keys.is_empty() { Latest::Published } else { Latest::Witnessed };
    let log = Log::open(args.source.open(&args.log)?, args.key.as_ref(), root(args)?, latest)?;
    if latest == Latest::Witnessed {
        witnesses::check(&log.signed, &args.witnesses)?;
    }
    Ok(log)
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
    let replayed = Pruned::of(&log)?.tell(args.index, Some(&record), replayed);
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
