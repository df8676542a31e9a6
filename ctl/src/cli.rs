//! The command line: its words, their help, and nothing else.
//!
//! A usage error ends with exit code 2 before any file is read, which is clap's doing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::audit::AuditCommand;
use crate::compose::{parse_env_name, parse_key_provider_id, parse_swap_size};
use crate::doctor::DoctorArgs;
use crate::env::EnvCommand;
use crate::input::parse_time;
use crate::node::NodeCommand;
use crate::owner::{AppCommand, KmsCommand};

const EXIT_CODES: &str = "\
Exit codes:
  0   accepted, done, or so before
  1   the result could not be written
  2   wrong usage, or a file that cannot be read or used
  3   neither accepted nor refused: no collateral could be had, or no provider
      could be asked
  10  refused; the code, and what would fix it, is printed";

const DOCTOR_HELP: &str = "\
Example:
  kmsctl doctor --chain-id 1 --kms 0x... \\
      --rpc https://one.example --rpc https://two.example --rpc https://three.example

Exit codes: 0 a node works with them; 10 it does not; 2 wrong usage.";

/// Operators', app owners' and auditors' tool for Onchain KMS.
#[derive(Debug, Parser)]
#[command(name = "kmsctl", version, after_help = EXIT_CODES, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What a TDX quote proves
    #[command(subcommand)]
    Quote(QuoteCommand),
    /// app-compose.json and its hash, the identity of an app's code
    #[command(subcommand)]
    Compose(ComposeCommand),
    /// The identity of hardware
    #[command(subcommand)]
    Device(DeviceCommand),
    /// What an app allows on chain: for its owner
    #[command(subcommand)]
    App(AppCommand),
    /// What the KMS contract allows on chain: for governance
    #[command(subcommand)]
    Kms(KmsCommand),
    /// An app's environment variables, encrypted to the app alone
    #[command(subcommand)]
    Env(EnvCommand),
    /// A running KMS node
    #[command(subcommand)]
    Node(NodeCommand),
    /// A node's log of decisions: check it, decide again, look into it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Whether JSON-RPC providers are fit for a node, and what to change
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuoteCommand {
    /// Accept a quote, or refuse it with the reason
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// The same for people: what is proven, what is wrong, what fixes it, how long it holds
    #[command(after_help = EXPLAIN_HELP)]
    Explain(EvidenceArgs),
}

const VERIFY_HELP: &str = "\
Example:
  kmsctl quote verify --quote quote.bin --collateral collateral.json \\
      --event-log event_log.json --json

Exit codes: 0 accepted, 10 refused, 3 no collateral could be had, 2 wrong
usage or unreadable input, 1 the result could not be written.";

const EXPLAIN_HELP: &str = "\
Example:
  kmsctl quote explain --quote quote.bin --collateral collateral.json \\
      --at 2026-08-28T12:00:00Z

Exit codes: 0 accepted, 10 refused, 3 no collateral could be had, 2 wrong
usage or unreadable input, 1 the result could not be written.";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Print JSON: hashes in lower-case hexadecimal, what is not known as null
    #[arg(long)]
    pub(crate) json: bool,
}

/// A quote, and what it is judged by.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// The quote, as bytes or hexadecimal text; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) quote: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// When to judge: Unix seconds or an RFC 3339 date [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) at: Option<u64>,
    /// The root of trust, a certificate in DER [default: Intel's]
    #[arg(long, value_name = "DER")]
    pub(crate) root: Option<PathBuf>,
    /// The guest's event log, JSON: an array of events, or an object with an `event_log`
    #[arg(long, value_name = "FILE")]
    pub(crate) event_log: Option<PathBuf>,
    /// What to accept, JSON [default: platforms that are up to date]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

/// Where the collateral comes from. There is no default: nothing goes over the network unasked.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SourceArgs {
    /// Intel's collateral, in the JSON form of dcap-qvl
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Option<PathBuf>,
    /// Fetch the collateral from a PCCS, or Intel's own service; repeat for more, asked in order
    #[arg(long, value_name = "URL")]
    pub(crate) pccs: Vec<String>,
}

