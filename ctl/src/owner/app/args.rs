//! The words of `kmsctl app`.

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use kms_attestation::ids::{ComposeHash, DeviceId};

use crate::owner::args::{ChainArgs, WriteArgs};
use crate::owner::values::parse_address;

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Deploy an app's contract through the KMS contract's factory: a new app id each time
    #[command(after_help = DEPLOY_HELP)]
    Deploy(DeployArgs),
    /// Who owns an app and what it allows, from its events and checked against its state
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Whether an app may boot this code on this device; exit 10 if not
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Allow code
    #[command(after_help = example!("app add-compose-hash --app 0xAPP 0xHASH"))]
    AddComposeHash(ComposeHashArgs),
    /// Allow code no longer: it gets no more keys from the next block on
    #[command(after_help = example!("app remove-compose-hash --app 0xAPP 0xHASH"))]
    RemoveComposeHash(ComposeHashArgs),
    /// Allow a device
    #[command(after_help = example!("app add-device --app 0xAPP 0xDEVICE"))]
    AddDevice(DeviceArgs),
    /// Allow a device no longer
    #[command(after_help = example!("app remove-device --app 0xAPP 0xDEVICE"))]
    RemoveDevice(DeviceArgs),
    /// Allow all devices, or only those on the list
    #[command(after_help = example!("app set-allow-any-device --app 0xAPP false"))]
    SetAllowAnyDevice(SwitchArgs),
    /// Demand platforms that Intel calls UpToDate, or leave that to the KMS
    #[command(after_help = example!("app set-require-tcb --app 0xAPP true"))]
    SetRequireTcb(SwitchArgs),
    /// Offer ownership, to a Safe for instance, which must accept it
    #[command(after_help = example!("app transfer-ownership --app 0xAPP 0xNEW"))]
    TransferOwnership(TransferArgs),
    /// Accept an offered ownership
    #[command(after_help = example!("app accept-ownership --app 0xAPP"))]
    AcceptOwnership(AcceptArgs),
}

const DEPLOY_HELP: &str = "\
The app id is the new contract's address. It stays the same for ever, and the
app's keys are derived from it. Each run deploys another app: after a timeout
look for the transaction, or in `kms status`, before running it again.

Example:
  kmsctl app deploy --kms 0xKMS --device 0xDEVICE --compose-hash 0xHASH \\
      --private-key-file key.hex --rpc https://rpc.example.org

Exit codes: 0 deployed or handed over, 10 refused, 3 the provider could not
be asked, 2 wrong usage or an unusable file, 1 the result could not be written.";

const STATUS_HELP: &str = "\
Lists come from events, and every entry is compared with the state. A hash whose
events a provider leaves out altogether is not listed; `app check` asks for one.

Example:
  kmsctl app status --app 0xAPP --kms 0xKMS --rpc https://rpc.example.org

Exit codes: 0 shown, 10 no such contract, 3 the provider could not be asked,
or its events and its state contradict each other, 2 wrong usage, 1 the result
could not be written.";

const CHECK_HELP: &str = "\
This believes the provider: it is for a look before a deployment. A node does
not: it checks proofs of the state, asks the contract itself, and also checks
the OS image and the platform's state, which are not known here.

It is one HTTP request.

Example:
  kmsctl app check --app 0xAPP --kms 0xKMS --compose-hash 0xHASH \\
      --device-id 0xDEVICE --rpc https://rpc.example.org

Exit codes: 0 allowed, 10 not allowed, 3 the provider could not be asked,
2 wrong usage, 1 the result could not be written.";

/// An app, and the change's way onto the chain.
#[derive(Debug, Args)]
pub(crate) struct AppTarget {
    /// The app's contract, which is the app id
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) app: Address,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The KMS contract
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) kms: Address,
    /// Who shall own the app [default: who sends]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) owner: Option<Address>,
    /// The first device
    #[arg(long, value_name = "HASH")]
    pub(crate) device: Option<DeviceId>,
    /// The first code: SHA-256 of app-compose.json
    #[arg(long, value_name = "HASH")]
    pub(crate) compose_hash: Option<ComposeHash>,
    /// Allow all devices
    #[arg(long)]
    pub(crate) allow_any_device: bool,
    /// Fix the contract's own code for ever
    #[arg(long)]
    pub(crate) disable_upgrades: bool,
    /// Demand platforms that Intel calls UpToDate
    #[arg(long)]
    pub(crate) require_tcb: bool,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The app's contract, which is the app id
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) app: Address,
    /// Also say whether this KMS contract knows the app
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) kms: Option<Address>,
    /// Read events from here on [default: the block of the deployment]
    #[arg(long, value_name = "N")]
    pub(crate) from_block: Option<u64>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The app's contract, which is the app id
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) app: Address,
    /// The KMS contract
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) kms: Address,
    /// The code: SHA-256 of app-compose.json
    #[arg(long, value_name = "HASH")]
    pub(crate) compose_hash: ComposeHash,
    /// The device: SHA-256 of its PPID
    #[arg(long, value_name = "HASH")]
    pub(crate) device_id: DeviceId,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ComposeHashArgs {
    /// SHA-256 of app-compose.json, 32 bytes in hexadecimal
    #[arg(value_name = "HASH")]
    pub(crate) compose_hash: ComposeHash,
    #[command(flatten)]
    pub(crate) target: AppTarget,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// SHA-256 of the device's PPID, 32 bytes in hexadecimal
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DeviceId,
    #[command(flatten)]
    pub(crate) target: AppTarget,
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// true or false
    #[arg(value_name = "true|false", action = clap::ArgAction::Set, hide_possible_values = true)]
    pub(crate) value: bool,
    #[command(flatten)]
    pub(crate) target: AppTarget,
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
    pub(crate) target: AppTarget,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    #[command(flatten)]
    pub(crate) target: AppTarget,
}
