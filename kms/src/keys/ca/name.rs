//! DNS names as they may stand in a certificate: exact, lower case, no wildcards.

use std::fmt;

use kms_attestation::ids::AppId;

use super::deny::{CertificateCode, CertificateDeny};

/// The longest name (RFC 1035, 2.3.4, without the root's dot).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A DNS name: labels of lower-case letters, digits and inner `-`, the last one not all digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name. Wildcards, upper case, a closing dot, IP addresses and other alphabets are refused: a name has one
    /// form here, so that comparing bytes compares names.
    pub fn parse(text: &str) -> Result<Self, CertificateDeny> {
        let valid = text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label);
        let last_is_word =
            text.rsplit('.').next().is_some_and(|label| !label.bytes().all(|b| b.is_ascii_digit()));
        if valid && last_is_word {
            return Ok(Self(text.to_owned()));
        }
        Err(CertificateDeny::quoting(CertificateCode::Name, text, "lower-case DNS labels"))
    }

    /// The name below which all names of an app lie: `<app id>.<zone>`.
    pub(super) fn of_app(app_id: &AppId, zone: &Self) -> Result<Self, CertificateDeny> {
        Self::parse(&format!("{app_id}.{zone}"))
    }

    /// Whether it is `parent` or lies below it.
    #[must_use]
    pub fn is_within(&self, parent: &Self) -> bool {
        let head = self.0.strip_suffix(parent.as_str());
        head.is_some_and(|head| head.is_empty() || head.ends_with('.'))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_name__should_have_one_form() {
        for good in ["localhost", "a.example", "0a.example", "a-b.c"] {
            assert_eq!(DnsName::parse(good).unwrap().as_str(), good);
        }
        let long = format!("{}.a", "a".repeat(64));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "A.example",
            "*.example",
            "127.0.0.1",
            "-a",
            "a-",
            "a_b",
            "ä.b",
            "a b",
            "::1",
            "a\0",
            &long,
        ] {
            assert!(DnsName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(DnsName::parse(&format!("{}a", "a.".repeat(127))).is_err());
    }

    #[test]
    fn is_within__should_respect_label_borders() {
        let name = |text| DnsName::parse(text).unwrap();
        assert!(name("app.zone").is_within(&name("app.zone")));
        assert!(name("x.y.app.zone").is_within(&name("app.zone")));
        for outside in ["xapp.zone", "zone", "app.zone.evil", "app.zonee"] {
            assert!(!name(outside).is_within(&name("app.zone")), "{outside}");
        }
    }
}
