//! What a certificate may say, as types: the zone, how long, for what.

use std::collections::BTreeSet;

use kms_attestation::ids::AppId;

use super::name::DnsName;
use crate::keys::error::KeyError;

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
    pub fn from_secs(secs: u64) -> Result<Self, PolicyError> {
        if (MIN_LIFETIME_SECS..=MAX_LIFETIME_SECS).contains(&secs) {
            return Ok(Self(secs));
        }
        Err(PolicyError::Lifetime { found: secs, expected: MAX_LIFETIME_SECS })
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

/// Why a certificate is not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not a DNS name in its one accepted form.
    #[error(
        "{}: found the name \"{found}\" (expected lower-case DNS labels, no wildcard, no IP address)", self.code()
    )]
    Name {
        /// The name, cut and escaped.
        found: String,
    },
    /// A name that is not the requester's.
    #[error("{}: found the name {found} (expected names within {expected}); ask for those only", self.code())]
    NameOutside {
        /// The name.
        found: DnsName,
        /// What all names must be within.
        expected: DnsName,
    },
    /// A node's name that lies among those of apps.
    #[error("{}: found the node name {found} (expected one outside the apps' zone {zone}); rename the node", self.code())]
    NameReserved {
        /// The name.
        found: DnsName,
        /// The zone.
        zone: DnsName,
    },
    /// No name, or too many.
    #[error("{}: found {found} names (expected 1 to {MAX_NAMES}); split the certificate", self.code())]
    NameCount {
        /// How many.
        found: usize,
    },
    /// No usage, or one that policy does not grant.
    #[error("{}: found {found:?} (expected one or more of {expected:?}); ask for those only", self.code())]
    Usage {
        /// What was asked for.
        found: BTreeSet<LeafUsage>,
        /// What is granted.
        expected: BTreeSet<LeafUsage>,
    },
    /// Too short or too long a validity.
    #[error("{}: found a lifetime of {found} s (expected {MIN_LIFETIME_SECS} to {expected}); ask for less", self.code())]
    Lifetime {
        /// What was asked for, in seconds.
        found: u64,
        /// The longest that is granted, in seconds.
        expected: u64,
    },
    /// Not a public key of the one accepted kind.
    #[error("{}: the public key is no SubjectPublicKeyInfo of P-256 in DER; make a P-256 key", self.code())]
    PublicKey,
    /// The issuer's certificate has ended.
    #[error("{}: found an issuer that ended at {found}, now it is {now} (Unix seconds); request keys anew", self.code())]
    IssuerExpired {
        /// When it ended, in Unix seconds.
        found: u64,
        /// The time, in Unix seconds.
        now: u64,
    },
    /// The certificate could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl PolicyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "certificate-name",
            Self::NameOutside { .. } => "certificate-name-outside",
            Self::NameReserved { .. } => "certificate-name-reserved",
            Self::NameCount { .. } => "certificate-name-count",
            Self::Usage { .. } => "certificate-usage",
            Self::Lifetime { .. } => "certificate-lifetime",
            Self::PublicKey => "certificate-public-key",
            Self::IssuerExpired { .. } => "certificate-issuer-expired",
            Self::Key(error) => error.code(),
        }
    }
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
    pub fn new(zone: DnsName) -> Result<Self, PolicyError> {
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

    pub(super) fn app_ca_lifetime(&self) -> Lifetime {
        self.app_ca_lifetime
    }

    pub(super) fn check_names(&self, names: &BTreeSet<DnsName>, parent: &DnsName) -> Result<(), PolicyError> {
        check_count(names)?;
        match names.iter().find(|name| !name.is_within(parent)) {
            Some(name) => Err(PolicyError::NameOutside { found: name.clone(), expected: parent.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn check_node_names(&self, names: &BTreeSet<DnsName>) -> Result<(), PolicyError> {
        check_count(names)?;
        match names.iter().find(|name| name.is_within(&self.zone)) {
            Some(name) => Err(PolicyError::NameReserved { found: name.clone(), zone: self.zone.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn check_usages(&self, usages: &BTreeSet<LeafUsage>) -> Result<(), PolicyError> {
        if usages.is_empty() || !usages.is_subset(&self.leaf_usages) {
            return Err(PolicyError::Usage { found: usages.clone(), expected: self.leaf_usages.clone() });
        }
        Ok(())
    }

    pub(super) fn check_lifetime(&self, lifetime: Lifetime) -> Result<(), PolicyError> {
        if lifetime > self.max_leaf_lifetime {
            let expected = self.max_leaf_lifetime.secs();
            return Err(PolicyError::Lifetime { found: lifetime.secs(), expected });
        }
        Ok(())
    }
}

fn check_count(names: &BTreeSet<DnsName>) -> Result<(), PolicyError> {
    if (1..=MAX_NAMES).contains(&names.len()) {
        return Ok(());
    }
    Err(PolicyError::NameCount { found: names.len() })
}
