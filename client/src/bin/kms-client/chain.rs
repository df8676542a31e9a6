//! The words for pins that stand on chain, named as in a node's configuration.
//!
//! Like a pins file they must be measured with the guest: part of its image or its compose file. Threat: a host that
//! chooses the contract, and with it the KMS.

use clap::Args;
use kms_chain::{AddressError, Transport, parse_address};
use kms_client::boot::{ChainPins, ChainTrust, Providers};

use crate::Failure;

/// Which contract says what the KMS is, and who vouches for its chain.
#[derive(Args)]
#[command(next_help_heading = "Pins on chain")]
pub(crate) struct ChainArgs {
    /// The KMS contract: it names the root keys, and must allow the node. Everything is read with proofs
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires_all = ["chain_id", "rpc"])]
    kms_contract: Option<alloy::primitives::Address>,
    /// The id of the chain that the contract is on
    #[arg(long, value_name = "N", requires = "kms_contract")]
    chain_id: Option<u64>,
    /// A provider, each at a host of its own: two or more
    #[arg(long, value_name = "URL", requires = "kms_contract")]
    rpc: Vec<String>,
    /// How many providers must agree on a block: a majority of them
    #[arg(long, value_name = "N", requires = "kms_contract", conflicts_with = "insecure_dev_chain")]
    quorum: Option<usize>,
    /// A development chain, 31337: one provider, believed without a second one
    #[arg(long, requires = "kms_contract")]
    insecure_dev_chain: bool,
    /// Let providers on other machines be reached over plain HTTP
    #[arg(long, requires = "kms_contract")]
    insecure_plain_http: bool,
}

fn address(text: &str) -> Result<alloy::primitives::Address, AddressError> {
    parse_address(text)
}

impl ChainArgs {
    /// The pins, if the command line names a contract. Begins to follow its chain.
    pub(crate) fn pins(&self) -> Result<Option<ChainPins>, Failure> {
        let (Some(contract), Some(chain_id)) = (self.kms_contract, self.chain_id) else { return Ok(None) };
        let transport =
            if self.insecure_plain_http { Transport::InsecurePlainHttp } else { Transport::Secure };
        let trust = ChainTrust { chain_id, contract, providers: self.providers()?, transport };
        let pins = ChainPins::connect(&trust);
        pins.map(Some).map_err(|deny| Failure::usage(format!("--rpc: {deny}; {}", deny.code.fix())))
    }

    fn providers(&self) -> Result<Providers, Failure> {
        match (self.insecure_dev_chain, self.quorum, &self.rpc[..]) {
            (true, _, [url]) => Ok(Providers::InsecureDev(url.clone())),
            (true, _, _) => Err(Failure::usage("--insecure-dev-chain takes one --rpc")),
            (false, Some(threshold), urls) => Ok(Providers::Quorum { urls: urls.to_vec(), threshold }),
            (false, None, _) => Err(Failure::usage("--kms-contract needs --quorum, or --insecure-dev-chain")),
        }
    }
}
