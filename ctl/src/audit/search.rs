//! `kmsctl audit search`: which records fit, of all that stand in the tree.
//!
//! None is left out in silence: where who asked is sealed and the sealed blob is not there, that is counted and said.

use kms_ledger::replay::{Archive as _, Indices, ReplayCode};

use super::args::SearchArgs;
use super::describe;
use super::progress::Progress;
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome, json};

/// `kmsctl audit search`.
pub(super) fn run(args: &SearchArgs) -> Result<Outcome, CtlError> {
    let log = super::open(&args.log)?;
    let indices = log.indices();
    let progress = Progress::new("search", indices.len());
    let (mut found, mut sealed) = (Vec::new(), 0_u64);
    for index in each(indices) {
        let record = log.record(index).map_err(CtlError::Gap)?;
        match args.filter.fits(&log, &record) {
            Ok(true) => found.push((index, record)),
            Ok(false) => {}
            Err(gap) if gap.code == ReplayCode::BlobMissing => sealed += 1,
            Err(gap) => return Err(CtlError::Gap(gap)),
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
    let mut stderr = format!("{} records\n", found.len());
    if sealed > 0 {
        stderr += &sealed.to_string();
        stderr += " more may fit: who asked is sealed, and the sealed blobs are not here\n";
    }
    Ok(Outcome { exit: if sealed > 0 { Exit::Undecided } else { Exit::Done }, stdout, stderr })
}

/// One index after the other: a log may have more than fit into memory.
fn each(indices: Indices) -> Box<dyn Iterator<Item = u64>> {
    match indices {
        Indices::Range(range) => Box::new(range),
        Indices::List(list) => Box::new(list.into_iter()),
    }
}
