//! The simulated counterpart of Intel's PKI: one root, the PCK CAs, the TCB signer, PCK certificates and CRLs.
//!
//! ```text
//! Root ── Platform CA ── PCK certificates      ForeignRoot ── ForeignPlatformCa
//!      ├─ Processor CA ── PCK certificates     (same names, other keys: what an impostor would present)
//!      └─ TCB Signing
//! ```
//!
//! Certificates have the fields and extensions of the genuine ones; their distinguished names say `SIMULATED` and
//! never name Intel. An authority never changes once it exists, so a root handed out stays valid whatever else is
//! altered.

mod certificate;
mod crl;
mod pck;

use anyhow::Context as _;
use rcgen::{CertificateParams, Issuer};

pub use self::certificate::{Serial, Validity};
pub use self::crl::CrlSpec;
pub use self::pck::{PckConfiguration, PckSpec};
use crate::key::SimulatedKey;
use crate::seed::Seed;

/// Seconds in a day.
pub(crate) const DAY: u64 = 86_400;
/// Seconds in a year, near enough for the validity of a certificate.
const YEAR: u64 = 365 * DAY;

/// Who issues certificates and CRLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The root of trust: what a verifier is configured with.
    Root,
    /// Issues the PCK certificates of multi-package platforms. All TDX platforms so far have one of these.
    PlatformCa,
    /// Issues the PCK certificates of single-package platforms, without a configuration.
    ProcessorCa,
    /// Has the root's name, and another key.
    ForeignRoot,
    /// Has the Platform CA's name, another key, and a certificate of [`Authority::ForeignRoot`].
    ForeignPlatformCa,
}

impl Authority {
    /// Whose certificate issues this one's. A root issues its own.
    #[must_use]
    pub fn parent(self) -> Self {
        match self {
            Self::Root | Self::PlatformCa | Self::ProcessorCa => Self::Root,
            Self::ForeignRoot | Self::ForeignPlatformCa => Self::ForeignRoot,
        }
    }

    /// Its common name.
    #[must_use]
    pub fn common_name(self) -> &'static str {
        match self {
            Self::Root | Self::ForeignRoot => "SIMULATED SGX Root CA",
            Self::PlatformCa | Self::ForeignPlatformCa => "SIMULATED SGX PCK Platform CA",
            Self::ProcessorCa => "SIMULATED SGX PCK Processor CA",
        }
    }
}

/// How a signer of collateral is certified, and whether it signs with the key that is.
#[derive(Debug, Clone)]
pub struct SignerSpec {
    /// Who certifies it: the root, directly. With a PCK CA, an intermediate stands between.
    pub issuer: Authority,
    /// When its certificate is valid.
    pub validity: Validity,
    /// Which key signs.
    pub key: SignerKey,
}

/// Which key signs collateral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerKey {
    /// The one in the certificate.
    Certified,
    /// Another, so that the signature is false.
    Other,
}

/// A document with its signature and the certificates that vouch for the signer.
#[derive(Debug, Clone)]
pub struct SignedDocument {
    /// The bytes that are signed.
    pub json: String,
    /// `r || s`.
    pub signature: [u8; 64],
    /// The signer's certificate and those above it, PEM.
    pub issuer_chain: String,
}

/// An authority with its key and certificate.
#[derive(Debug)]
struct CertifiedAuthority {
    key: SimulatedKey,
    params: CertificateParams,
    der: Vec<u8>,
    serial: Serial,
}

