//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use kms_attestation::platform::DEFAULT_AGENT_SOCKET;
use kms_attestation::{RootOfTrust, Verifier};
use kms_client::boot::{Pins, Trust};

use crate::chain::ChainArgs;
use crate::leaf::LeafArgs;
use crate::receipt::ReceiptArgs;
use crate::{Failure, files};

const EXITS: &str = "\
Exit codes: 0 the keys are in place, 10 refused: a node denied them, or is not to
be trusted, 3 no node could be reached or none could decide, 2 wrong usage, or
this guest or a file cannot be used.";

/// Get this app's keys from a KMS node, when its CVM boots.
///
/// The node is verified before it is asked: against a file of pins, against what a contract on chain says, or against both.
/// Keys are written as files that only their owner can read,
/// to a folder in memory, or to a file descriptor.
#[derive(Parser)]
#[command(name = "kms-client", version, max_term_width = 80, after_help = EXITS)]
pub(crate) struct Args {
    /// A KMS node, host:port; several are tried in turn
    #[arg(long, required = true, value_name = "HOST:PORT")]
    pub(crate) node: Vec<String>,
    /// The pins, JSON: which KMS this guest trusts
    #[arg(long, value_name = "FILE", required_unless_present = "kms_contract")]
    pins: Option<PathBuf>,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    pub(crate) leaf: LeafArgs,
    #[command(flatten)]
    pub(crate) receipt: ReceiptArgs,
    /// The manifest of the OS image that this guest runs
    #[arg(long, value_name = "FILE")]
    pub(crate) os_image_manifest: PathBuf,
    /// The folder for the keys; it must lie in memory (tmpfs)
    #[arg(long, value_name = "DIR", required_unless_present = "disk_key_to_fd")]
    pub(crate) out: Option<PathBuf>,
    /// Write the disk key, 32 bytes, to this open file descriptor
    #[arg(long, value_name = "FD")]
    pub(crate) disk_key_to_fd: Option<u32>,
    /// The guest agent's socket
    #[arg(long, value_name = "SOCKET", default_value = DEFAULT_AGENT_SOCKET)]
    pub(crate) agent_socket: PathBuf,
    /// Ask the node for a quote of this very session
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Emit no os-image-hash and key-provider events afterwards
    #[arg(long)]
    pub(crate) no_events: bool,
    /// When to give up, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    give_up_after: u64,
    /// Let the folder for the keys be on a disk
    #[arg(long)]
    pub(crate) insecure_allow_disk: bool,
    /// Another root of trust than Intel's, DER: for simulated platforms
    #[arg(long, value_name = "FILE")]
    insecure_root_certificate: Option<PathBuf>,
}

impl Args {
    /// Which KMS is trusted. Needs a tokio runtime.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        let parse =
            |path| Pins::parse(&files::read(path)?).map_err(|error| Failure::usage(error.to_string()));
        let pins = self.pins.as_deref().map(parse).transpose()?;
        match (pins, self.chain.pins()?) {
            (Some(pins), None) => Ok(Trust::pinned(pins)),
            (Some(pins), Some(chain)) => Ok(Trust::pinned(pins).and_on_chain(chain)),
            (None, Some(chain)) => Ok(Trust::on_chain(chain)),
            (None, None) => Err(Failure::usage("--pins or --kms-contract")),
        }
    }

    pub(crate) fn verifier(&self) -> Result<Verifier, Failure> {
        let root = match &self.insecure_root_certificate {
            None => RootOfTrust::intel(),
            Some(path) => RootOfTrust::configured(&files::read(path)?)
                .map_err(|error| Failure::usage(error.to_string()))?,
        };
        Ok(Verifier::new(root))
    }

    pub(crate) fn give_up_after(&self) -> Duration {
        Duration::from_secs(self.give_up_after)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn args__should_be_well_formed() {
        Args::command().debug_assert();
    }
}
