//! A simulated OS image: its measurements, and the manifest that names it by its hash.

use anyhow::Context as _;
use kms_attestation::hash::{sha256, sha384};
use kms_attestation::ids::{Measurement, OsImageHash};
use kms_attestation::image::OsImageManifest;
use serde::Deserialize;

/// What a TD that booted the image has measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsImage {
    measurements: Measurements,
    manifest: Vec<u8>,
}

/// The registers that the image decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Measurements {
    /// The firmware.
    pub mrtd: Measurement,
    /// The machine, one value for each profile.
    #[serde(rename = "rtmr0")]
    pub rtmr0s: Vec<Measurement>,
    /// The kernel.
    pub rtmr1: Measurement,
    /// The command line and the initial file system.
    pub rtmr2: Measurement,
}

impl OsImage {
    /// The image of that name, whose measurements nothing real has. It knows three machine profiles.
    #[must_use]
    pub fn simulated(name: &str) -> Self {
        let register = |register: &str| {
            Measurement(sha384(&[b"SIMULATED ", name.as_bytes(), b" ", register.as_bytes()]))
        };
        let measurements = Measurements {
            mrtd: register("MRTD"),
            rtmr0s: ["RTMR0/0", "RTMR0/1", "RTMR0/2"].map(register).to_vec(),
            rtmr1: register("RTMR1"),
            rtmr2: register("RTMR2"),
        };
        Self::new(name, measurements)
    }

    /// An image with these measurements.
    #[must_use]
    pub fn new(name: &str, measurements: Measurements) -> Self {
        let Measurements { mrtd, rtmr0s, rtmr1, rtmr2 } = &measurements;
        let manifest = OsImageManifest::write(name, *mrtd, rtmr0s, *rtmr1, *rtmr2).into_bytes();
        Self { measurements, manifest }
    }

    /// The image that a manifest describes, for instance one that was really built.
    pub fn from_manifest(manifest: &[u8]) -> anyhow::Result<Self> {
        OsImageManifest::parse(manifest)?;
        let measurements = serde_json::from_slice(manifest).context("OS-image manifest")?;
        Ok(Self { measurements, manifest: manifest.to_vec() })
    }

    /// The registers that it decides.
    #[must_use]
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// Its manifest, as a guest presents it.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Its name on the chain: the hash of the manifest.
    #[must_use]
    pub fn hash(&self) -> OsImageHash {
        OsImageHash(sha256(&[&self.manifest]))
    }
}
