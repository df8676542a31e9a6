//! `kmsctl node info`: what a running node is, and the pins that clients need of it.
//!
//! The library verifies; this prints. Whether the root is the one of this KMS is for the reader to compare with `kmsctl kms
//! status`. Threat: pins made from a node of somebody else.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use kms_attestation::refusal::sanitise;
use kms_attestation::time::rfc3339;
use kms_attestation::{Policy, RootOfTrust, Verifier};
use kms_client::boot::{NodeInfo, NodeLog, node_info};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::error::CtlError;
use crate::input;
use crate::layout::hang;
use crate::outcome::{self, Exit, Outcome};

/// The width of a label.
const INDENT: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Ask a running node what it is, and verify it
    #[command(after_help = "Example:\n  kmsctl node info kms.example.org:50051 --pins pins.json")]
    Info(InfoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The node, host:port
    #[arg(value_name = "HOST:PORT")]
    node: String,
    /// The root of trust, a certificate in DER [default: Intel's]
    #[arg(long, value_name = "DER")]
    root: Option<PathBuf>,
    /// Write pins for clients to this file; compare the root with `kmsInfo` on chain before you use them
    #[arg(long, value_name = "FILE")]
    pins: Option<PathBuf>,
    /// Write the root CA's certificate to this file, in PEM; compare its key with `kmsInfo` on chain before you use it
    #[arg(long, value_name = "FILE")]
    root_ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `kmsctl node`.
pub(crate) fn run(command: &NodeCommand) -> Result<Outcome, CtlError> {
    let NodeCommand::Info(args) = command;
    let root = match &args.root {
        None => RootOfTrust::intel(),
        Some(path) => {
            let der = input::read(path)?;
            RootOfTrust::configured(&der).map_err(|source| CtlError::Root { path: path.clone(), source })?
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CtlError::Runtime)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let asked = runtime.block_on(node_info(&args.node, &Verifier::new(root), &Policy::default(), now));
    let info = asked.map_err(|error| CtlError::Node(Box::new(error)))?;
    if let Some(path) = &args.pins {
        write(path, &outcome::json(&pins(&info))?)?;
    }
    if let Some(path) = &args.root_ca {
        let certificate = pem::Pem::new("CERTIFICATE", &*info.root_ca_certificate);
        write(path, pem::encode(&certificate).as_bytes())?;
    }
    let stdout = if args.json { outcome::json(&members(&info))? } else { text(&info).into_bytes() };
    Ok(Outcome { exit: Exit::Done, stdout, stderr: String::new() })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CtlError> {
    std::fs::write(path, bytes).map_err(|source| CtlError::NotWritten { path: path.to_owned(), source })
}

fn pins(info: &NodeInfo) -> Value {
    json!({
        "root_ca_public_key": hex::encode(&info.root_ca_spki),
        "root_signer": info.root_signer.to_string(),
        "node_measurements": [info.measurement],
    })
}

fn members(info: &NodeInfo) -> Value {
    let latest = info.latest.as_ref();
    json!({
        "software": info.software,
        "root_epoch": info.root_epoch.0,
        "root_signer": info.root_signer.to_string(),
        "root_ca_public_key": hex::encode(&info.root_ca_spki),
        "measurement": info.measurement,
        "device_id": info.device_id,
        "os_image_hash": info.os_image_hash,
        "chain_id": info.chain_id,
        "kms_contract": format!("0x{}", hex::encode(&info.kms_contract)),
        "latest_block": latest.map(|head| head.number),
        "policy_digest": hex::encode(&info.policy_digest),
        "log": info.log.as_ref().map(log_members),
        "insecure_settings": info.insecure_settings,
    })
}

fn log_members(log: &NodeLog) -> Value {
    json!({
        "key": log.key.to_string(),
        "witnesses": log.witnesses,
        "witness_quorum": log.witness_quorum,
        "witnessed_size": log.witnessed_size,
        "witnessed_at": log.witnessed_at,
    })
}

/// The key of the log, who watches it, and how far they have seen it.
fn log_rows(info: &NodeInfo) -> [String; 3] {
    let Some(log) = &info.log else { return ["none", "none", "none"].map(str::to_owned) };
    let witnesses = match log.witnesses.len() {
        0 => "none".to_owned(),
        all => format!("{} of {all}: {}", log.witness_quorum, log.witnesses.join(", ")),
    };
    let at = log.witnessed_at.map(|at| format!(" at {}", rfc3339(at))).unwrap_or_default();
    let seen = log.witnessed_size.map_or("nothing yet".to_owned(), |size| format!("{size} entries{at}"));
    [sanitise(&log.key.to_string()), witnesses, seen]
}

fn text(info: &NodeInfo) -> String {
    let head = info.latest.as_ref().map_or("none yet".to_owned(), |head| format!("block {}", head.number));
    let insecure =
        if info.insecure_settings.is_empty() { "none".to_owned() } else { info.insecure_settings.join(", ") };
    let [log, witnesses, seen] = log_rows(info);
    let rows = [
        ("measurement", info.measurement.to_string(), "proven"),
        ("device", info.device_id.to_string(), "proven"),
        ("OS image", info.os_image_hash.to_string(), "proven"),
        ("root CA key", hex::encode(&info.root_ca_spki), "proven to be in its hands; compare with kmsInfo"),
        ("root signer", info.root_signer.to_string(), "said; compare with kmsInfo"),
        ("root epoch", info.root_epoch.0.to_string(), "said"),
        ("software", info.software.clone(), "said"),
        ("KMS contract", format!("0x{} on chain {}", hex::encode(&info.kms_contract), info.chain_id), "said"),
        ("chain", head, "said"),
        ("policy", hex::encode(&info.policy_digest), "said"),
        ("log key", log, "said; the log's first record has a quote over it"),
        ("witnesses", witnesses, "said; the policy has them too"),
        ("witnessed", seen, "said; kmsctl audit verify --witness proves it"),
        ("insecure settings", insecure, "said"),
    ];
    rows.iter()
        .map(|(label, value, standing)| {
            hang(&format!("{label:INDENT$}"), INDENT, &format!("{value} ({standing})"))
        })
        .collect()
}
