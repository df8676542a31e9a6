//! What an accepted quote does not mean: what was not checked, why, and who can check it.

use crate::layout::hang;
use crate::quote::examination::Examination;

const ALWAYS: [&str; 4] = [
    "Freshness: whether the report data is what you expect. It is what binds the quote to a session or a key; \
     a quote that is not bound may have been made for someone else, at any time.",
    "The OS image: whether MRTD and RTMR0 to RTMR2 are those of an image that you trust. Its manifest tells.",
    "The owner's consent: whether the app's contract allows this code on this device. The chain tells.",
    "Older collateral: whether newer has been served before. Only a node that keeps what it saw can tell.",
];

const REVOCATION: &str = "The future beyond what Intel has published: it may revoke a platform on any day.";

/// The section's text.
pub(super) fn text(examination: &Examination) -> String {
    let items = [identity(examination), grace(examination), Some(forecast(examination))];
    let items = items.into_iter().flatten().chain(ALWAYS.map(str::to_owned));
    items.map(|item| hang(" - ", 3, &item)).collect()
}

fn identity(examination: &Examination) -> Option<String> {
    let why = match (examination.has_event_log, &examination.authentic) {
        (true, Some(_)) => return None,
        (false, _) => "no event log was given (--event-log).",
        (true, None) => "the event log proves nothing beside a quote that is not proven.",
    };
    Some(format!("Who asks: which app, code and instance; {why}"))
}

fn forecast(examination: &Examination) -> String {
    let why = match &examination.forecast {
        Some(Ok(_)) => return REVOCATION.to_owned(),
        Some(Err(error)) => format!("none of the services could tell: {}.", error.found()),
        None if examination.collateral.is_none() => "not asked, for want of collateral.".to_owned(),
        None => "only services can tell (--pccs).".to_owned(),
    };
    format!("What Intel will demand next of the platform: {why}")
}

fn grace(examination: &Examination) -> Option<String> {
    let seconds = examination.policy.grace_secs;
    (seconds > 0).then(|| {
        format!(
            "Grace: policy gives {seconds} s to a platform that falls out of date, counted from when a node first \
             saw that happen. This takes the history of a node."
        )
    })
}
