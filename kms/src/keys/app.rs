//! The keys of an app: what a release hands over.

use std::sync::Arc;

use kms_attestation::ids::{AppId, InstanceId, RootEpoch};
use kms_client::env::EnvPrivateKey;
use kms_client::secret::Secret;
use kms_client::signature::COMPRESSED_POINT_LEN;

use super::ca::CertificatePolicy;
use super::derive::{KeyName, Purpose};
use super::error::KeyError;
use super::root::RootKeys;
use super::signer;
use super::statements::AppStatements;

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
    /// What the root says of them in public. The CA's certificate is released: its key stays here.
    pub statements: Arc<AppStatements>,
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
        Ok(Self {
            app_id,
            epoch,
            disk_key: root.expand(&KeyName { instance_id, ..name(Purpose::AppDisk) })?,
            env_key: root.env_key(app_id)?,
            signing_key: AppSigningKey::derive(root, app_id)?,
            statements: root.statements(app_id, policy, now)?,
        })
    }
}

/// An app's secp256k1 key: its scalar, 32 bytes big endian.
pub struct AppSigningKey(Secret<32>);

impl AppSigningKey {
    pub(super) fn derive(root: &RootKeys, app_id: AppId) -> Result<Self, KeyError> {
        let name = KeyName::of_app(Purpose::AppSigning, root.epoch(), app_id);
        signer::scalar(&root.expand(&name)?).map(Self)
    }

    /// The public half, a compressed point. Computed each time: a release does not need it.
    pub fn public_key(&self) -> Result<[u8; COMPRESSED_POINT_LEN], KeyError> {
        Ok(signer::compressed(signer::key_of(&self.0)?.verifying_key()))
    }

    /// The private scalar, 32 bytes big endian: for the release to the app.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}
