//! The keys of an app: what a release hands over.

use k256::ecdsa::SigningKey;
use kms_attestation::ids::{AppId, InstanceId, RootEpoch};
use kms_client::env::EnvPrivateKey;
use kms_client::secret::Secret;
use kms_client::signature::{COMPRESSED_POINT_LEN, RecoverableSignature};
use zeroize::Zeroizing;

use super::ca::{AppCa, CertificatePolicy};
use super::derive::{KeyName, Purpose};
use super::error::KeyError;
use super::root::RootKeys;
use super::signer;

/// All keys of one instance of an app.
pub struct AppKeys {
    /// Whose keys.
    pub app_id: AppId,
    /// Of which root.
    pub epoch: RootEpoch,
    /// The key of the instance's disk; of all instances' where the app has no instance ids.
    pub disk_key: Secret<32>,
    /// Opens the app's environment.
    pub env_key: EnvPrivateKey,
    /// Signs for the app.
    pub signing_key: AppSigningKey,
    /// The root signer's word that `signing_key` is this app's.
    pub endorsement: RecoverableSignature,
    /// Issues the app's certificates. Only its certificate is released: the key stays here.
    pub ca: AppCa,
}

impl AppKeys {
    pub(super) fn derive(
        root: &RootKeys,
        app_id: AppId,
        instance_id: Option<InstanceId>,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<Self, KeyError> {
        let epoch = root.epoch();
        let name = |purpose| KeyName::of_app(purpose, epoch, app_id);
        let signing_key = AppSigningKey::from_wide(&root.expand(&name(Purpose::AppSigning))?)?;
        Ok(Self {
            app_id,
            epoch,
            disk_key: root.expand(&KeyName { instance_id, ..name(Purpose::AppDisk) })?,
            env_key: root.env_key(app_id)?,
            endorsement: root.root_signer().endorse_app_key(app_id, signing_key.public_key())?,
            signing_key,
            ca: root.app_ca(app_id, policy, now)?,
        })
    }
}

/// An app's secp256k1 key.
pub struct AppSigningKey(SigningKey);

impl AppSigningKey {
    fn from_wide(wide: &Secret<48>) -> Result<Self, KeyError> {
        signer::signing_key(wide).map(Self)
    }

    /// The public half, a compressed point.
    #[must_use]
    pub fn public_key(&self) -> [u8; COMPRESSED_POINT_LEN] {
        signer::compressed(self.0.verifying_key())
    }

    /// The private scalar, 32 bytes big endian: for the release to the app.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
}
