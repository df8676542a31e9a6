//! Several nodes, several attempts, with a pause in between.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use super::error::BootError;
use super::session::{BootRequest, Booted, request_keys};

/// How long to try, and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// When to give up. A CVM without keys is of no use, and whoever watches it wants to know.
    pub give_up_after: Duration,
    /// The pause after the first round of all nodes; it doubles with each.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_mins(5),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// Asks the nodes in turn until one gives the keys, one denies them for good, or time is up. `report` is told of each
/// attempt that failed.
pub async fn boot(
    request: &BootRequest,
    nodes: &[String],
    retry: Retry,
    mut report: impl FnMut(&str, &BootError),
) -> Result<Booted, BootError> {
    let start = Instant::now();
    let mut pause = retry.first_pause;
    loop {
        let mut last = None;
        for node in nodes {
            match request_keys(request, node, unix_now()).await {
                Ok(booted) => return Ok(booted),
                Err(error) => {
                    report(node, &error);
                    last = Some(error);
                }
            }
            // A denial that every honest node would repeat.
            if last.as_ref().is_some_and(|error| !error.is_transient()) {
                break;
            }
        }
        let error = last.unwrap_or(BootError::Guest { what: "the address of a node" });
        let asked = if let BootError::Denied(denial) = &error { denial.retry_after } else { None };
        let wait = asked.unwrap_or(pause).min(retry.longest_pause);
        if !error.is_transient() || start.elapsed() + wait > retry.give_up_after {
            return Err(error);
        }
        sleep(wait).await;
        pause = (pause * 2).min(retry.longest_pause);
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
