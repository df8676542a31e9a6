//! MRCONFIGID: the register into which the host of a dstack guest puts the guest's configuration when it starts it.
//!
//! ```text
//! 0^48                                                                       unset
//! 01 || compose_hash || 0^15                                                 version 1
//! 02 || Keccak-256(compose_hash || app_id || kind || key_provider_id) || 0^15  version 2; kind: none 0, local 1, kms 2, tpm 3
//! 03 || SHA-256("dstack-mr-config-v3:" || 00 || document) || 0^15            version 3
//! ```
//!
//! The event log names the code; this register, where it is set, must not contradict it.

use sha3::{Digest, Keccak256};

use crate::hash::sha256;
use crate::ids::{AppId, ComposeHash, Measurement};

/// Who provides a guest's keys, as version 2 of the register counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyProviderKind {
    /// Nobody: the guest makes its own.
    None = 0,
    /// An SGX enclave on the same host.
    Local = 1,
    /// A key management node.
    Kms = 2,
    /// A TPM.
    Tpm = 3,
}

impl KeyProviderKind {
    /// The kind of the name in a `key-provider` event, if it is known.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "local" | "local-sgx" => Some(Self::Local),
            "kms" => Some(Self::Kms),
            "tpm" => Some(Self::Tpm),
            _ => None,
        }
    }
}

/// What the register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MrConfigId {
    /// Nothing.
    Unset,
    /// The compose hash.
    V1(ComposeHash),
    /// A digest of compose hash, app id and key provider.
    V2([u8; 32]),
    /// A digest of a configuration document.
    V3([u8; 32]),
    /// Something else.
    Unknown,
}

impl MrConfigId {
    /// Reads the register.
    #[must_use]
    pub fn parse(register: &Measurement) -> Self {
        let [version, rest @ ..] = register.0;
        let (mut digest, mut padding) = ([0; 32], [0; 15]);
        digest.copy_from_slice(rest.split_at(32).0);
        padding.copy_from_slice(rest.split_at(32).1);
        match (version, digest, padding) {
            (0, digest, padding) if digest == [0; 32] && padding == [0; 15] => Self::Unset,
            (1, digest, padding) if padding == [0; 15] => Self::V1(ComposeHash(digest)),
            (2, digest, padding) if padding == [0; 15] => Self::V2(digest),
            (3, digest, padding) if padding == [0; 15] => Self::V3(digest),
            _ => Self::Unknown,
        }
    }

    /// The value of version 2.
    #[must_use]
    pub fn v2(
        compose_hash: &ComposeHash,
        app_id: &AppId,
        kind: KeyProviderKind,
        key_provider_id: &[u8],
    ) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(compose_hash.0);
        hasher.update(app_id.0);
        hasher.update([kind as u8]);
        hasher.update(key_provider_id);
        Self::V2(hasher.finalize().into())
    }

    /// The value of version 3.
    #[must_use]
    pub fn v3(document: &[u8]) -> Self {
        Self::V3(sha256(&[b"dstack-mr-config-v3:", &[0], document]))
    }

    /// The register's bytes; none for an unknown value.
    #[must_use]
    pub fn to_register(self) -> Option<Measurement> {
        let (version, digest) = match self {
            Self::Unset => (0, [0; 32]),
            Self::V1(hash) => (1, hash.0),
            Self::V2(digest) => (2, digest),
            Self::V3(digest) => (3, digest),
            Self::Unknown => return None,
        };
        let mut register = [0; 48];
        let bytes = std::iter::once(version).chain(digest);
        register.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Some(Measurement(register))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mr_config_id__should_round_trip() {
        let hash = ComposeHash([7; 32]);
        for value in [
            MrConfigId::Unset,
            MrConfigId::V1(hash),
            MrConfigId::v2(&hash, &AppId([1; 20]), KeyProviderKind::Kms, b"id"),
            MrConfigId::v3(b"{}"),
        ] {
            assert_eq!(MrConfigId::parse(&value.to_register().unwrap()), value);
        }
    }

    #[test]
    fn mr_config_id__should_not_know_other_versions_or_padding() {
        let mut register = MrConfigId::V1(ComposeHash([7; 32])).to_register().unwrap();
        register.0[47] = 1;
        assert_eq!(MrConfigId::parse(&register), MrConfigId::Unknown);
        assert_eq!(MrConfigId::parse(&Measurement([9; 48])), MrConfigId::Unknown);
    }

    #[test]
    fn v2__should_be_keccak_not_sha3() {
        let empty: [u8; 32] = Keccak256::digest([]).into();
        assert_eq!(hex::encode(empty), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    }
}