/// How a PCCS may be reached.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Allow a PCCS on another machine over plain HTTP
    #[arg(long, requires = "pccs")]
    pub(crate) insecure_plain_http: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComposeCommand {
    /// Print the hash of an app-compose.json: SHA-256 of its exact bytes
    #[command(after_help = "Example:\n  kmsctl compose hash app-compose.json")]
    Hash(HashArgs),
    /// Write an app-compose.json and print its hash
    #[command(after_help = BUILD_HELP)]
    Build(BuildArgs),
}

const BUILD_HELP: &str = "\
The file has sorted keys and no white space: the same content always has the
same bytes and so the same hash. Deploy that file as it is; a tool that writes
it anew changes its hash.

A switch alone means true; --public-logs=false means false.

Example:
  kmsctl compose build --name my-app --docker-compose docker-compose.yaml \\
      --kms-enabled --allowed-env API_KEY --output app-compose.json";

#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// The app-compose.json; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print JSON, with the app id that an app without a contract has
    #[arg(long)]
    pub(crate) json: bool,
}

/// What runs the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runner {
    DockerCompose,
    Bash,
}

/// Who gives the app its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyProvider {
    None,
    Kms,
    Local,
    Tpm,
}

/// The file system of the app's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StorageFs {
    Zfs,
    Ext4,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Begin with the fields of an existing app-compose.json
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Where to write; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "app-compose.json")]
    pub(crate) output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    pub(crate) force: bool,
    /// The app's name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What runs the app [default: docker-compose]
    #[arg(long)]
    pub(crate) runner: Option<Runner>,
    /// The compose file, for the runner docker-compose
    #[arg(long, value_name = "FILE", conflicts_with = "bash_script")]
    pub(crate) docker_compose: Option<PathBuf>,
    /// The script, for the runner bash
    #[arg(long, value_name = "FILE")]
    pub(crate) bash_script: Option<PathBuf>,
    /// A script that runs before the app
    #[arg(long, value_name = "FILE")]
    pub(crate) pre_launch_script: Option<PathBuf>,
    /// An environment variable that the app may be given; repeat for more
    #[arg(long = "allowed-env", value_name = "NAME", value_parser = parse_env_name)]
    pub(crate) allowed_envs: Vec<String>,
    /// Who gives the app its keys; goes before --kms-enabled
    #[arg(long, value_name = "KIND")]
    pub(crate) key_provider: Option<KeyProvider>,
    /// The key provider's public key, hexadecimal
    #[arg(long, value_name = "HEX", value_parser = parse_key_provider_id)]
    pub(crate) key_provider_id: Option<String>,
    /// The file system of the app's disk
    #[arg(long, value_name = "KIND")]
    pub(crate) storage_fs: Option<StorageFs>,
    /// Swap space: bytes, or with K, M, G or T
    #[arg(long, value_name = "SIZE", value_parser = parse_swap_size)]
    pub(crate) swap_size: Option<u64>,
    #[command(flatten)]
    pub(crate) switches: Switches,
}

/// The yes-or-no fields of `app-compose.json`; none leaves a field as it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Switches")]
pub(crate) struct Switches {
    /// The app gets its keys from a KMS [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) kms_enabled: Option<bool>,
    /// The app is reached through the gateway [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) gateway_enabled: Option<bool>,
    /// The app gets its keys from an enclave on its own host [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) local_key_provider_enabled: Option<bool>,
    /// Anyone may read the app's logs [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) public_logs: Option<bool>,
    /// Anyone may read the system's state [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) public_sysinfo: Option<bool>,
    /// Anyone may read the TCB information, this file included [default: true]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) public_tcbinfo: Option<bool>,
    /// All instances share one identity and one disk key [default: false]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_instance_id: Option<bool>,
    /// Boot waits for authenticated time [default: true]
    #[arg(long, value_name = "true|false", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) secure_time: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Print the device id that a quote claims, without verifying the quote
    #[command(after_help = "Example:\n  kmsctl device id --quote quote.bin")]
    Id(DeviceIdArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeviceIdArgs {
    /// The quote, as bytes or hexadecimal text; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) quote: PathBuf,
    /// Print JSON, with PPID and FMSPC
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn cli__should_be_well_formed() {
        Cli::command().debug_assert();
    }
}
