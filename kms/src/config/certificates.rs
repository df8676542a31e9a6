//! `[certificates]`: what certificates may say, and for how long. All of it is in the policy digest, but for how often the
//! node renews its own: within the life of a certificate, that changes nothing of what is accepted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fault::FaultCode;
use super::reader::Section;
use super::value::Bounds;
use crate::keys::{CertificateDeny, CertificatePolicy, DnsName, Lifetime};
use crate::serve::CertificateTerms;

/// The zone of apps' certificates. `.internal` is reserved for private use: such a name is nobody's on the internet.
pub const DEFAULT_ZONE: &str = "kms.internal";
/// The longest life of an app's leaf certificate, in seconds: a day. A leaf is never revoked, it runs out.
pub const LEAF_MAX_LIFETIME_S: Bounds = Bounds::new(24 * 60 * 60, 600, 30 * 24 * 60 * 60);
/// The life of an app's CA certificate, in seconds: 90 days. It is issued anew whenever keys are released.
pub const APP_CA_LIFETIME_S: Bounds = Bounds::new(90 * 24 * 60 * 60, 3_600, 3_650 * 24 * 60 * 60);
/// The life of the node's own certificate, in seconds: an hour, because the quote in it says what the node was then.
pub const NODE_LIFETIME_S: Bounds = Bounds::new(60 * 60, 600, 24 * 60 * 60);
/// The least time between two renewals of the node's own certificate, in seconds: a stock guest kernel makes about one
/// quote a second.
pub const MIN_NODE_RENEWAL_S: u64 = 5;

/// What certificates may say, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The suffix of the names in apps' certificates.
    pub zone: DnsName,
    /// The longest life of an app's leaf certificate.
    pub leaf_max_lifetime: Lifetime,
    /// The life of an app's CA certificate.
    pub app_ca_lifetime: Lifetime,
    /// The life of the node's own certificate.
    pub node_lifetime: Lifetime,
    /// How often the node's own certificate is issued anew.
    pub node_renewal: Duration,
}

impl Certificates {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let default = DnsName::parse(DEFAULT_ZONE).ok()?;
        let zone = section.or("zone", default);
        let leaf_max_lifetime = lifetime(section, "leaf_max_lifetime_s", LEAF_MAX_LIFETIME_S)?;
        let app_ca_lifetime = lifetime(section, "app_ca_lifetime_s", APP_CA_LIFETIME_S)?;
        let node_lifetime = lifetime(section, "node_lifetime_s", NODE_LIFETIME_S)?;
        // At half of its life at the latest: a renewal that fails can be tried again.
        let half = node_lifetime.secs() / 2;
        let node_renewal = section.seconds("node_renewal_s", Bounds::new(half, MIN_NODE_RENEWAL_S, half));
        let certificates = Self { zone, leaf_max_lifetime, app_ca_lifetime, node_lifetime, node_renewal };
        certificates.check(section);
        Some(certificates)
    }

    fn check(&self, section: &mut Section<'_>) {
        if self.leaf_max_lifetime > self.app_ca_lifetime {
            let expected = "at most as much as app_ca_lifetime_s: a leaf ends with its CA";
            section.fault(FaultCode::Conflict, "leaf_max_lifetime_s", "more", expected);
        }
        if self.node_lifetime > self.leaf_max_lifetime {
            let expected = "at most as much as leaf_max_lifetime_s: a node's certificate is a leaf too";
            section.fault(FaultCode::Conflict, "node_lifetime_s", "more", expected);
        }
        // A single label would be a whole top-level domain.
        if !self.zone.as_str().contains('.') || self.policy().is_err() {
            let expected = "at least two labels, and short enough for an app's id before it";
            section.fault(FaultCode::InvalidValue, "zone", format!("\"{}\"", self.zone), expected);
        }
    }

    /// The policy for apps. Cannot fail where the configuration was loaded: it was checked then.
    pub fn policy(&self) -> Result<CertificatePolicy, CertificateDeny> {
        let policy = CertificatePolicy::new(self.zone.clone())?;
        Ok(policy.with_app_ca_lifetime(self.app_ca_lifetime).with_max_leaf_lifetime(self.leaf_max_lifetime))
    }

    /// The terms of the node's own certificate.
    #[must_use]
    pub fn terms(&self, names: BTreeSet<DnsName>) -> CertificateTerms {
        CertificateTerms { names, lifetime: self.node_lifetime, renew_every: self.node_renewal }
    }
}

/// The bounds lie within those of the type.
fn lifetime(section: &mut Section<'_>, key: &str, bounds: Bounds) -> Option<Lifetime> {
    Lifetime::from_secs(section.number(key, bounds)).ok()
}
