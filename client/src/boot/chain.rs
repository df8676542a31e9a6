//! Pins that stand on chain: a contract and who vouches for its chain are measured with the guest, the rest is read there.
//!
//! ```text
//! chain id, DstackKms, providers ─▶ verified head ─▶ kmsInfo()      which root CA and root signer
//!                                                 └▶ isKmsAllowed() whether this node, by its own proven evidence
//! ```
//!
//! Everything is read over proven state; a provider is believed in nothing, and enough of them only for which block is the
//! latest. The contract is asked about the node with what the node's quote proves, never with what the node says.
//! Threats: a provider that lies, is held back or is down; a node that governance has revoked; keys of another KMS.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy::primitives::Address;
use kms_attestation::refusal::DenyClass;
use kms_attestation::{OsImageManifest, VerifiedQuote};
use kms_chain::anchor::MAX_HOSTS;
use kms_chain::heads::CONFIRMATIONS;
use kms_chain::{
    Anchor, ChainDeny, ChainDenyCode, ContractReader, FeedTiming, Freshness, GrantAt, HeadTrust, Question,
    Rpc, RpcLimits, Transport, kms_boot_info,
};

use super::error::BootError;
use super::trust::Roots;
use crate::signature::KmsRootKey;

/// Who vouches for the chain's heads. The URLs may hold API keys: neither is ever printed.
pub enum Providers {
    /// A development chain (31337): one provider, whose heads nobody vouches for.
    InsecureDev(String),
    /// A majority of two or more, each at a host of its own.
    Quorum {
        /// Their URLs.
        urls: Vec<String>,
        /// How many must agree on a block.
        threshold: usize,
    },
}

/// Which contract is trusted, and how its chain is known. Measured with the guest, like any pin.
pub struct ChainTrust {
    /// The chain.
    pub chain_id: u64,
    /// `DstackKms`.
    pub contract: Address,
    /// Who vouches for heads.
    pub providers: Providers,
    /// Whether providers may be reached without TLS.
    pub transport: Transport,
}

/// A contract that says which KMS is trusted.
pub struct ChainPins {
    reader: ContractReader,
}

impl ChainPins {
    /// Begins to follow the chain; needs a tokio runtime. Refused with `rpc-config`, `head-unauthenticated` or
    /// `dev-chain-only` where the trust would authenticate nothing.
    pub fn connect(trust: &ChainTrust) -> Result<Self, ChainDeny> {
        let client = |url: &String| Rpc::new(url, trust.transport, RpcLimits::default()).map(Arc::new);
        let (rpcs, heads, confirmations) = match &trust.providers {
            Providers::InsecureDev(url) => (vec![client(url)?], HeadTrust::Dev, 0),
            Providers::Quorum { urls, threshold } => {
                let rpcs = urls.iter().map(client).collect::<Result<Vec<_>, _>>()?;
                let hosts: BTreeSet<String> = rpcs.iter().map(|rpc| rpc.host().to_owned()).collect();
                check_several(&hosts)?;
                (rpcs, HeadTrust::Quorum { hosts, threshold: *threshold }, CONFIRMATIONS)
            }
        };
        let (chain_id, contract) = (trust.chain_id, trust.contract);
        let anchor = Anchor::new(chain_id, contract, heads, GrantAt::Latest, Freshness::default())?;
        let reader = ContractReader::spawn(anchor, rpcs, confirmations, FeedTiming::default())?;
        Ok(Self { reader })
    }

    /// The root keys that the contract publishes; `now` in Unix seconds.
    pub(super) async fn roots(&self, now: u64) -> Result<Roots, BootError> {
        self.await_heads().await.map_err(BootError::Chain)?;
        let info = self.reader.kms_info(now).await.map_err(BootError::Chain)?.info;
        let signer = KmsRootKey::from_sec1(&info.k256_public_key).map_err(|error| {
            let found = format!("as k256Pubkey {}", error.found);
            BootError::Chain(ChainDeny::new(ChainDenyCode::KmsInfoUnusable, found, error.expected))
        })?;
        Ok(Roots { ca_spki: info.ca_public_key.to_vec(), signer })
    }

    /// Refuses a node that the contract does not allow; `now` in Unix seconds.
    pub(super) async fn admit(
        &self,
        quote: &VerifiedQuote,
        os_image_manifest: &[u8],
        now: u64,
    ) -> Result<(), BootError> {
        let manifest = OsImageManifest::parse(os_image_manifest).map_err(BootError::Node)?;
        manifest.check_runs(quote.td()).map_err(BootError::Node)?;
        let question = Question::Kms(kms_boot_info(quote, manifest.hash()));
        self.await_heads().await.map_err(BootError::Chain)?;
        let denial = match self.reader.ask(&question, now).await {
            Ok(reading) => reading.into_parts().0.denial,
            Err(deny) if deny.code.class() == DenyClass::Contract => Some(deny),
            Err(deny) => return Err(BootError::Chain(deny)),
        };
        denial.map_or(Ok(()), |deny| Err(BootError::NotAllowed(deny)))
    }

    /// Waits for the first heads. Later ones are there; how old they are is checked when they are used.
    async fn await_heads(&self) -> Result<(), ChainDeny> {
        let feed = self.reader.feed();
        match feed.current() {
            Ok(_) => Ok(()),
            Err(_) => feed.refreshed().await.map(drop),
        }
    }
}

/// One provider alone would say which chain there is.
fn check_several(hosts: &BTreeSet<String>) -> Result<(), ChainDeny> {
    if hosts.len() > 1 {
        return Ok(());
    }
    let found = format!("{} hosts", hosts.len());
    let expected = format!("from 2 to {MAX_HOSTS} providers, each at a host of its own");
    Err(ChainDeny::new(ChainDenyCode::HeadUnauthenticated, found, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(chain_id: u64, providers: Providers) -> ChainDenyCode {
        let contract = Address::repeat_byte(7);
        let trust = ChainTrust { chain_id, contract, providers, transport: Transport::Secure };
        ChainPins::connect(&trust).err().unwrap().code
    }

    #[tokio::test]
    async fn chain_trust__should_be_refused_where_it_would_authenticate_nothing() {
        let quorum = |urls: &[&str], threshold| Providers::Quorum {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            threshold,
        };
        let [a, b] = ["https://a.example/", "https://b.example/"];
        let dev = Providers::InsecureDev(a.to_owned());
        assert_eq!(refused(1, dev), ChainDenyCode::DevChainOnly);
        for (urls, threshold) in
            [(&[a][..], 1), (&[a, "https://A.example/key"], 2), (&[a, b], 1), (&[a, b], 3), (&[], 1)]
        {
            assert_eq!(refused(1, quorum(urls, threshold)), ChainDenyCode::HeadUnauthenticated);
        }
        for url in ["http://a.example/", "ftp://a.example/", "a"] {
            assert_eq!(refused(1, quorum(&[url, b], 2)), ChainDenyCode::RpcConfig, "{url}");
        }
        let trust = ChainTrust {
            chain_id: 1,
            contract: Address::repeat_byte(7),
            providers: quorum(&[a, b], 2),
            transport: Transport::Secure,
        };
        assert!(ChainPins::connect(&trust).is_ok());
    }
}
