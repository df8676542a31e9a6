//! The root secret of an epoch, and what is derived from it directly.

use std::sync::Arc;

use kms_attestation::ids::{AppId, InstanceId, RootEpoch};
use kms_client::env::EnvPrivateKey;
use kms_client::secret::Secret;
use kms_client::signature::{EnvKeyStatement, KmsRootKey, RecoverableSignature};
use kms_ledger::store::JournalKey;

use super::app::AppKeys;
use super::ca::{AppCa, CertificatePolicy, RootCa};
use super::derive::{KeyName, Prk, Purpose};
use super::error::KeyError;
use super::node::{NodeId, NodeLogKey};
use super::p256_key::P256Key;
use super::signer::RootSigner;
use super::statements::{AppStatements, StatementMemory};
use crate::hardening::Hardened;

/// The root secret of one epoch: whoever has it has every key of every app.
///
/// It can be made only in a process that was hardened, and leaves it only for an attested peer or as recovery shares.
pub struct RootSecret {
    epoch: RootEpoch,
    bytes: Secret<32>,
}

impl RootSecret {
    /// A new root, at bootstrap or rotation.
    pub fn generate(epoch: RootEpoch, hardened: &Hardened) -> Result<Self, KeyError> {
        let bytes = Secret::random().map_err(|_| KeyError::no_randomness())?;
        Self::from_secret(epoch, bytes, hardened)
    }

    /// A root that a peer or a quorum of operators gave.
    pub fn from_secret(epoch: RootEpoch, bytes: Secret<32>, _hardened: &Hardened) -> Result<Self, KeyError> {
        if *bytes.expose() == [0; 32] {
            return Err(KeyError::blank_root());
        }
        Ok(Self { epoch, bytes })
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> RootEpoch {
        self.epoch
    }

    /// The bytes, for replication to an attested peer and for recovery shares. For nothing else.
    #[must_use]
    pub fn expose_for_transfer(&self) -> &[u8; 32] {
        self.bytes.expose()
    }

    /// Everything that can be derived.
    pub fn keys(&self) -> Result<RootKeys, KeyError> {
        RootKeys::extract(self.epoch, &self.bytes)
    }
}

/// The derivation of one epoch's keys. As secret as the root.
pub struct RootKeys {
    epoch: RootEpoch,
    prk: Prk,
    signer: RootSigner,
    ca: RootCa,
    statements: StatementMemory,
}

impl RootKeys {
    fn extract(epoch: RootEpoch, root: &Secret<32>) -> Result<Self, KeyError> {
        let prk = Prk::extract(root)?;
        let signer = prk.expand(&KeyName::of_kms(Purpose::RootSigner, epoch))?;
        let ca = prk.expand(&KeyName::of_kms(Purpose::RootCa, epoch))?;
        let ca = RootCa::new(epoch, P256Key::from_wide(&ca)?)?;
        Ok(Self {
            epoch,
            signer: RootSigner::from_wide(epoch, &signer)?,
            ca,
            prk,
            statements: StatementMemory::default(),
        })
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> RootEpoch {
        self.epoch
    }

    /// All keys of an app's instance. `instance_id` is none where the app's instances share one disk key.
    ///
    /// They depend on the app id, the instance id and the root alone: never on the code, so that an update keeps them.
    /// Only the CA's certificate depends on `now`, in Unix seconds, and on the policy; it may be up to an hour old.
    pub fn app_keys(
        &self,
        app_id: AppId,
        instance_id: Option<InstanceId>,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<AppKeys, KeyError> {
        AppKeys::derive(self, app_id, instance_id, policy, now)
    }

    /// An app's CA, to issue leaf certificates for the app.
    pub fn app_ca(&self, app_id: AppId, policy: &CertificatePolicy, now: u64) -> Result<AppCa, KeyError> {
        let wide = self.prk.expand(&KeyName::of_app(Purpose::AppCa, self.epoch, app_id))?;
        AppCa::issue(P256Key::from_wide(&wide)?, &self.ca, app_id, policy, now)
    }

    /// An app's public env key, with the root signer's word that it is the app's as of `now`, in Unix seconds.
    pub fn signed_env_key(&self, app_id: AppId, now: u64) -> Result<SignedEnvKey, KeyError> {
        let public_key = self.env_key(app_id)?.public_key();
        let statement = EnvKeyStatement { app_id, epoch: self.epoch, timestamp: now, public_key };
        Ok(SignedEnvKey { signature: self.signer.sign(&statement.digest())?, statement })
    }

    pub(super) fn statements(
        &self,
        app_id: AppId,
        policy: &CertificatePolicy,
        now: u64,
    ) -> Result<Arc<AppStatements>, KeyError> {
        self.statements.of(self, app_id, policy, now)
    }

    pub(super) fn env_key(&self, app_id: AppId) -> Result<EnvPrivateKey, KeyError> {
        let name = KeyName::of_app(Purpose::AppEnv, self.epoch, app_id);
        self.prk.expand(&name).map(EnvPrivateKey::new)
    }

    /// The signer of endorsements.
    #[must_use]
    pub fn root_signer(&self) -> &RootSigner {
        &self.signer
    }

    /// The root of all certificates. Its certificate is the same on every node, byte for byte.
    #[must_use]
    pub fn root_ca(&self) -> &RootCa {
        &self.ca
    }

    /// The key with which that node signs its decision log.
    pub fn node_log_key(&self, node_id: &NodeId) -> Result<NodeLogKey, KeyError> {
        let path = node_id.as_str().as_bytes();
        let name = KeyName { path, ..KeyName::of_kms(Purpose::NodeLog, self.epoch) };
        NodeLogKey::from_seed(&self.prk.expand(&name)?)
    }

    /// The key that the journal of that node's decision log is authenticated with.
    pub fn node_journal_key(&self, node_id: &NodeId) -> Result<JournalKey, KeyError> {
        let path = node_id.as_str().as_bytes();
        let name = KeyName { path, ..KeyName::of_kms(Purpose::NodeJournal, self.epoch) };
        Ok(JournalKey::new(self.prk.expand(&name)?.expose()))
    }

    /// What stands on chain.
    #[must_use]
    pub fn public_keys(&self) -> RootPublicKeys {
        RootPublicKeys {
            epoch: self.epoch,
            signer: self.signer.public_key(),
            ca_spki: self.ca.spki_der(),
            ca_certificate: self.ca.certificate().to_vec(),
        }
    }

    pub(super) fn expand<const N: usize>(&self, name: &KeyName<'_>) -> Result<Secret<N>, KeyError> {
        self.prk.expand(name)
    }
}

/// What anyone may be told of an app's env key, and check with the root key that stands on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedEnvKey {
    /// Whose key it is, of which epoch, and when that was said.
    pub statement: EnvKeyStatement,
    /// The root signer's signature.
    pub signature: RecoverableSignature,
}

/// The public keys of a root: what the `DstackKms` contract holds, and clients pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootPublicKeys {
    /// The epoch of the root.
    pub epoch: RootEpoch,
    /// The root signer: `kmsInfo().k256Pubkey`, as a compressed point.
    pub signer: KmsRootKey,
    /// The root CA: `kmsInfo().caPubkey`, SubjectPublicKeyInfo in DER. Also the id of the key provider that dstack's
    /// guests measure.
    pub ca_spki: Vec<u8>,
    /// The certificate of the root CA in DER: what TLS verifiers trust.
    pub ca_certificate: Vec<u8>,
}
