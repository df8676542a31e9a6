//! The words that all commands of `app` and `kms` share: which provider, who signs, or who is asked to.

use std::path::PathBuf;

use alloy::primitives::{Address, B256};
use clap::{Args, ValueEnum};

use super::values::{parse_address, parse_word};

/// Which chain, and how the result is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(crate) struct ChainArgs {
    /// The JSON-RPC provider; what it says is believed
    #[arg(long, value_name = "URL", env = "KMSCTL_RPC", hide_env_values = true)]
    pub(crate) rpc: String,
    /// Refuse any other chain
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: Option<u64>,
    /// Allow a provider on another machine over plain HTTP
    #[arg(long)]
    pub(crate) insecure_plain_http: bool,
    /// Print JSON: null is what is not known
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a change gets onto the chain.
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) means: MeansArgs,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
    #[command(flatten)]
    pub(crate) proposal: ProposalArgs,
}

/// Exactly one of: a key that signs now, or a form in which others are asked to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who does it (exactly one)")]
#[group(id = "means", required = true, multiple = false)]
pub(crate) struct MeansArgs {
    /// Sign with the private key in this file, 32 bytes in hexadecimal, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_file: Option<PathBuf>,
    /// Sign with the key in this Ethereum keystore
    #[arg(long, value_name = "FILE")]
    pub(crate) keystore: Option<PathBuf>,
    /// Send nothing: print the call for any governance contract
    #[arg(long)]
    pub(crate) calldata: bool,
    /// Send nothing: write a batch for the Safe Transaction Builder
    #[arg(long, value_name = "FILE")]
    pub(crate) safe_batch: Option<PathBuf>,
}

/// A key that signs, for what only a key can do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who does it (exactly one)")]
#[group(id = "signer", required = true, multiple = false)]
pub(crate) struct SignerArgs {
    /// Sign with the private key in this file, 32 bytes in hexadecimal, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_file: Option<PathBuf>,
    /// Sign with the key in this Ethereum keystore
    #[arg(long, value_name = "FILE")]
    pub(crate) keystore: Option<PathBuf>,
}

/// How long to wait and how much to pay.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sending")]
pub(crate) struct SendingArgs {
    /// The keystore's password, in a file readable by you alone [default: ask on the terminal]
    #[arg(long, value_name = "FILE", requires = "keystore")]
    pub(crate) password_file: Option<PathBuf>,
    /// How long to wait for the transaction's block
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// The most to pay for a unit of gas
    #[arg(long, value_name = "GWEI", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_fee: u64,
}

/// Which call of a timelock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimelockStep {
    Schedule,
    Execute,
}

/// Through whom governance acts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Governance")]
pub(crate) struct ProposalArgs {
    /// The Safe that is to send the batch
    #[arg(long, value_name = "ADDR", value_parser = parse_address, conflicts_with_all = ["private_key_file", "keystore"])]
    pub(crate) safe: Option<Address>,
    /// Replace an existing batch file
    #[arg(long, requires = "safe_batch")]
    pub(crate) force: bool,
    /// Add to an existing batch file of the same chain and Safe
    #[arg(long, requires = "safe_batch", conflicts_with = "force")]
    pub(crate) append: bool,
    /// The owner is this OpenZeppelin timelock: schedule and execute through it
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) timelock: Option<Address>,
    /// Which of the two [default: schedule; both with --calldata]
    #[arg(long, value_name = "STEP", requires = "timelock")]
    pub(crate) timelock_step: Option<TimelockStep>,
    /// The delay to schedule with [default: the timelock's shortest]
    #[arg(long, value_name = "SECONDS", requires = "timelock")]
    pub(crate) delay: Option<u64>,
    /// Tells an operation from an equal one that was done before [default: zero]
    #[arg(long, value_name = "HASH", requires = "timelock", value_parser = parse_word)]
    pub(crate) salt: Option<B256>,
    /// The operation that must be done before this one [default: none]
    #[arg(long, value_name = "HASH", requires = "timelock", value_parser = parse_word)]
    pub(crate) predecessor: Option<B256>,
}
