//! What a node says of itself to anyone, verified as far as that goes without pins.
//!
//! Proven: a genuine TD with this measurement holds the key of this connection, and that key was certified by the root CA
//! that the answer names. Not proven: that this root is the one of any KMS. Compare it with `kmsInfo` on chain. For
//! operators, who make pins of it, and for auditors.

use std::time::Duration;

use kms_attestation::identity::mr_aggregated;
use kms_attestation::ids::{DeviceId, MrAggregated, OsImageHash, RootEpoch};
use kms_attestation::ratls::{report_data_for_spki, subject_public_key_info};
use kms_attestation::{DenyReason, OsImageManifest, Policy, Verifier};
use kms_ledger::note::LogKey;
use kms_proto::v1::public_client::PublicClient;
use kms_proto::v1::{ChainHead, GetNodeInfoRequest, GetNodeInfoResponse, LogInfo};
use tokio::time::timeout;

use super::error::BootError;
use super::node;
use super::receipt::log_key;
use super::session::channel;
use super::tls::{self, Connection};
use crate::signature::KmsRootKey;

/// The longest time for an answer.
const INFO_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
const MAX_INFO_BYTES: usize = 4 * 1024 * 1024;

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeInfo {
    /// The name and version of its software, by its own word.
    pub software: String,
    /// The epoch of its root.
    pub root_epoch: RootEpoch,
    /// The root signer's public key.
    pub root_signer: KmsRootKey,
    /// The root CA's public key, SubjectPublicKeyInfo in DER.
    pub root_ca_spki: Vec<u8>,
    /// The root CA's certificate, DER, as the node showed it on this connection: the node's leads to it.
    pub root_ca_certificate: Vec<u8>,
    /// Its measurement: proven.
    pub measurement: MrAggregated,
    /// Its hardware: proven.
    pub device_id: DeviceId,
    /// The OS image that it runs: proven.
    pub os_image_hash: OsImageHash,
    /// The chain that it reads.
    pub chain_id: u64,
    /// The contract that it asks.
    pub kms_contract: Vec<u8>,
    /// The latest head that it has verified.
    pub latest: Option<ChainHead>,
    /// SHA-256 of its policy.
    pub policy_digest: Vec<u8>,
    /// Its log of decisions, and who watches it.
    pub log: Option<NodeLog>,
    /// The `insecure_*` settings that are on.
    pub insecure_settings: Vec<String>,
}

/// What a node says of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLog {
    /// The key that signs it. The log's record of the node's start holds a quote over it.
    pub key: LogKey,
    /// The keys of the witnesses that it asks.
    pub witnesses: Vec<String>,
    /// How many of them must have cosigned a checkpoint.
    pub witness_quorum: u32,
    /// How many entries the newest checkpoint has that so many have cosigned.
    pub witnessed_size: Option<u64>,
    /// When they did, in Unix seconds.
    pub witnessed_at: Option<u64>,
}

/// Asks a node, `host:port`, what it is; `now` in Unix seconds.
pub async fn node_info(
    node: &str,
    verifier: &Verifier,
    platform: &Policy,
    now: u64,
) -> Result<NodeInfo, BootError> {
    let ask = async {
        let (stream, connection) = tls::connect(node).await?;
        let channel = channel(stream, node).await?;
        let mut client = PublicClient::new(channel).max_decoding_message_size(MAX_INFO_BYTES);
        let answer = client.get_node_info(GetNodeInfoRequest {}).await;
        Ok((connection, answer.map_err(|status| BootError::of_status(node, &status))?.into_inner()))
    };
    let asked = timeout(INFO_TIMEOUT, ask).await;
    let (connection, info) =
        asked.unwrap_or_else(|_| Err(BootError::unreachable(node, "no answer in time")))?;
    verify(&connection, info, verifier, platform, now)
}

fn verify(
    connection: &Connection,
    info: GetNodeInfoResponse,
    verifier: &Verifier,
    platform: &Policy,
    now: u64,
) -> Result<NodeInfo, BootError> {
    let missing = |what| BootError::Answer { what };
    let root = info.root.ok_or(missing("root keys"))?;
    let evidence = info.node.ok_or(missing("evidence"))?;
    let root_ca_spki = subject_public_key_info(&root.ca_certificate).map_err(BootError::Node)?;
    node::check_root_ca(connection, &root_ca_spki, now)?;
    let expected = report_data_for_spki(&connection.node_spki);
    let quote = node::attest(&evidence, expected, platform, verifier, now).map_err(BootError::Node)?;
    let image = |bytes: &[u8]| -> Result<OsImageHash, DenyReason> {
        let manifest = OsImageManifest::parse(bytes)?;
        manifest.check_runs(quote.td())?;
        Ok(manifest.hash())
    };
    Ok(NodeInfo {
        software: kms_attestation::refusal::sanitise(&info.version),
        root_epoch: RootEpoch(root.epoch),
        root_signer: KmsRootKey::from_sec1(&root.k256_public_key).map_err(|_| missing("root signer"))?,
        root_ca_spki,
        root_ca_certificate: root.ca_certificate,
        measurement: mr_aggregated(quote.td()),
        device_id: quote.platform().ppid.device_id(),
        os_image_hash: image(&evidence.os_image_manifest).map_err(BootError::Node)?,
        chain_id: info.chain_id,
        kms_contract: info.kms_contract,
        latest: info.latest,
        policy_digest: info.policy_digest,
        log: info.log.as_ref().map(node_log).transpose()?,
        insecure_settings: info
            .insecure_settings
            .iter()
            .map(|it| kms_attestation::refusal::sanitise(it))
            .collect(),
    })
}

fn node_log(log: &LogInfo) -> Result<NodeLog, BootError> {
    Ok(NodeLog {
        key: log_key(log).ok_or(BootError::Answer { what: "key of a log" })?,
        witnesses: log.witnesses.iter().map(|key| kms_attestation::refusal::sanitise(key)).collect(),
        witness_quorum: log.witness_quorum,
        witnessed_size: log.witnessed_size,
        witnessed_at: log.witnessed_at,
    })
}
