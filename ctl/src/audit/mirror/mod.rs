//! `kmsctl audit mirror`: carries a log to a folder or an object store, and keeps carrying.
//!
//! Outside the node: whoever mirrors believes the source no more than any auditor does, and a node has neither credentials
//! nor an S3 client in its measured program. All is verified before it is put in place, the checkpoint is put last, and a
//! target that has another history, or more of it, is an alert. The copy is a log like any other: `verify`, `replay` and all
//! others read it. Threats: evidence that is lost with the node's disk; a copy that is believed and should not be.

mod args;
mod bucket;
mod code;
mod connector;
mod copy;
mod evidence;
mod folder;
mod target;
mod witnessed;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use kms_ledger::Source;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

pub(crate) use self::args::{HELP, MirrorArgs};
pub(crate) use self::code::MirrorError;
use self::code::{MirrorCode, TargetRefusal};
use self::copy::{Copied, Leftovers, Route};
use self::evidence::{Evidence, Known};
use self::target::Target;
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome};

/// A mirror, from round to round.
struct Mirror<'a> {
    args: &'a MirrorArgs,
    source: Source,
    target: Target,
    known: Known,
    leftovers: Leftovers,
    runtime: Runtime,
}

/// Copies once, or for as long as the process runs.
pub(super) fn mirror(args: &MirrorArgs) -> Result<Outcome, CtlError> {
    if PathBuf::from(&args.log.log).is_file() {
        let refusal = TargetRefusal::quoting(MirrorCode::SourceBundle, &args.log.log, "a URL or a folder");
        return Err(MirrorError::Target(refusal).into());
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CtlError::Runtime)?;
    let mut mirror = Mirror {
        args,
        source: args.log.source.files(&args.log.log)?,
        target: Target::open(&args.target, args.endpoint.as_deref()).map_err(MirrorError::Target)?,
        known: Known::new(),
        leftovers: Leftovers::MayBe,
        runtime,
    };
    let mut said = None;
    loop {
        match mirror.round() {
            // What changed nothing is said once.
            Ok(copied) if said == Some(copied.size) && copied.sent == 0 => {}
            Ok(copied) => {
                said = Some(copied.size);
                say(args, &copied)?;
            }
            // The source or the target may come back; what stands in the target stands.
            Err(error) if args.follow && is_outage(&error) => drop(writeln!(io::stderr(), "{error}")),
            Err(CtlError::Mirror(MirrorError::Conflict(conflict))) if args.log.json => {
                let alert = json!({ "alert": {
                    "refusal": conflict.refusal,
                    "source": conflict.source_note,
                    "target": conflict.target_note,
                } });
                print(&alert.to_string())?;
                return Err(MirrorError::Conflict(conflict).into());
            }
            Err(error) => return Err(error),
        }
        if !args.follow {
            return Ok(Outcome { exit: Exit::Done, stdout: Vec::new(), stderr: String::new() });
        }
        // Within the runtime, which also ends connections that the other side has ended.
        mirror.runtime.block_on(async { sleep(Duration::from_secs(args.every)).await });
    }
}

impl Mirror<'_> {
    fn round(&mut self) -> Result<Copied, CtlError> {
        let log = super::open_unchecked(&self.args.log)?;
        let route = Route {
            source: &self.source,
            target: &self.target,
            evidence: if self.args.no_evidence { Evidence::LeftOut } else { Evidence::Copied },
            known: &self.known,
            leftovers: self.leftovers,
        };
        let copied = self.runtime.block_on(route.copy(&log.signed, &log.key))?;
        self.leftovers = Leftovers::None;
        Ok(copied)
    }
}

/// Whether another try may do better.
fn is_outage(error: &CtlError) -> bool {
    matches!(error.outcome().exit, Exit::Undecided | Exit::NotWritten)
}

fn say(args: &MirrorArgs, copied: &Copied) -> Result<(), CtlError> {
    let Copied { from, size, sent, bytes, there, pruned } = copied;
    if args.log.json {
        return print(&json!({ "mirrored": copied }).to_string());
    }
    let new = size - from;
    let pruned = match pruned {
        0 => String::new(),
        some => format!("; {some} blobs are pruned at the source"),
    };
    print(&format!(
        "{size} records, {new} new: {sent} files of {bytes} bytes sent, {there} were there{pruned}"
    ))
}

/// A line goes out at once: someone may wait for it.
fn print(line: &str) -> Result<(), CtlError> {
    let mut stdout = io::stdout();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    written.map_err(|source| CtlError::NotWritten { path: PathBuf::from("-"), source })
}
