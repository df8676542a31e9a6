//! Who asked, as far as that was proven; in the open, or sealed for a log whose tree is public and whose apps are not.

use kms_attestation::BootIdentity;
use kms_attestation::ids::{AppId, ComposeHash, DeviceId, InstanceId, MrAggregated, MrSystem};
use serde::Serialize;

use crate::blob::{Blob, BlobId};
use crate::canonical::{Canonical, Reader, fields, malformed, wrapped};
use crate::refusal::LedgerRefusal;

wrapped!(AppId, ComposeHash, DeviceId, InstanceId, MrSystem);

/// What a verified quote and its event log say of a guest. The OS image is named by the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The application.
    pub app_id: AppId,
    /// The code.
    pub compose_hash: ComposeHash,
    /// The deployment, where there are several.
    pub instance_id: Option<InstanceId>,
    /// The hardware.
    pub device_id: DeviceId,
    /// The system below the application.
    pub mr_system: MrSystem,
    /// All of the TD.
    pub mr_aggregated: MrAggregated,
}

fields!(Identity { app_id, compose_hash, instance_id, device_id, mr_system, mr_aggregated });

impl From<&BootIdentity> for Identity {
    fn from(identity: &BootIdentity) -> Self {
        let BootIdentity { app_id, compose_hash, instance_id, device_id, mr_system, mr_aggregated, .. } =
            *identity;
        Self { app_id, compose_hash, instance_id, device_id, mr_system, mr_aggregated }
    }
}

/// How a node writes down who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identities {
    /// In the record, for everybody who reads the tree.
    Open,
    /// In a blob behind a salt, for those who are given the evidence.
    Sealed,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// That was not proven.
    Unknown,
    /// In the open.
    Open(Identity),
    /// In a blob that only auditors are given: a [`SealedIdentity`].
    Sealed(BlobId),
}

impl Canonical for Who {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unknown => out.push(0),
            Self::Open(identity) => {
                out.push(1);
                identity.write_to(out);
            }
            Self::Sealed(id) => {
                out.push(2);
                id.write_to(out);
            }
        }
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        match reader.array()? {
            [0] => Ok(Self::Unknown),
            [1] => Identity::read_from(reader).map(Self::Open),
            [2] => BlobId::read_from(reader).map(Self::Sealed),
            [tag] => Err(malformed(&format!("{tag} for an identity"))),
        }
    }
}

/// An identity behind a random salt: its name says nothing about it to who does not have the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedIdentity {
    /// 32 random bytes.
    pub salt: [u8; 32],
    /// Who asked.
    pub identity: Identity,
    /// What was found, where the decision is a refusal: it may repeat parts of the identity.
    pub found: String,
    /// What was expected, likewise.
    pub expected: String,
}

fields!(SealedIdentity { salt, identity, found, expected });

impl SealedIdentity {
    /// The blob.
    #[must_use]
    pub fn blob(&self) -> Blob {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes);
        Blob::new(bytes)
    }

    /// Reads a blob. Refused with `record-malformed`.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerRefusal> {
        let mut reader = Reader::new(bytes);
        let sealed = Self::read_from(&mut reader)?;
        reader.end()?;
        Ok(sealed)
    }
}
