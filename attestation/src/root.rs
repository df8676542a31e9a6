//! The root of trust: Intel's, or one that the operator configured. Nothing else decides which it is.
//!
//! There is one code path for both. A configured root is checked when it is loaded, because the quote verifier
//! panics on one that is not self-issued.

use std::fmt;

use crate::hash::sha384;
use crate::ids::RootKeyId;
use crate::pki::{Cert, PkiFault};

/// Intel's SGX Provisioning Certification Root CA, which also roots TDX. Published at
/// <https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer>.
const INTEL_ROOT_DER: &[u8] = include_bytes!("intel_sgx_root_ca.der");

/// The largest root certificate that is read, in bytes. Intel's has 659.
const MAX_ROOT_BYTES: usize = 4096;

/// A certificate that cannot serve as the root of trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the configured root of trust is not usable: {found}; expected a self-signed P-256 CA certificate in DER"
)]
pub struct RootError {
    /// What is wrong with it.
    pub found: &'static str,
}

/// The certificate to which every chain must lead.
pub struct RootOfTrust {
    cert: Cert,
    key_id: RootKeyId,
    intel: bool,
}

impl RootOfTrust {
    /// Intel's root, for production.
    ///
    /// # Panics
    /// Never: the certificate is part of the program, and a test reads it.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn intel() -> Self {
        Self::load(INTEL_ROOT_DER).expect("the built-in root certificate is well-formed")
    }

    /// A root that the operator configured, for a simulated or private platform.
    pub fn configured(der: &[u8]) -> Result<Self, RootError> {
        Self::load(der)
    }

    fn load(der: &[u8]) -> Result<Self, RootError> {
        if der.len() > MAX_ROOT_BYTES {
            return Err(RootError { found: "more than 4096 bytes" });
        }
        let cert =
            Cert::parse(der).map_err(|_| RootError { found: "no X.509 certificate with a P-256 key" })?;
        cert.check_signed_by(&cert).map_err(|fault| RootError {
            found: match fault {
                PkiFault::WrongIssuer => "a certificate that another party issued",
                PkiFault::NotCa => "a certificate that is not a CA's",
                _ => "a certificate whose own signature is wrong",
            },
        })?;
        let key_id = RootKeyId(sha384(&[cert.public_key()]));
        Ok(Self { key_id, intel: der == INTEL_ROOT_DER, cert })
    }

    /// The certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.cert.der()
    }

    /// SHA-384 of the public key, which names the root in claims and records.
    #[must_use]
    pub fn key_id(&self) -> RootKeyId {
        self.key_id
    }

    /// Whether this is Intel's root.
    #[must_use]
    pub fn is_intel(&self) -> bool {
        self.intel
    }

    pub(crate) fn cert(&self) -> &Cert {
        &self.cert
    }
}

impl fmt::Debug for RootOfTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootOfTrust({}{})", if self.intel { "Intel, " } else { "" }, self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intel_root__should_load() {
        assert!(RootOfTrust::intel().is_intel());
        assert!(RootOfTrust::configured(INTEL_ROOT_DER).unwrap().is_intel());
    }

    #[test]
    fn configured_root__should_be_refused_unless_a_self_signed_p256_ca() {
        for junk in [&b""[..], b"junk", &[0x30; 5000]] {
            assert!(RootOfTrust::configured(junk).is_err());
        }
        let mut forged = INTEL_ROOT_DER.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(
            RootOfTrust::configured(&forged).unwrap_err().found,
            "a certificate whose own signature is wrong"
        );
    }
}
