//! `[certificates]`: what the node's certificates may say, and for how long. All of it is in the policy digest.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::DnsName;

use super::fault::FaultCode;
use super::reader::Section;
use super::tree::Node;
use super::value::{Bounds, Sink, Value};

/// The zone of apps' certificates. `.internal` is reserved for private use: such a name is nobody's on the internet.
pub const DEFAULT_ZONE: &str = "kms.internal";
/// The longest zone, in bytes: an app's identity of 40 digits and a dot must fit before it.
pub const MAX_ZONE_BYTES: usize = 253 - 41;
/// The longest life of an app's leaf certificate, in seconds: a day. A leaf is never revoked, it runs out.
pub const LEAF_MAX_LIFETIME_S: Bounds = Bounds::new(24 * 60 * 60, 600, 30 * 24 * 60 * 60);
/// The life of an app's CA certificate, in seconds: 90 days. It is issued anew with every leaf.
pub const APP_CA_LIFETIME_S: Bounds = Bounds::new(90 * 24 * 60 * 60, 3_600, 10 * 366 * 24 * 60 * 60);
/// The life of the node's own certificate, in seconds: an hour, because the quote in it says what the node was then.
pub const NODE_LIFETIME_S: Bounds = Bounds::new(60 * 60, 600, 24 * 60 * 60);

/// A DNS suffix, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(String);

impl Zone {
    /// The suffix, without a dot at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for Zone {
    const EXPECTED: &'static str = "a DNS suffix of at least two labels in lower case, at most 212 bytes";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        sink.parsed(node, |text| {
            let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
            let labels = text.contains('.') && !text.ends_with('.');
            let sound = lower && labels && text.len() <= MAX_ZONE_BYTES;
            (sound && DnsName::try_from(text).is_ok()).then(|| Self(text.to_owned()))
        })
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// What certificates may say, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The suffix of the names in apps' certificates.
    pub zone: Zone,
    /// The longest life of an app's leaf certificate.
    pub leaf_max_lifetime: Duration,
    /// The life of an app's CA certificate.
    pub app_ca_lifetime: Duration,
    /// The life of the node's own certificate.
    pub node_lifetime: Duration,
}

impl Certificates {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let certificates = Self {
            zone: section.or("zone", Zone(DEFAULT_ZONE.to_owned())),
            leaf_max_lifetime: section.seconds("leaf_max_lifetime_s", LEAF_MAX_LIFETIME_S),
            app_ca_lifetime: section.seconds("app_ca_lifetime_s", APP_CA_LIFETIME_S),
            node_lifetime: section.seconds("node_lifetime_s", NODE_LIFETIME_S),
        };
        if certificates.leaf_max_lifetime > certificates.app_ca_lifetime {
            let expected = "at most as much as app_ca_lifetime_s: a leaf ends with its CA";
            section.fault(FaultCode::Conflict, "leaf_max_lifetime_s", "more", expected);
        }
        certificates
    }
}
