//! `[limits]`: how much of everything. No queue is unbounded, no wait without an end; each default has its reason here.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::fault::FaultCode;
use super::reader::Section;
use super::value::Bounds;
use crate::node::{ReleaseLimits, WorkLimits};
use crate::serve::ServeLimits;
use crate::server::{ConnectionLimits, ConnectionTimes};

/// Open connections. Each holds two file descriptors and about 100 KiB: 400 MiB when all are in use.
pub const CONNECTIONS: Bounds = Bounds::new(4096, 1, 65_536);
/// Open connections from one IP address, or one /64 of IPv6. A whole data centre may stand behind one, an attacker too.
pub const CONNECTIONS_PER_ADDRESS: Bounds = Bounds::new(64, 1, 65_536);
/// TLS handshakes at once. Each costs about a millisecond of a core.
pub const HANDSHAKES: Bounds = Bounds::new(256, 1, 65_536);
/// TLS handshakes at once from one IP address, or one /64 of IPv6. Sixteen such networks are needed to take all places; a
/// site behind one address still makes three a second, were each to take its whole time.
pub const HANDSHAKES_PER_ADDRESS: Bounds = Bounds::new(16, 1, 65_536);
/// The time for a handshake, in milliseconds: several round trips of a bad link.
pub const HANDSHAKE_TIMEOUT_MS: Bounds = Bounds::new(5_000, 100, 60_000);
/// The time for a request, in milliseconds: two rounds at an RPC provider that are slow, and a fetch of collateral.
pub const REQUEST_TIMEOUT_MS: Bounds = Bounds::new(20_000, 1_000, 120_000);
/// How long a connection may be without a request in hand, in seconds. A guest that boots asks at once.
pub const IDLE_TIMEOUT_S: Bounds = Bounds::new(60, 5, 3_600);
/// The life of a connection, in seconds: nobody stays for ever, and a new certificate is soon seen by all.
pub const CONNECTION_MAX_AGE_S: Bounds = Bounds::new(600, 10, 86_400);
/// Quotes that are verified at once; 0 is one per core. A verification is arithmetic and waits for nothing.
pub const VERIFICATIONS: Bounds = Bounds::new(0, 0, 1_024);
/// Quotes that wait for each worker. At a millisecond each, the last one waits for a fraction of a second.
pub const VERIFICATION_QUEUE: Bounds = Bounds::new(16, 1, 4_096);
/// Releases to one app per minute. An app boots its instances again, it does not do so every second.
pub const RELEASES_PER_APP_PER_MINUTE: Bounds = Bounds::new(60, 1, 100_000);
/// Releases to one device per minute, for the same reason.
pub const RELEASES_PER_DEVICE_PER_MINUTE: Bounds = Bounds::new(60, 1, 100_000);
/// How long a challenge's nonce counts, in seconds. A stock guest makes a quote in one to a few.
pub const NONCE_LIFETIME_S: Bounds = Bounds::new(60, 5, 300);
/// Quotes of its own that the node makes on request, per minute. A stock guest kernel makes about one a second.
pub const FRESH_QUOTES_PER_MINUTE: Bounds = Bounds::new(30, 1, 600);

/// How much of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of connections and requests.
    pub serve: ServeLimits,
    /// Quotes that are verified at once; none is one per core.
    pub verifications: Option<NonZeroUsize>,
    /// Quotes that wait for each worker.
    pub verification_queue: usize,
    /// Of releases.
    pub releases: ReleaseLimits,
    /// How long a challenge's nonce counts.
    pub nonce_lifetime: Duration,
    /// Quotes of its own that the node makes on request, per minute.
    pub fresh_quotes_per_minute: NonZeroU32,
}

impl Limits {
    /// How much is verified at once, on a machine with so many cores.
    #[must_use]
    pub fn work(&self, cores: NonZeroUsize) -> WorkLimits {
        let running = self.verifications.unwrap_or(cores).get();
        WorkLimits { running, queued: running.saturating_mul(self.verification_queue.saturating_add(1)) }
    }

    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let serve = read_serve(section);
        let verifications = NonZeroUsize::new(section.count("verifications", VERIFICATIONS));
        let verification_queue = section.count("verification_queue", VERIFICATION_QUEUE);
        let releases = ReleaseLimits {
            per_app: per_minute(section, "releases_per_app_per_minute", RELEASES_PER_APP_PER_MINUTE),
            per_device: per_minute(section, "releases_per_device_per_minute", RELEASES_PER_DEVICE_PER_MINUTE),
        };
        let nonce_lifetime = section.seconds("nonce_lifetime_s", NONCE_LIFETIME_S);
        let fresh_quotes_per_minute = per_minute(section, "fresh_quotes_per_minute", FRESH_QUOTES_PER_MINUTE);
        let limits = Self {
            serve,
            verifications,
            verification_queue,
            releases,
            nonce_lifetime,
            fresh_quotes_per_minute,
        };
        limits.check(section);
        limits
    }

    /// Limits that another one would make meaningless.
    fn check(&self, section: &mut Section<'_>) {
        let ServeLimits { connections: count, times, request, connection_age: age } = self.serve;
        let rules = [
            (count.per_address <= count.connections, "connections_per_address", "connections"),
            (count.handshakes <= count.connections, "handshakes", "connections"),
            (count.handshakes_per_address <= count.handshakes, "handshakes_per_address", "handshakes"),
            (times.idle <= age, "idle_timeout_s", "connection_max_age_s"),
            (self.nonce_lifetime <= age, "nonce_lifetime_s", "connection_max_age_s"),
            (request <= age, "request_timeout_ms", "connection_max_age_s"),
            (times.handshake <= request, "handshake_timeout_ms", "request_timeout_ms"),
        ];
        for (_, key, other) in rules.into_iter().filter(|(holds, ..)| !holds) {
            section.fault(FaultCode::Conflict, key, "more", &format!("at most as much as {other}"));
        }
    }
}

fn read_serve(section: &mut Section<'_>) -> ServeLimits {
    let connections = ConnectionLimits {
        connections: section.count("connections", CONNECTIONS),
        per_address: section.count("connections_per_address", CONNECTIONS_PER_ADDRESS),
        handshakes: section.count("handshakes", HANDSHAKES),
        handshakes_per_address: section.count("handshakes_per_address", HANDSHAKES_PER_ADDRESS),
    };
    let handshake = section.millis("handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS);
    let idle = section.seconds("idle_timeout_s", IDLE_TIMEOUT_S);
    let request = section.millis("request_timeout_ms", REQUEST_TIMEOUT_MS);
    let connection_age = section.seconds("connection_max_age_s", CONNECTION_MAX_AGE_S);
    // From its age on, a connection takes no new requests; those in hand are over within their own time.
    let times = ConnectionTimes { handshake, idle, life: connection_age + request };
    ServeLimits { connections, times, request, connection_age }
}

/// The bounds begin at one and end below what fits.
fn per_minute(section: &mut Section<'_>, key: &str, bounds: Bounds) -> NonZeroU32 {
    let number = u32::try_from(section.number(key, bounds)).unwrap_or(u32::MAX);
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
