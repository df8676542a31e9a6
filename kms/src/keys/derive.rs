//! Derivation: the name of a key, as bytes, and HKDF-SHA256 (RFC 5869) over it.
//!
//! ```text
//! PRK  = HKDF-Extract(salt "onchain-kms/root/v1", root secret, 32 bytes)
//! key  = HKDF-Expand(PRK, info, 32 or 48 bytes)
//! info = field("v1") || field(purpose) || field(root epoch, u32 BE) || field(app id, 20 or 0)
//!     || field(instance id, 20 or 0) || field(path)
//! field(x) = length of x in bytes, u32 big endian || x
//! ```
//!
//! A key's name is injective in its fields: two names are equal only if every field is. That is what keeps apps apart.

use hkdf::Hkdf;
use kms_attestation::ids::{AppId, InstanceId, RootEpoch};
use kms_client::secret::Secret;
use sha2::Sha256;

use super::error::KeyError;

/// The salt of the extraction: the version of everything that follows.
const SALT: &[u8] = b"onchain-kms/root/v1";
/// The first field of every name.
const VERSION: &[u8] = b"v1";

/// What a key is for. One purpose, one kind of key, one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// An instance's disk: 32 bytes.
    AppDisk,
    /// An app's environment: X25519, 32 bytes.
    AppEnv,
    /// An app's signatures: secp256k1, 48 bytes reduced.
    AppSigning,
    /// An app's certificates: P-256, 48 bytes reduced.
    AppCa,
    /// A node's decision log: Ed25519, 32 bytes.
    NodeLog,
    /// What the journal of that log is authenticated with: HMAC, 32 bytes.
    NodeJournal,
    /// The root of all certificates: P-256, 48 bytes reduced.
    RootCa,
    /// Endorsements: secp256k1, 48 bytes reduced.
    RootSigner,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 8] = [
        Self::AppDisk,
        Self::AppEnv,
        Self::AppSigning,
        Self::AppCa,
        Self::NodeLog,
        Self::NodeJournal,
        Self::RootCa,
        Self::RootSigner,
    ];

    /// The purpose as it stands in a name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AppDisk => "app-disk",
            Self::AppEnv => "app-env",
            Self::AppSigning => "app-signing",
            Self::AppCa => "app-ca",
            Self::NodeLog => "node-log",
            Self::NodeJournal => "node-journal",
            Self::RootCa => "root-ca",
            Self::RootSigner => "root-signer",
        }
    }
}

/// The name of a key. Public data: it is what a key's bytes depend on besides the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyName<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Of which root.
    pub epoch: RootEpoch,
    /// Of which app; none for the KMS's own keys.
    pub app_id: Option<AppId>,
    /// Of which instance; none where all instances share the key.
    pub instance_id: Option<InstanceId>,
    /// Which of several of the same purpose; empty where there is one.
    pub path: &'a [u8],
}

impl KeyName<'_> {
    /// A key of the KMS itself.
    pub(super) const fn of_kms(purpose: Purpose, epoch: RootEpoch) -> Self {
        Self { purpose, epoch, app_id: None, instance_id: None, path: &[] }
    }

    /// A key that all instances of an app share.
    pub(super) const fn of_app(purpose: Purpose, epoch: RootEpoch, app_id: AppId) -> Self {
        Self { app_id: Some(app_id), ..Self::of_kms(purpose, epoch) }
    }

    /// The `info` of HKDF-Expand.
    #[must_use]
    pub fn info(&self) -> Vec<u8> {
        let app_id: &[u8] = self.app_id.as_ref().map_or(&[], |id| id.as_bytes());
        let instance_id: &[u8] = self.instance_id.as_ref().map_or(&[], |id| id.as_bytes());
        let epoch = self.epoch.to_be_bytes();
        let parts = [VERSION, self.purpose.as_str().as_bytes(), &epoch, app_id, instance_id, self.path];
        let mut info = Vec::new();
        for part in parts {
            // The longest is the path, whose makers bound it to far below 4 GiB.
            info.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            info.extend_from_slice(part);
        }
        info
    }
}

