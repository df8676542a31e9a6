//! `kmsctl quote explain`: an examination for people, line by line, in 80 columns.
//!
//! Every line carries a mark, so that what is proven, what is wrong and what is only claimed cannot be mistaken for
//! one another, on paper and without colour too.

mod dates;
mod proof;
mod unchecked;
mod values;

use kms_attestation::time::rfc3339;

use super::examination::{Examination, Verdict};
use super::finding::Finding;
use super::summary;
use crate::layout::hang;
use crate::row::{Mark, row};
use crate::style::{Style, Tone};

/// The whole explanation.
pub(crate) fn text(examination: &Examination, style: Style) -> String {
    [
        headline(examination, style),
        section(style, proof_title(examination), &proof::text(examination, style)),
        section(style, "What is wrong, and what would fix it", &faults(examination, style)),
        section(style, "How long it holds", &dates::text(examination)),
        section(style, "What was not checked", &unchecked::text(examination)),
    ]
    .concat()
}

fn headline(examination: &Examination, style: Style) -> String {
    let at = rfc3339(examination.at);
    let verdict = examination.verdict();
    let why = match verdict {
        Verdict::Accepted => "genuine, and in a state that policy accepts",
        Verdict::Refused if examination.authentic.is_some() => "the quote is genuine, but not acceptable",
        Verdict::Refused => "the quote is not proven to be genuine",
        Verdict::Undecided => "there is no collateral to judge the quote by",
    };
    format!("{} at {at}: {why}.\n", summary::headline(verdict, style))
}

fn proof_title(examination: &Examination) -> &'static str {
    if examination.authentic.is_some() { "What the quote proves" } else { "What the quote claims" }
}

fn section(style: Style, title: &str, body: &str) -> String {
    format!("\n{}\n{body}", style.paint(Tone::Heading, title))
}

/// Every fault that was found. Before a quote is known to be genuine, the first fault ends the examination.
fn faults(examination: &Examination, style: Style) -> String {
    if examination.findings.is_empty() {
        return hang("   ", 3, "Nothing.");
    }
    let mut text: String = examination.findings.iter().map(|finding| fault(finding, style)).collect();
    if examination.authentic.is_none() {
        text +=
            &hang("   ", 3, "The examination ends at a fault like this: others may show once it is fixed.");
    }
    text
}

fn fault(finding: &Finding, style: Style) -> String {
    let rows = [("found", &*finding.found), ("expected", &finding.expected), ("fix", finding.fix)];
    let head = row(style, Mark::Wrong, "", &format!("{}: {}", finding.code, finding.message));
    rows.into_iter().fold(head, |text, (label, value)| text + &hang(&format!("   {label:<13}"), 16, value))
}
