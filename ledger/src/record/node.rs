//! Which node writes, and by which rules it decides.

use kms_attestation::ids::{MrAggregated, RootEpoch};
use serde::Serialize;

use crate::blob::BlobId;
use crate::canonical::{fields, wrapped};

/// The node, as every record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStamp {
    /// Its name.
    pub name: String,
    /// The version of its software.
    pub software: String,
    /// The version of the verdict's rules.
    pub rules: u32,
    /// The epoch of its root secret.
    pub root_epoch: RootEpoch,
    /// The policy document, a blob: its digest is the policy digest of the node's info.
    pub policy: BlobId,
    /// What the node measured of itself when it started.
    pub measurement: MrAggregated,
}

wrapped!(BlobId, MrAggregated, RootEpoch);
fields!(NodeStamp { name, software, rules, root_epoch, policy, measurement });