/// The pseudorandom key that all others come from. As secret as the root.
pub(super) struct Prk(Secret<32>);

impl Prk {
    pub(super) fn extract(root: &Secret<32>) -> Result<Self, KeyError> {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(SALT), root.expose());
        let mut prk = zeroize::Zeroizing::new(<[u8; 32]>::from(prk));
        let secret = Secret::copy_of(prk.as_mut_slice());
        secret.map(Self).ok_or(KeyError::derivation("pseudorandom key"))
    }

    /// The key of that name.
    pub(super) fn expand<const N: usize>(&self, name: &KeyName<'_>) -> Result<Secret<N>, KeyError> {
        let failed = KeyError::derivation(name.purpose.as_str());
        let hkdf = Hkdf::<Sha256>::from_prk(self.0.expose()).map_err(|_| failed.clone())?;
        Secret::try_fill(|bytes| hkdf.expand(&name.info(), bytes)).map_err(|_| failed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

    use super::*;

    // What HMAC keeps of its key are states of SHA-256, which wipe themselves.
    static_assertions::assert_impl_all!(Sha256: zeroize::ZeroizeOnDrop);

    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    /// Purpose by its position, epoch, app, instance, path.
    type Parts = (usize, u32, Option<[u8; 20]>, Option<[u8; 20]>, Vec<u8>);

    fn names() -> impl Strategy<Value = Parts> {
        // Few values of each field, so that names that differ in one field only are common.
        let id = || proptest::option::of(proptest::sample::select(vec![[0; 20], [1; 20], [0xFF; 20]]));
        let path = proptest::collection::vec(0_u8..3, 0..3);
        (0..Purpose::ALL.len(), 0_u32..3, id(), id(), path)
    }

    fn name(parts: &Parts) -> KeyName<'_> {
        KeyName {
            purpose: Purpose::ALL[parts.0],
            epoch: RootEpoch(parts.1),
            app_id: parts.2.map(AppId),
            instance_id: parts.3.map(InstanceId),
            path: &parts.4,
        }
    }

    fn prk() -> Prk {
        Prk::extract(&Secret::copy_of(&[7; 32]).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn keys__should_be_equal_exactly_when_their_names_are(a in names(), b in names()) {
            let (a_key, b_key) =
                (prk().expand::<32>(&name(&a)).unwrap(), prk().expand::<32>(&name(&b)).unwrap());
            prop_assert_eq!(a_key.expose() == b_key.expose(), a == b);
            prop_assert_eq!(name(&a).info() == name(&b).info(), a == b);
        }

        #[test]
        fn expand__should_agree_with_ring(root: [u8; 32], parts in names()) {
            let info = name(&parts).info();
            let info = [info.as_slice()];
            let ring = Salt::new(HKDF_SHA256, SALT).extract(&root);
            let mut expected = [0; 48];
            ring.expand(&info, Length(48)).unwrap().fill(&mut expected).unwrap();
            let prk = Prk::extract(&Secret::copy_of(&root).unwrap()).unwrap();
            let key = prk.expand::<48>(&name(&parts)).unwrap();
            prop_assert_eq!(key.expose(), &expected);
        }
    }

    #[test]
    fn info__should_not_let_bytes_move_between_fields() {
        let base = KeyName::of_kms(Purpose::NodeLog, RootEpoch(0));
        let app = KeyName { app_id: Some(AppId([1; 20])), ..base };
        let instance = KeyName { instance_id: Some(InstanceId([1; 20])), ..base };
        let path = KeyName { path: &[1; 20], ..base };
        let infos: BTreeSet<_> = [base, app, instance, path].iter().map(KeyName::info).collect();
        assert_eq!(infos.len(), 4);
    }

    #[test]
    fn purposes__should_be_distinct_lower_case_words() {
        let words: BTreeSet<_> = Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
        assert_eq!(words.len(), Purpose::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
