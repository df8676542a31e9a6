//! `kmsctl audit replay`: records decided again, all of them or some, and which could not be.
//!
//! A record whose evidence was removed by retention is told apart from one whose evidence is gone without a word. Neither is
//! ever right: exit code 3.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use kms_ledger::Record;
use kms_ledger::record::Event;
use kms_ledger::replay::{Archive as _, Indices, ReplayCode, Replayed, Replayer, replay_all};

use super::args::ReplayArgs;
use super::log::Log;
use super::progress::Progress;
use super::report::Replayings;
use super::tally::Tally;
use crate::error::CtlError;
use crate::outcome::{Outcome, json};
use crate::style::Style;

/// `kmsctl audit replay`.
pub(super) fn run(args: &ReplayArgs) -> Result<Outcome, CtlError> {
    let log = super::open(&args.log)?;
    let pruned = Pruned::of(&log)?;
    let judge = Replayer::new(super::root(&args.log)?, Some(log.identity()));
    let indices = chosen(&log, &args.indices);
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = args.threads.unwrap_or(cores);
    let (progress, tally) = (Progress::new("replay", indices.len()), Mutex::new(Tally::default()));
    let started = Instant::now();
    replay_all(&judge, &log, &indices, threads, &|index, replayed| {
        let record = log.record(index).ok();
        let replayed = pruned.tell(index, record.as_deref(), replayed);
        tally.lock().unwrap_or_else(PoisonError::into_inner).add(index, record.as_deref(), replayed);
        progress.step();
    });
    let elapsed = started.elapsed();
    drop(progress);
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner).sorted();
    let threads = threads.min(cores);
    let report = Replayings { log: &log, tally: &tally, elapsed, threads, pruned: pruned.before };
    let stdout =
        if args.log.json { json(&report.json())? } else { report.text(Style::of_stdout()).into_bytes() };
    Ok(Outcome { exit: tally.exit(), stdout, stderr: String::new() })
}

/// One record, `17`, or some: `17..30` without the last, `17..` to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    first: u64,
    end: Option<u64>,
}

/// Text that names no records.
#[derive(Debug, thiserror::Error)]
#[error("expected an index such as 17, or a range such as 17..30 or 17..")]
pub(crate) struct ChosenError;

impl Chosen {
    fn is_one(&self) -> bool {
        self.end == self.first.checked_add(1)
    }

    /// Its indices in a log of that size; one that was asked for by itself, even if there is none.
    fn below(&self, size: u64) -> Range<u64> {
        let end = self.end.unwrap_or(size);
        self.first..if self.is_one() { end } else { end.min(size) }
    }
}

impl FromStr for Chosen {
    type Err = ChosenError;

    fn from_str(text: &str) -> Result<Self, ChosenError> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| ChosenError);
        let Some((first, end)) = text.split_once("..") else {
            let first = number(text)?;
            return Ok(Self { first, end: Some(first.checked_add(1).ok_or(ChosenError)?) });
        };
        let end = if end.is_empty() { None } else { Some(number(end)?) };
        Ok(Self { first: number(first)?, end }).and_then(|it: Self| {
            if it.end.is_none_or(|end| it.first < end) { Ok(it) } else { Err(ChosenError) }
        })
    }
}

/// All records, one range of them, or a list.
fn chosen(log: &Log, wanted: &[Chosen]) -> Indices {
    let all = log.indices();
    match (wanted, &all) {
        ([], _) => all,
        ([one], Indices::Range(_)) => Indices::Range(one.below(log.size())),
        (_, Indices::Range(_)) => Indices::List(wanted.iter().flat_map(|it| it.below(log.size())).collect()),
        (_, Indices::List(list)) => {
            let fits = |it: &Chosen, index: u64| index >= it.first && it.end.is_none_or(|end| index < end);
            // What was asked for by its index and is not there is said to be missing.
            let single = wanted.iter().filter(|it| it.is_one()).map(|it| it.first);
            let ranged = list.iter().copied().filter(|index| wanted.iter().any(|it| fits(it, *index)));
            let mut indices: Vec<u64> = ranged.chain(single).collect();
            indices.sort_unstable();
            indices.dedup();
            Indices::List(indices)
        }
    }
}

/// What the log says of evidence that was removed, and whose evidence that is.
pub(super) struct Pruned<'a> {
    log: &'a Log,
    before: u64,
}

impl<'a> Pruned<'a> {
    pub(super) fn of(log: &'a Log) -> Result<Self, CtlError> {
        Ok(Self { log, before: log.pruned()?.min(log.size()) })
    }

    /// The same result, with `replay-blob-pruned` where the blob that is missing is one that was removed with a word.
    pub(super) fn tell(&self, index: u64, record: Option<&Record>, replayed: Replayed) -> Replayed {
        match (replayed, record) {
            (Replayed::NotReplayable { mut why }, Some(record))
                if why.code == ReplayCode::BlobMissing && self.covers(index, record) =>
            {
                why.code = ReplayCode::BlobPruned;
                why.expected =
                    format!("evidence, which the log says was removed before record {}", self.before);
                Replayed::NotReplayable { why }
            }
            (replayed, _) => replayed,
        }
    }

    /// Whether a blob that this record lacks is old: its own, or one of the release that it follows from.
    fn covers(&self, index: u64, record: &Record) -> bool {
        if index < self.before {
            return true;
        }
        let Event::Decision(decision) = &record.event else { return false };
        decision.release.is_some_and(|release| release < self.before)
            && record.blobs().iter().all(|id| self.log.blob(id).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen__should_read_an_index_and_ranges() {
        let read = |text: &str| text.parse::<Chosen>().map(|it| (it.first, it.end)).ok();
        assert_eq!(read("17"), Some((17, Some(18))));
        assert_eq!(read("17..30"), Some((17, Some(30))));
        assert_eq!(read("17.."), Some((17, None)));
        for bad in ["", "..", "..3", "a", "3..3", "4..3", "1...2", "-1", "18446744073709551615"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
