//! The short text of `quote verify`: the verdict, its reason, and the facts that an operator looks for.

use std::fmt::Display;

use super::examination::Verdict;
use super::finding::Finding;
use super::report::VerdictReport;
use crate::layout::{hang, printable};
use crate::style::{Style, Tone};

/// The width of a label with the space around it: 64 characters, a SHA-256 in hexadecimal, fit beside it.
const INDENT: usize = 16;

/// The report in short.
pub(crate) fn text(report: &VerdictReport, style: Style) -> String {
    let verdict = headline(report.verdict, style);
    let reason: String = report.deny.iter().map(reason).collect();
    format!("{verdict}\n{reason}{}", facts(report))
}

/// The verdict in a word.
pub(crate) fn headline(verdict: Verdict, style: Style) -> String {
    match verdict {
        Verdict::Accepted => style.paint(Tone::Good, "ACCEPTED"),
        Verdict::Refused => style.paint(Tone::Bad, "REFUSED"),
        Verdict::Undecided => style.paint(Tone::Bad, "UNDECIDED"),
    }
}

/// What is wrong, and what would fix it.
fn reason(finding: &Finding) -> String {
    let rows = [
        ("code", finding.code),
        ("", finding.message),
        ("found", &finding.found),
        ("expected", &finding.expected),
    ];
    let rows = rows.into_iter().chain([("fix", finding.fix)]);
    rows.map(|(label, text)| line(label, text)).collect()
}

fn facts(report: &VerdictReport) -> String {
    let genuine = if report.authentic { "yes" } else { "not proven: the facts below are only claimed" };
    let identity = report.identity.as_ref();
    let advisories = report.advisory_ids.as_deref().map(advisories);
    let collateral = report.collateral.as_ref();
    let collateral = collateral.map(|dates| format!("issued {}, expires {}", dates.issued, dates.expires));
    [
        line("judged at", &report.at),
        line("genuine", genuine),
        fact("tcb status", report.tcb_status.as_ref()),
        fact("advisories", advisories.as_ref()),
        fact("fmspc", report.fmspc),
        fact("device id", report.device_id),
        fact("collateral", collateral.as_ref()),
        fact("mrtd", report.mrtd),
        fact("app id", identity.map(|identity| identity.app_id)),
        fact("compose hash", identity.map(|identity| identity.compose_hash)),
    ]
    .concat()
}

/// Advisories by name. They are Intel's text, but a PCCS of another root may be anybody's.
pub(crate) fn advisories(ids: &[String]) -> String {
    if ids.is_empty() {
        "none".to_owned()
    } else {
        ids.iter().map(|id| printable(id)).collect::<Vec<_>>().join(", ")
    }
}

/// A line for what is known, nothing for what is not.
fn fact(label: &str, value: Option<impl Display>) -> String {
    value.map(|value| line(label, &value.to_string())).unwrap_or_default()
}

fn line(label: &str, text: &str) -> String {
    hang(&format!("  {label:<14}"), INDENT, text)
}
