//! Which KMS this CVM trusts: measured with its image or its compose file, never taken from the network.

use std::collections::BTreeSet;

use kms_attestation::Policy;
use kms_attestation::ids::MrAggregated;
use serde::Deserialize;

use super::error::BootError;
use super::trust::Roots;
use crate::signature::KmsRootKey;

/// The largest pins file, in bytes.
const MAX_PINS_BYTES: usize = 64 * 1024;

/// What a node must show. All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// The public key of the KMS root CA, SubjectPublicKeyInfo in DER: `kmsInfo().caPubkey` on chain.
    pub root_ca_spki: Vec<u8>,
    /// The KMS root signer: `kmsInfo().k256Pubkey` on chain.
    pub root_signer: KmsRootKey,
    /// The aggregated measurements of nodes that may be believed; never empty.
    pub node_measurements: BTreeSet<MrAggregated>,
    /// In which state a node's platform must be.
    pub platform: Policy,
}

/// A pins file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "pins-invalid: found {found} (expected JSON with root_ca_public_key, root_signer and node_measurements)"
)]
pub struct PinError {
    /// What was found.
    pub found: String,
}

/// The file: hexadecimal text, unknown keys are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    root_ca_public_key: String,
    root_signer: String,
    node_measurements: BTreeSet<MrAggregated>,
    #[serde(default)]
    platform: Policy,
}

impl Pins {
    /// Reads a pins file: `{"root_ca_public_key": "<SPKI, hex>", "root_signer": "<point, hex>", "node_measurements":
    /// ["<hex>"], "platform": {..}}`.
    pub fn parse(json: &[u8]) -> Result<Self, PinError> {
        let invalid = |found: String| PinError { found };
        if json.len() > MAX_PINS_BYTES {
            return Err(invalid(format!("{} bytes", json.len())));
        }
        let file: File = serde_json::from_slice(json).map_err(|error| invalid(error.to_string()))?;
        let digits = file.root_ca_public_key.trim_start_matches("0x");
        let root_ca_spki =
            hex::decode(digits).map_err(|_| invalid("a root CA key that is no hexadecimal".into()))?;
        let root_signer =
            file.root_signer.parse().map_err(|_| invalid("a root signer that is no point".into()))?;
        if root_ca_spki.is_empty() || file.node_measurements.is_empty() {
            return Err(invalid("an empty list or key, which would pin nothing".into()));
        }
        let File { node_measurements, platform, .. } = file;
        Ok(Self { root_ca_spki, root_signer, node_measurements, platform })
    }

    pub(super) fn roots(&self) -> Roots {
        Roots { ca_spki: self.root_ca_spki.clone(), signer: self.root_signer }
    }

    pub(super) fn check_measurement(&self, measurement: MrAggregated) -> Result<(), BootError> {
        if self.node_measurements.contains(&measurement) {
            return Ok(());
        }
        let expected = format!("one of {} pinned measurements", self.node_measurements.len());
        Err(BootError::NotPinned { found: format!("the measurement {measurement}"), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins__should_be_whole_or_refused() {
        let signer = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let json = |ca: &str, signer: &str, list: &str| {
            format!(r#"{{"root_ca_public_key":"{ca}","root_signer":"{signer}","node_measurements":{list}}}"#)
        };
        let one = format!(r#"["{}"]"#, "11".repeat(32));
        assert!(Pins::parse(json("0x3059", signer, &one).as_bytes()).is_ok());
        for bad in [
            json("", signer, &one),
            json("3059", "00", &one),
            json("3059", signer, "[]"),
            json("3059", signer, r#"["11"]"#),
            json("zz", signer, &one),
            "{}".to_owned(),
            json("3059", signer, &one).replace('{', r#"{"extra":1,"#),
        ] {
            assert!(Pins::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
