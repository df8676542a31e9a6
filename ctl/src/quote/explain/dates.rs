//! When the quote will stop being acceptable, and what moves that date.

use kms_attestation::time::rfc3339;

use crate::layout::hang;
use crate::quote::examination::{Examination, Verdict};
use crate::quote::horizon::{Limit, Renewal, limits};

const UNKNOWN: &str = "Not known: without a well-formed quote and usable collateral there are no dates.";
const INTEL: &str = "Intel may revoke the platform or demand more of it on any day; newer collateral tells.";

/// The section's text.
pub(super) fn text(examination: &Examination) -> String {
    let limits = limits(examination);
    let Some(first) = limits.first() else { return paragraph(UNKNOWN) };
    let at = examination.at;
    let lead = match examination.verdict() {
        Verdict::Accepted => {
            let (date, distance) = (rfc3339(first.until), first.distance(at));
            format!("Acceptable until {date}, {distance}: then {}.", first.what)
        }
        Verdict::Refused | Verdict::Undecided => {
            "Not acceptable now. When that is mended, these dates still end it.".to_owned()
        }
    };
    [
        paragraph(&lead),
        group("New collateral moves:", &limits, Renewal::Collateral, at),
        group("New certificates move:", &limits, Renewal::Certificate, at),
        forecast(examination),
    ]
    .concat()
}

/// What is known of what Intel will demand; without it, what may come at any time.
fn forecast(examination: &Examination) -> String {
    match &examination.forecast {
        Some(Ok(forecast)) => paragraph(&format!("By what Intel has published, {forecast}.")),
        _ => paragraph(INTEL),
    }
}

fn paragraph(text: &str) -> String {
    hang("   ", 3, text)
}

fn group(title: &str, limits: &[Limit], renewal: Renewal, at: u64) -> String {
    let limits = limits.iter().filter(|limit| limit.renewal == renewal);
    limits.fold(paragraph(title), |text, limit| text + &date(limit, at))
}

fn date(limit: &Limit, at: u64) -> String {
    let date = rfc3339(limit.until);
    let day = date.split('T').next().unwrap_or(&date);
    hang(&format!("   {day:<13}"), 16, &format!("{} ({})", limit.what, limit.distance(at)))
}
