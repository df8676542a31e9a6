//! What the node counts and measures, for whoever watches it: `GET /metrics` on a listener of its own.
//!
//! ```text
//! requests, records, connections ──events──▶ Metrics ─┐
//! node, gate, log ───────────────asked when read──▶ NodeState ─┴─▶ Registry ─▶ page
//! ```
//!
//! Counts always; the page exists only where an address is configured. Each label takes its values from a list in this
//! program, or from the configuration: no caller can invent one. Holds no secret, no app's id and no address of a caller.
//! docs/OPERATING.md names every metric, and a test compares the two. Threats: a node that fails and nobody sees it; a
//! caller that fills the memory with names; a page that tells a stranger who boots here.

mod page;
mod recorder;
mod state;

use std::time::Duration;

use kms_attestation::refusal::{DenyClass, StableCode as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub(crate) use page::serve;
pub(crate) use recorder::Measured;
pub(crate) use state::NodeState;

use crate::refusal::Code;
use crate::server::{Crowded, HandshakeFault};
use kms_ledger::record::Subject;

/// What every name begins with.
const PREFIX: &str = "onchain_kms";
/// From half a millisecond, a good disk's sync, doubling to 16 s, which is about the longest request.
const BUCKETS: (f64, f64, u16) = (0.0005, 2.0, 16);

/// Labels with their values.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What has happened since the start. Clones of its parts share their counts.
pub(crate) struct Metrics {
    requests: Family<Labels<2>, Counter>,
    request_seconds: Family<Labels<1>, Histogram>,
    releases: Family<Labels<1>, Counter>,
    denials: Family<Labels<2>, Counter>,
    refusals_unstored: Counter,
    append_seconds: Histogram,
    append_failures: Counter,
    connections_refused: Family<Labels<1>, Counter>,
    handshake_failures: Family<Labels<1>, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
            releases: Family::default(),
            denials: Family::default(),
            refusals_unstored: Counter::default(),
            append_seconds: histogram(),
            append_failures: Counter::default(),
            connections_refused: Family::default(),
            handshake_failures: Family::default(),
        };
        // What is rare is there from the start, as a zero: else its first time is no increase.
        for subject in [Subject::AppKeys, Subject::AppCertificate] {
            drop(metrics.releases.get_or_create(&released(subject)));
        }
        for crowded in Crowded::ALL {
            drop(metrics.connections_refused.get_or_create(&limit(crowded)));
        }
        for fault in HandshakeFault::NAMES {
            drop(metrics.handshake_failures.get_or_create(&[("reason", fault)]));
        }
        metrics
    }
}

impl Metrics {
    /// A request of that method has come to its end.
    pub(crate) fn answered(&self, method: &'static str, code: &'static str, took: Duration) {
        self.requests.get_or_create(&[("method", method), ("code", code)]).inc();
        self.request_seconds.get_or_create(&[("method", method)]).observe(took.as_secs_f64());
    }

    /// A connection found no room.
    pub(crate) fn connection_refused(&self, crowded: Crowded) {
        self.connections_refused.get_or_create(&limit(crowded)).inc();
    }

    /// A handshake came to nothing.
    pub(crate) fn handshake_failed(&self, fault: &HandshakeFault) {
        self.handshake_failures.get_or_create(&[("reason", fault.name())]).inc();
    }

    /// A release is on record.
    pub(crate) fn release_recorded(&self, subject: Subject) {
        self.releases.get_or_create(&released(subject)).inc();
    }

    /// A denial is on record.
    pub(crate) fn denial_recorded(&self, code: &'static str) {
        let class = Code::named(code).map_or("unknown", |code| class(code.class()));
        self.denials.get_or_create(&[("class", class), ("code", code)]).inc();
    }

    /// A refusal is counted in the log's next record of counts, and has none of its own.
    pub(crate) fn refusal_unstored(&self) {
        self.refusals_unstored.inc();
    }

    /// An append has come back.
    fn appended(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    /// A record is not on disk.
    fn append_failed(&self) {
        self.append_failures.inc();
    }

    /// Everything that is served: these counts, and what the node says when it is asked.
    pub(crate) fn registry(&self, state: NodeState) -> Registry {
        let mut all = Registry::with_prefix(PREFIX);
        all.register("requests", "Requests that came to their end", self.requests.clone());
        all.register("request_seconds", "How long requests took", self.request_seconds.clone());
        all.register("releases", "Releases on record", self.releases.clone());
        all.register("denials", "Denials on record", self.denials.clone());
        let unstored = self.refusals_unstored.clone();
        all.register("refusals_unstored", "Refusals without a record of their own", unstored);
        all.register("record_append_seconds", "How long appends took", self.append_seconds.clone());
        all.register("record_failures", "Records that did not get on disk", self.append_failures.clone());
        all.register(
            "connections_refused",
            "Connections that found no room, by the limit",
            self.connections_refused.clone(),
        );
        all.register(
            "handshake_failures",
            "TLS handshakes that came to nothing",
            self.handshake_failures.clone(),
        );
        all.register_collector(Box::new(state));
        all
    }

    /// How many requests of that method ended so.
    #[cfg(test)]
    pub(crate) fn requests_answered(&self, method: &'static str, code: &'static str) -> u64 {
        self.requests.get_or_create(&[("method", method), ("code", code)]).get()
    }
}

fn histogram() -> Histogram {
    let (start, factor, length) = BUCKETS;
    Histogram::new(exponential_buckets(start, factor, length))
}

const fn limit(crowded: Crowded) -> Labels<1> {
    [("limit", crowded.key())]
}

const fn released(subject: Subject) -> Labels<1> {
    [("subject", subject.as_str())]
}

const fn class(class: DenyClass) -> &'static str {
    match class {
        DenyClass::Evidence => "evidence",
        DenyClass::Platform => "platform",
        DenyClass::Collateral => "collateral",
        DenyClass::Guest => "guest",
        DenyClass::Contract => "contract",
        DenyClass::Head => "head",
        DenyClass::Proof => "proof",
        DenyClass::Provider => "provider",
        DenyClass::Request => "request",
        DenyClass::Node => "node",
    }
}
