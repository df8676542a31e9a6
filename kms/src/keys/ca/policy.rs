//! What a certificate may say, as types: the zone, how long, for what.

use std::collections::BTreeSet;

use kms_attestation::ids::AppId;

use super::deny::{CertificateCode, CertificateDeny};
use super::name::DnsName;
use super::request::LeafRequest;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The shortest validity, in seconds: less is lost between two clocks.
const MIN_LIFETIME_SECS: u64 = 600;
/// The longest validity of anything but the root, in seconds: ten years.
const MAX_LIFETIME_SECS: u64 = 3650 * DAY;
/// How far a certificate is valid before it was issued, in seconds: for peers whose clocks are behind.
pub(super) const BACKDATING_SECS: u64 = 300;
/// The most names of one certificate.
pub(super) const MAX_NAMES: usize = 16;

/// How long a certificate is valid, from when it is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(u64);

impl Lifetime {
    /// From ten minutes to ten years, in seconds.
    pub fn from_secs(secs: u64) -> Result<Self, CertificateDeny> {
        if (MIN_LIFETIME_SECS..=MAX_LIFETIME_SECS).contains(&secs) {
            return Ok(Self(secs));
        }
        Err(lifetime_denied(secs, MAX_LIFETIME_SECS))
    }

    /// The seconds.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0
    }
}

/// What a leaf may be used for (RFC 5280, 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeafUsage {
    /// As a TLS server.
    Server,
    /// As a TLS client.
    Client,
}

/// What the certificates of apps may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePolicy {
    zone: DnsName,
    app_ca_lifetime: Lifetime,
    max_leaf_lifetime: Lifetime,
    leaf_usages: BTreeSet<LeafUsage>,
}

impl CertificatePolicy {
    /// A policy for apps whose names lie below `<app id>.<zone>`. An app's CA ends after a year, a leaf after at most 30
    /// days; leaves are for servers and clients.
    ///
    /// Refused when the zone is too long for an app's id to stand before it.
    pub fn new(zone: DnsName) -> Result<Self, CertificateDeny> {
        DnsName::of_app(&AppId::ZERO, &zone)?;
        Ok(Self {
            zone,
            app_ca_lifetime: Lifetime(365 * DAY),
            max_leaf_lifetime: Lifetime(30 * DAY),
            leaf_usages: BTreeSet::from([LeafUsage::Server, LeafUsage::Client]),
        })
    }

    /// With another validity of app CAs.
    #[must_use]
    pub fn with_app_ca_lifetime(self, app_ca_lifetime: Lifetime) -> Self {
        Self { app_ca_lifetime, ..self }
    }

    /// With another longest validity of leaves.
    #[must_use]
    pub fn with_max_leaf_lifetime(self, max_leaf_lifetime: Lifetime) -> Self {
        Self { max_leaf_lifetime, ..self }
    }

    /// With other usages of leaves.
    #[must_use]
    pub fn with_leaf_usages(self, leaf_usages: BTreeSet<LeafUsage>) -> Self {
        Self { leaf_usages, ..self }
    }

    /// The zone of all apps.
    #[must_use]
    pub fn zone(&self) -> &DnsName {
        &self.zone
    }

    /// The longest validity of a leaf: what a request gets that names none.
    #[must_use]
    pub fn max_leaf_lifetime(&self) -> Lifetime {
        self.max_leaf_lifetime
    }

    pub(in crate::keys) fn app_ca_lifetime(&self) -> Lifetime {
        self.app_ca_lifetime
    }

    pub(super) fn check_node_names(&self, names: &BTreeSet<DnsName>) -> Result<(), CertificateDeny> {
        check_count(names)?;
        match names.iter().find(|name| name.is_within(&self.zone)) {
            Some(name) => {
                let expected = format_args!("a name outside {}", self.zone);
                Err(CertificateDeny::new(CertificateCode::NameReserved, name, expected))
            }
            None => Ok(()),
        }
    }

    /// Refuses what an app's CA would not issue: names that are not the app's, usages and lifetimes beyond this policy.
    pub fn check_leaf(&self, app_id: &AppId, request: &LeafRequest) -> Result<(), CertificateDeny> {
        check_names(&request.names, &DnsName::of_app(app_id, &self.zone)?)?;
        self.check_usages(&request.usages)?;
        self.check_lifetime(request.lifetime)
    }

    fn check_usages(&self, usages: &BTreeSet<LeafUsage>) -> Result<(), CertificateDeny> {
        if usages.is_empty() || !usages.is_subset(&self.leaf_usages) {
            let (found, expected) = (format_args!("{usages:?}"), &self.leaf_usages);
            return Err(CertificateDeny::new(
                CertificateCode::Usage,
                found,
                format_args!("some of {expected:?}"),
            ));
        }
        Ok(())
    }

    pub(super) fn check_lifetime(&self, lifetime: Lifetime) -> Result<(), CertificateDeny> {
        if lifetime > self.max_leaf_lifetime {
            return Err(lifetime_denied(lifetime.secs(), self.max_leaf_lifetime.secs()));
        }
        Ok(())
    }
}

/// Refuses names that are not `parent` or below it.
fn check_names(names: &BTreeSet<DnsName>, parent: &DnsName) -> Result<(), CertificateDeny> {
    check_count(names)?;
    match names.iter().find(|name| !name.is_within(parent)) {
        Some(name) => {
            let expected = format_args!("{parent} or names below it");
            Err(CertificateDeny::new(CertificateCode::NameOutside, name, expected))
        }
        None => Ok(()),
    }
}

fn check_count(names: &BTreeSet<DnsName>) -> Result<(), CertificateDeny> {
    if (1..=MAX_NAMES).contains(&names.len()) {
        return Ok(());
    }
    let (found, expected) = (names.len(), format_args!("1 to {MAX_NAMES}"));
    Err(CertificateDeny::new(CertificateCode::NameCount, found, expected))
}

fn lifetime_denied(secs: u64, longest: u64) -> CertificateDeny {
    let expected = format_args!("{MIN_LIFETIME_SECS} to {longest} s");
    CertificateDeny::new(CertificateCode::Lifetime, format_args!("{secs} s"), expected)
}