impl CertifiedAuthority {
    fn issuer(&self) -> Issuer<'_, &SimulatedKey> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// The PKI.
#[derive(Debug)]
pub struct Pki {
    seed: Seed,
    now: u64,
    root: CertifiedAuthority,
    platform_ca: CertifiedAuthority,
    processor_ca: CertifiedAuthority,
    foreign_root: CertifiedAuthority,
    foreign_platform_ca: CertifiedAuthority,
}

impl Pki {
    /// The PKI of that seed, with certificates valid from years before to years after `now` (Unix seconds).
    pub fn new(seed: &Seed, now: u64) -> anyhow::Result<Self> {
        let seed = seed.child("pki");
        let root = certificate::authority(&seed, "root", Authority::Root, None, now)?;
        let foreign_root = certificate::authority(&seed, "foreign-root", Authority::ForeignRoot, None, now)?;
        let below =
            |label, authority, parent| certificate::authority(&seed, label, authority, Some(parent), now);
        Ok(Self {
            platform_ca: below("platform-ca", Authority::PlatformCa, &root)?,
            processor_ca: below("processor-ca", Authority::ProcessorCa, &root)?,
            foreign_platform_ca: below("foreign-platform-ca", Authority::ForeignPlatformCa, &foreign_root)?,
            root,
            foreign_root,
            seed,
            now,
        })
    }

    /// The root certificate, DER: what a verifier is configured with.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root.der
    }

    /// The serial number of an authority's certificate, to revoke it.
    #[must_use]
    pub fn serial(&self, authority: Authority) -> &Serial {
        &self.authority(authority).serial
    }

    /// The serial number of the TCB signer's certificate, to revoke it.
    #[must_use]
    pub fn tcb_signer_serial(&self) -> Serial {
        Serial::derive(&self.seed, "tcb-signer")
    }

    /// A TCB signer as it should be.
    #[must_use]
    pub fn healthy_signer(&self) -> SignerSpec {
        SignerSpec {
            issuer: Authority::Root,
            validity: Validity::around(self.now, YEAR, 6 * YEAR),
            key: SignerKey::Certified,
        }
    }

    /// An authority's certificate and those above it, PEM, the root last.
    #[must_use]
    pub fn chain_pem(&self, authority: Authority) -> String {
        let own = certificate::pem(&self.authority(authority).der);
        if authority.parent() == authority { own } else { own + &self.chain_pem(authority.parent()) }
    }

    /// Signs a document as the TCB signer.
    pub fn sign_document(&self, json: String, spec: &SignerSpec) -> anyhow::Result<SignedDocument> {
        let key = SimulatedKey::derive(&self.seed, "tcb-signer")?;
        let issuer = &self.authority(spec.issuer);
        let der = certificate::tcb_signer(&key, self.tcb_signer_serial(), spec.validity, issuer)?;
        let signing_key = match spec.key {
            SignerKey::Certified => key,
            SignerKey::Other => SimulatedKey::derive(&self.seed, "tcb-signer/other")?,
        };
        Ok(SignedDocument {
            signature: signing_key.sign_raw(json.as_bytes()),
            issuer_chain: certificate::pem(&der) + &self.chain_pem(spec.issuer),
            json,
        })
    }

    /// Issues a PCK certificate for the public half of `key`, and returns it with those above it, PEM.
    pub(crate) fn issue_pck(&self, spec: &PckSpec, key: &SimulatedKey) -> anyhow::Result<String> {
        let der = pck::certificate(spec, key, self.authority(spec.issuer)).context("PCK certificate")?;
        Ok(certificate::pem(&der) + &self.chain_pem(spec.issuer))
    }

    /// Issues a CRL, DER. `issuer` applies where the specification leaves it open.
    pub fn crl(&self, spec: &CrlSpec, issuer: Authority) -> anyhow::Result<Vec<u8>> {
        crl::encode(spec, self.authority(spec.issuer.unwrap_or(issuer)))
    }

    fn authority(&self, authority: Authority) -> &CertifiedAuthority {
        match authority {
            Authority::Root => &self.root,
            Authority::PlatformCa => &self.platform_ca,
            Authority::ProcessorCa => &self.processor_ca,
            Authority::ForeignRoot => &self.foreign_root,
            Authority::ForeignPlatformCa => &self.foreign_platform_ca,
        }
    }
}
