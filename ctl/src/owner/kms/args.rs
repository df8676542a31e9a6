//! The words of `kmsctl kms`.

use std::path::PathBuf;

use alloy::primitives::{Address, Bytes};
use clap::{Args, Subcommand};
use kms_attestation::ids::{DeviceId, MrAggregated, OsImageHash};

use crate::owner::args::{ChainArgs, SendingArgs, SignerArgs, WriteArgs};
use crate::owner::values::{parse_address, parse_bytes};

#[derive(Debug, Subcommand)]
pub(crate) enum KmsCommand {
    /// Deploy the KMS contract: three transactions
    #[command(after_help = DEPLOY_HELP)]
    Deploy(DeployArgs),
    /// Who governs and what is allowed, from the events and checked against the state
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Allow an OS image, for nodes and apps
    #[command(after_help = example!("kms add-os-image --kms 0xKMS 0xHASH"))]
    AddOsImage(OsImageArgs),
    /// Allow an OS image no longer
    #[command(after_help = example!("kms remove-os-image --kms 0xKMS 0xHASH"))]
    RemoveOsImage(OsImageArgs),
    /// Allow nodes of this aggregated measurement to hold root keys
    #[command(after_help = example!("kms add-mr --kms 0xKMS 0xMR"))]
    AddMr(MrArgs),
    /// Allow nodes of this aggregated measurement no longer
    #[command(after_help = example!("kms remove-mr --kms 0xKMS 0xMR"))]
    RemoveMr(MrArgs),
    /// Allow nodes on a device
    #[command(after_help = example!("kms add-device --kms 0xKMS 0xDEVICE"))]
    AddDevice(DeviceArgs),
    /// Allow nodes on a device no longer
    #[command(after_help = example!("kms remove-device --kms 0xKMS 0xDEVICE"))]
    RemoveDevice(DeviceArgs),
    /// Publish the nodes' root public keys and the evidence for them
    #[command(after_help = example!("kms set-info --kms 0xKMS --k256-pubkey 0xKEY --ca-pubkey 0xKEY"))]
    SetInfo(InfoArgs),
    /// Set which app serves as gateway
    #[command(after_help = example!("kms set-gateway-app-id --kms 0xKMS 0xAPP"))]
    SetGatewayAppId(GatewayArgs),
    /// Set the code behind the proxies of apps that are deployed from now on
    #[command(after_help = example!("kms set-app-implementation --kms 0xKMS 0xCODE"))]
    SetAppImplementation(ImplementationArgs),
    /// Register an app that was not deployed through the factory; anyone may
    #[command(after_help = example!("kms register-app --kms 0xKMS 0xAPP"))]
    RegisterApp(RegisterArgs),
    /// Offer ownership, to a Safe for instance, which must accept it
    #[command(after_help = example!("kms transfer-ownership --kms 0xKMS 0xNEW"))]
    TransferOwnership(TransferArgs),
    /// Accept an offered ownership
    #[command(after_help = example!("kms accept-ownership --kms 0xKMS"))]
    AcceptOwnership(AcceptArgs),
}

const DEPLOY_HELP: &str = "\
What a run that broke off has deployed is printed; give it to the next run.

Example:
  kmsctl kms deploy --owner 0xOWNER --private-key-file key.hex \\
      --rpc https://rpc.example.org

Exit codes: 0 deployed, 10 refused, 3 the provider could not be asked, 2 wrong
usage or an unusable file, 1 the result could not be written.";

const STATUS_HELP: &str = "\
Example:
  kmsctl kms status --kms 0xKMS --rpc https://rpc.example.org

Exit codes: 0 shown, 10 no such contract, 3 the provider could not be asked,
or its events and its state contradict each other, 2 wrong usage, 1 the result
could not be written.";

/// The KMS contract, and the change's way onto the chain.
#[derive(Debug, Args)]
pub(crate) struct KmsTarget {
    /// The KMS contract
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) kms: Address,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Who shall govern
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) owner: Address,
    /// The apps' code, if it is deployed already
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) app_implementation: Option<Address>,
    /// The KMS contract's code, if it is deployed already
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) kms_implementation: Option<Address>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The KMS contract
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) kms: Address,
    /// Read events from here on [default: the block of the deployment]
    #[arg(long, value_name = "N")]
    pub(crate) from_block: Option<u64>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OsImageArgs {
    /// SHA-256 of the image's manifest, 32 bytes in hexadecimal
    #[arg(value_name = "HASH")]
    pub(crate) os_image: OsImageHash,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct MrArgs {
    /// The aggregated measurement, 32 bytes in hexadecimal
    #[arg(value_name = "MR")]
    pub(crate) mr: MrAggregated,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// SHA-256 of the device's PPID, 32 bytes in hexadecimal
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DeviceId,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The secp256k1 root public key
    #[arg(long, value_name = "HEX", value_parser = parse_bytes)]
    pub(crate) k256_pubkey: Bytes,
    /// The P-256 public key of the root CA
    #[arg(long, value_name = "HEX", value_parser = parse_bytes)]
    pub(crate) ca_pubkey: Bytes,
    /// The first node's quote, as bytes or hexadecimal text [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) quote: Option<PathBuf>,
    /// The event log that belongs to it, as it is [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) eventlog: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The gateway's app id
    #[arg(value_name = "APP", value_parser = parse_address)]
    pub(crate) app: Address,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct ImplementationArgs {
    /// The contract with the code
    #[arg(value_name = "CODE", value_parser = parse_address)]
    pub(crate) implementation: Address,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The app's contract
    #[arg(value_name = "APP", value_parser = parse_address)]
    pub(crate) app: Address,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// The one to whom ownership is offered
    #[arg(value_name = "NEW", value_parser = parse_address)]
    pub(crate) new_owner: Address,
    /// Offer it to a contract, or to an account without history
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    #[command(flatten)]
    pub(crate) target: KmsTarget,
}
