//! `kms-client`: gets an app's keys when its CVM boots. Owns the command line, files and the console; the library does
//! the rest.
//!
//! Exit codes: 0 keys are in place; 2 wrong usage, or a guest or files that cannot be used; 3 no node could be reached or none
//! could decide; 10 refused: by a node, or the node by this client.

#![cfg_attr(test, allow(non_snake_case))]

mod args;
mod chain;
mod files;
mod leaf;
mod receipt;

use std::process::ExitCode;

use clap::Parser;
use kms_attestation::hash::sha256;
use kms_attestation::ids::OsImageHash;
use kms_attestation::platform::{Platform, PlatformPaths};
use kms_client::boot::{BootError, BootRequest, Booted, Evidence, FailureKind, RecordReference, Retry, boot};
use serde_json::json;

use crate::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.text);
            ExitCode::from(failure.exit)
        }
    }
}

/// What ends the program.
pub(crate) struct Failure {
    exit: u8,
    text: String,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { exit: 2, text: text.into() }
    }

    fn boot(error: &BootError) -> Self {
        let exit = match error.kind() {
            FailureKind::Unfit => 2,
            FailureKind::Undecided => 3,
            FailureKind::Refused => 10,
        };
        Self { exit, text: error.to_string() }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let destination = files::Destination::prepare(args)?;
    let paths = PlatformPaths { agent_socket: args.agent_socket.clone(), ..PlatformPaths::default() };
    let platform = Platform::detect(&paths).await.map_err(|error| Failure::usage(error.found()))?;
    let os_image_manifest = files::read(&args.os_image_manifest)?;
    let image = OsImageHash(sha256(&[&os_image_manifest]));
    let request = BootRequest {
        evidence: Evidence { platform: platform.clone(), os_image_manifest },
        trust: args.trust()?,
        verifier: args.verifier()?,
        fresh: args.fresh,
        certificate: args.leaf.request()?,
        receipt: args.receipt.wanted(),
    };
    let retry = Retry { give_up_after: args.give_up_after(), ..Retry::default() };
    let report = |node: &str, error: &BootError| eprintln!("{node}: {error}");
    let booted = boot(&request, &args.node, retry, report).await;
    let booted = booted.map_err(|error| Failure::boot(&error))?;
    args.receipt.keep(booted.receipt.as_ref())?;
    destination.write(&booted.keys)?;
    if let (Some(folder), Some(asked), Some(got)) = (&args.out, &request.certificate, &booted.certificate) {
        files::write_certificate(folder, asked, got)?;
    }
    announce(args, &platform, image, &booted.node.root_ca_spki).await?;
    println!("{}", summary(&booted));
    Ok(())
}

/// Measures what the keys came from, as dstack's guests do after they have them.
async fn announce(
    args: &Args,
    platform: &Platform,
    image: OsImageHash,
    root_ca: &[u8],
) -> Result<(), Failure> {
    let Platform::GuestAgent(agent) = platform else { return Ok(()) };
    if args.no_events {
        return Ok(());
    }
    let provider = json!({ "name": "kms", "id": hex::encode(root_ca) }).to_string();
    for (event, payload) in [("os-image-hash", image.0.to_vec()), ("key-provider", provider.into_bytes())] {
        let emitted = agent.emit_event(event, &payload).await;
        emitted.map_err(|error| {
            Failure::usage(format!("the event {event}: {}; {}", error.found(), error.fix()))
        })?;
    }
    Ok(())
}

/// What is worth knowing, and is no secret.
fn summary(booted: &Booted) -> String {
    let Booted { keys, node, certificate, receipt } = booted;
    let record = |record: &RecordReference| json!({ "index": record.index, "leaf_hash": hex::encode(record.leaf_hash) });
    json!({
        "app_id": keys.app_id,
        "root_epoch": keys.epoch.0,
        "node_measurement": node.measurement,
        "record": record(&keys.record),
        "certificate_record": certificate.as_ref().map(|certificate| record(&certificate.record)),
        "receipt": matches!(receipt, Some(Ok(_))),
    })
    .to_string()
}
