//! The words of `kmsctl env`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kms_attestation::ids::{AppId, RootEpoch};
use kms_client::env::{BlobFormat, EnvPublicKey};
use kms_client::signature::KmsRootKey;

const ENCRYPT_HELP: &str = "\
A .env file has one NAME=value on each line. Blank lines and lines that begin
with # are skipped. A value is plain (no quotes, blanks, $, #, ` or \\), or
'single-quoted' (taken as it is), or \"double-quoted\" (with \\n \\r \\t \\\" \\\\ \\$).
Anything that other tools read differently is an error; so is a name given twice.

A value on the command line can be seen by everyone on this machine, and stays
in the shell's history: prefer --env-file.

Example:
  kmsctl env encrypt --app 0x1111111111111111111111111111111111111111 \\
      --public-key 08a2...1c65 --env-file .env --output env.blob";

const DECRYPT_HELP: &str = "\
For tests, and for the day when an app must be moved: whoever holds an env key
can read all that was ever encrypted to it.

Example:
  kmsctl env decrypt --app 0x1111111111111111111111111111111111111111 \\
      --key-file env.key env.blob";

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Encrypt variables so that only the app can read them
    #[command(after_help = ENCRYPT_HELP)]
    Encrypt(Box<EncryptArgs>),
    /// Open a blob with the app's private env key
    #[command(after_help = DECRYPT_HELP)]
    Decrypt(DecryptArgs),
}

/// The form of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// HPKE, bound to app and root epoch
    Native,
    /// What dstack's guests read: bound to the key alone
    Dstack,
}

impl From<Format> for BlobFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Native => Self::Native,
            Format::Dstack => Self::Dstack,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EncryptArgs {
    /// The app: the address of its contract
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) app: AppId,
    /// The app's public env key, hexadecimal
    #[arg(long, value_name = "HEX")]
    pub(crate) public_key: EnvPublicKey,
    /// The root epoch of that key
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) epoch: RootEpoch,
    /// The form of the blob
    #[arg(long, value_enum, default_value = "native")]
    pub(crate) format: Format,
    /// Variables, one NAME=value on each line; - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present = "variables")]
    pub(crate) env_file: Option<PathBuf>,
    /// Variables; for values that are no secret
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// Refuse variables that this app-compose.json does not allow
    #[arg(long, value_name = "FILE")]
    pub(crate) compose: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) proof: ProofArgs,
    /// Where to write the blob, as hexadecimal text; - is standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    pub(crate) force: bool,
}

/// Proof that the KMS itself named the public key: without it, the key is as good as where it was read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Proof of the public key")]
pub(crate) struct ProofArgs {
    /// The KMS root key: kmsInfo().k256Pubkey of the KMS contract
    #[arg(long, value_name = "HEX", requires = "signature")]
    pub(crate) root_key: Option<KmsRootKey>,
    /// The KMS's signature over app, epoch, time and public key, hexadecimal
    #[arg(long, value_name = "HEX", requires_all = ["root_key", "timestamp"])]
    pub(crate) signature: Option<String>,
    /// When the KMS signed, in Unix seconds; at most five minutes ago
    #[arg(long, value_name = "SECONDS", requires = "signature")]
    pub(crate) timestamp: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct DecryptArgs {
    /// The app: the address of its contract
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) app: AppId,
    /// The app's private env key: 32 bytes, or 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: PathBuf,
    /// The form of the blob
    #[arg(long, value_enum, default_value = "native")]
    pub(crate) format: Format,
    /// The blob, as bytes or hexadecimal text; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) blob: PathBuf,
    /// Where to write the variables, as a .env file that its owner alone can read; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Replace an existing output file
    #[arg(long)]
    pub(crate) force: bool,
}
