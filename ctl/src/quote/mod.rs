//! `kmsctl quote`: what a quote proves, as a verdict for programs and as an explanation for people.
//!
//! Both commands show the same [`Examination`], so they cannot disagree.

mod certificates;
mod collateral;
mod examination;
mod explain;
mod finding;
mod horizon;
mod inputs;
mod report;
mod summary;

use self::collateral::CollateralSource;
use self::examination::{Examination, Verdict};
use self::inputs::Inputs;
use self::report::VerdictReport;
use crate::cli::{EvidenceArgs, VerifyArgs};
use crate::error::CtlError;
use crate::outcome::{self, Exit, Outcome};
use crate::style::Style;

/// Accepts a quote or refuses it, in JSON or in short.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Outcome, CtlError> {
    let (examination, _) = examine(&args.evidence)?;
    let report = VerdictReport::of(&examination);
    let stdout =
        if args.json { outcome::json(&report)? } else { summary::text(&report, Style::of_stdout()).into() };
    Ok(Outcome { exit: exit(examination.verdict()), stdout, stderr: examination.remarks.concat() })
}

/// Explains a quote, line by line.
pub(crate) fn explain(args: &EvidenceArgs) -> Result<Outcome, CtlError> {
    let (mut examination, source) = examine(args)?;
    examination.look_ahead(source);
    let stdout = explain::text(&examination, Style::of_stdout()).into();
    Ok(Outcome { exit: exit(examination.verdict()), stdout, stderr: examination.remarks.concat() })
}

fn examine(args: &EvidenceArgs) -> Result<(Examination, CollateralSource), CtlError> {
    let (inputs, source) = (Inputs::load(args)?, CollateralSource::load(args)?);
    Ok((Examination::of(inputs, &source), source))
}

fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Accepted => Exit::Done,
        Verdict::Refused => Exit::Refused,
        Verdict::Undecided => Exit::Undecided,
    }
}
