//! What is printed of a verification and of replays.

use std::fmt::Write as _;
use std::time::Duration;

use kms_ledger::Record;
use kms_ledger::note::LogKey;
use kms_ledger::replay::Replayed;
use serde_json::{Value, json};

use super::describe::printable;
use super::log::{KeyFrom, Log};
use super::tally::{Finding, Records, Tally};
use super::verify::{Found, State, Verified};
use crate::layout::hang;
use crate::style::{Style, Tone};

/// The width of a label.
const INDENT: usize = 22;
/// The most ranges of records that are told.
const MAX_RANGES: usize = 20;

fn line(label: &str, value: &str) -> String {
    hang(&format!("{label:INDENT$}"), INDENT, value)
}

/// Which log was looked at, and on whose word.
fn head(log: &Log) -> String {
    let checkpoint = log.signed.checkpoint();
    let whence = match log.key_from {
        KeyFrom::Pinned => "the key that you gave",
        KeyFrom::Quote => {
            "the key of its first record, for which a genuine quote vouches; pin it with --key from now on"
        }
    };
    [
        line("log", &printable(checkpoint.origin.as_str())),
        line("records", &checkpoint.size.to_string()),
        line("root", &checkpoint.root.to_string()),
        line("signed by", &format!("{}: {whence}", printable_key(&log.key))),
    ]
    .concat()
}

/// A key's name is whatever the log says; the rest of it is not.
fn printable_key(key: &LogKey) -> String {
    key.to_string().replacen(key.name().as_str(), &printable(key.name().as_str()), 1)
}

fn head_json(log: &Log) -> Value {
    let checkpoint = log.signed.checkpoint();
    json!({
        "origin": checkpoint.origin.as_str(),
        "size": checkpoint.size,
        "root": checkpoint.root,
        "key": log.key.to_string(),
        "key_from": match log.key_from {
            KeyFrom::Pinned => "pinned",
            KeyFrom::Quote => "quote",
        },
    })
}

/// A verification for people.
pub(super) fn verified_text(log: &Log, verified: &Verified, style: Style) -> String {
    let mut text = head(log);
    text += &line("records in the tree", &verified.records.to_string());
    text += &line("tiles", &verified.tiles.to_string());
    text += &line("evidence", &evidence(&verified.evidence));
    for finding in &verified.findings {
        let _ = write!(text, "\n{} {}", style.paint(Tone::Bad, "NO"), finding.text());
    }
    let verdict = match (verified.findings.is_empty(), verified.evidence.is_untold()) {
        (true, false) => style.paint(Tone::Good, "The log is as it was signed."),
        (true, true) => "The log is as it was signed; evidence is not here, and was not checked.".to_owned(),
        (false, _) => style.paint(Tone::Bad, "The log is NOT as it was signed."),
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}

/// What there is of the evidence, in words.
fn evidence(found: &Found) -> String {
    let Found { evidence, blobs, blobs_missing, blobs_pruned, pruned_before } = found;
    let removed = match blobs_pruned {
        0 => String::new(),
        _ => format!(
            "; {blobs_pruned} that only records before {pruned_before} name were removed, as the log says \
             (nobody signs that)"
        ),
    };
    let told = match evidence {
        State::Complete | State::Pruned => format!("{blobs} blobs, all as they are named"),
        State::Lost => format!("{blobs} blobs as they are named, and {blobs_missing} are gone"),
        State::Withheld => format!("none of {blobs_missing} blobs is here: this source withholds evidence"),
        State::Incomplete => format!("{blobs} blobs as they are named; the bundle lacks {blobs_missing}"),
        State::Unasked => "not looked at".to_owned(),
    };
    told + &removed
}

/// A verification as JSON.
pub(super) fn verified_json(log: &Log, verified: &Verified) -> Value {
    json!({ "log": head_json(log), "verified": verified.findings.is_empty(), "result": verified })
}

/// A record and what came of deciding it again, as JSON.
pub(super) fn explained_json(index: u64, record: &Record, replayed: &Replayed) -> Value {
    json!({ "index": index, "record": record, "replayed": replayed })
}

/// What came of deciding many records again.
pub(super) struct Replayings<'a> {
    pub(super) log: &'a Log,
    pub(super) tally: &'a Tally,
    pub(super) elapsed: Duration,
    pub(super) threads: std::num::NonZeroUsize,
    /// Before which record evidence may be missing, as the log says.
    pub(super) pruned: u64,
}

impl Replayings<'_> {
    /// Decisions in a second on one core.
    fn rate(&self) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = self.tally.decisions as f64 / self.elapsed.as_secs_f64() / self.threads.get() as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a figure for people")]
        let rate = rate as u64;
        rate
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "log": head_json(self.log),
            "tally": self.tally,
            "pruned_before": self.pruned,
            "seconds": self.elapsed.as_secs_f64(),
            "threads": self.threads,
            "decisions_per_second_per_core": self.rate(),
        })
    }

    /// For people.
    pub(super) fn text(&self, style: Style) -> String {
        let Tally { records, decisions, results, answers, gaps, untold, findings } = self.tally;
        let mut text = head(self.log);
        text += &line("decided again", &format!("{records} records, {decisions} of them decisions"));
        for (name, count) in results {
            text += &line(&format!("  {name}"), &count.to_string());
        }
        text += &line("answers", "");
        for (answer, count) in answers {
            text += &hang(&format!("{count:>INDENT$}  "), INDENT + 2, answer);
        }
        for (code, count) in gaps {
            let which = untold.get(code).map(ranges).unwrap_or_default();
            text += &line("cannot be told", &format!("{count} {code}: {which}"));
        }
        let rate = format!("{:.2} s, {} decisions/s per core", self.elapsed.as_secs_f64(), self.rate());
        text += &line("time", &rate);
        for finding in findings {
            text += &found(style, finding);
        }
        let wrong = results.get("different").copied().unwrap_or_default();
        let untold = results.get("not-replayable").copied().unwrap_or_default();
        let verdict = match (wrong, untold) {
            (0, 0) => style.paint(Tone::Good, "Every record is as it would be decided again."),
            (0, _) => {
                format!("{untold} records could not be decided again; the others are as they would be.")
            }
            _ => style.paint(Tone::Bad, &format!("{wrong} records are NOT as they would be decided again.")),
        };
        let _ = writeln!(text, "\n{verdict}");
        text
    }
}

/// Which records, in words; not all of them where they lie apart.
fn ranges(records: &Records) -> String {
    let ranges = records.ranges();
    let told = ranges
        .iter()
        .take(MAX_RANGES)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") });
    let told = told.collect::<Vec<_>>().join(", ");
    match ranges.len().saturating_sub(MAX_RANGES) {
        0 => format!("records {told}"),
        more => format!("records {told}, and {more} ranges more"),
    }
}

fn found(style: Style, Finding { index, replayed }: &Finding) -> String {
    let what = match replayed {
        Replayed::Different(difference) | Replayed::RulesChanged { difference, .. } => format!(
            "{}: recorded {}; decided again {}",
            difference.what,
            printable(&difference.recorded),
            printable(&difference.recomputed)
        ),
        Replayed::NotReplayable { why } => format!("{why}; {}", why.code.fix()),
        other => other.name().to_owned(),
    };
    let tone = if matches!(replayed, Replayed::Different(_)) { Tone::Bad } else { Tone::Heading };
    let head = style.paint(tone, &format!("record {index} {}", replayed.name()));
    format!("\n{head}\n{}", hang("    ", 4, &what))
}
