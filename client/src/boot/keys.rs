//! The keys as they arrive: checked against the pinned root before anything uses them.

use kms_attestation::ids::{AppId, RootEpoch};
use kms_proto::v1 as wire;
use zeroize::Zeroizing;

use super::error::BootError;
use crate::env::EnvPrivateKey;
use crate::secret::Secret;
use crate::signature::{AppKeyStatement, COMPRESSED_POINT_LEN, KmsRootKey, RecoverableSignature};

/// An app's keys.
pub struct AppKeys {
    /// Whose keys.
    pub app_id: AppId,
    /// Of which root.
    pub epoch: RootEpoch,
    /// Encrypts the disk of this instance.
    pub disk_key: Secret<32>,
    /// Opens the app's encrypted environment.
    pub env_key: EnvPrivateKey,
    /// The app's signing key: a scalar of secp256k1, big endian.
    pub signing_key: Secret<32>,
    /// The root signer's word that it is this app's.
    pub endorsement: RecoverableSignature,
    /// The app's CA certificate, then the root's, in DER.
    pub ca_chain: Vec<Vec<u8>>,
    /// Where the release is recorded.
    pub record: RecordReference,
}

/// Where a decision is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordReference {
    /// The index in the node's log.
    pub index: u64,
    /// SHA-256 of the record.
    pub digest: Vec<u8>,
}

impl From<wire::RecordReference> for RecordReference {
    fn from(wire: wire::RecordReference) -> Self {
        Self { index: wire.index, digest: wire.digest }
    }
}

impl AppKeys {
    /// Refused where something is missing, or where the signing key is not endorsed by the pinned root for this app.
    pub(super) fn check(
        response: wire::GetAppKeysResponse,
        app_id: AppId,
        signer: &KmsRootKey,
    ) -> Result<Self, BootError> {
        let missing = |what: &'static str| BootError::Answer { what };
        let record = response.record.ok_or(missing("record"))?;
        let keys = response.keys.ok_or(missing("keys"))?;
        let secret = |bytes: Vec<u8>, what| Secret::copy_of(&Zeroizing::new(bytes)).ok_or(missing(what));
        let signing_key = secret(keys.signing_key, "signing key")?;
        let endorsement = RecoverableSignature::from_bytes(&keys.signing_key_signature);
        let endorsement = endorsement.map_err(|_| missing("endorsement"))?;
        let epoch = RootEpoch(keys.root_epoch);
        let public_key = public_key(&signing_key).ok_or(missing("signing key"))?;
        let statement = AppKeyStatement { app_id, epoch, public_key };
        statement.verify(&endorsement, signer).map_err(|error| BootError::NotPinned {
            found: error.to_string(),
            expected: "a signing key that the pinned root has endorsed for this app".to_owned(),
        })?;
        Ok(Self {
            app_id,
            epoch,
            disk_key: secret(keys.disk_key, "disk key")?,
            env_key: EnvPrivateKey::new(secret(keys.env_private_key, "env key")?),
            signing_key,
            endorsement,
            ca_chain: keys.ca_chain,
            record: record.into(),
        })
    }
}

fn public_key(scalar: &Secret<32>) -> Option<[u8; COMPRESSED_POINT_LEN]> {
    let key = k256::ecdsa::SigningKey::from_slice(scalar.expose()).ok()?;
    Some(k256::CompressedPoint::from(key.verifying_key()).into())
}
