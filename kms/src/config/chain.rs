//! `[chain]`: which contract is asked, on which chain, and who vouches for the chain's heads.
//!
//! Everything here but URLs, transport and timing decides what is believed, and is in the policy digest. Threat: a
//! configuration under which one party could make the node believe a chain of its own.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use kms_chain::anchor::{DEV_CHAIN_ID, MAX_HOSTS};
use kms_chain::heads::{CONFIRMATIONS, POLL_EVERY, STALL_AFTER};
use kms_chain::{
    Anchor, ChainDeny, FeedTiming, Freshness, GrantAt, HeadTrust, RpcLimits, Transport, parse_address,
};

use super::fault::FaultCode;
use super::reader::{Read, Section};
use super::rpc_url::RpcUrl;
use super::tree::Node;
use super::value::{Bounds, Sink, Value};

/// A chain's id. JSON numbers are exact up to 2^53.
pub const CHAIN_ID: Bounds = Bounds::new(0, 1, (1 << 53) - 1);
/// How many providers must agree.
pub const QUORUM: Bounds = Bounds::new(0, 1, MAX_HOSTS as u64);
/// The blocks on top of the latest head that counts. More make a revocation later: 64 are thirteen minutes.
pub const CONFIRMATION_BLOCKS: Bounds = Bounds::new(CONFIRMATIONS, 0, 64);
/// The greatest age of the latest head, in seconds: seven blocks of Ethereum. A revocation counts within it.
pub const LATEST_MAX_AGE_S: Bounds = Bounds::new(90, 1, 60 * 60);
/// The greatest age of the finalized head, in seconds: two epochs of Ethereum, and as much again.
pub const FINALIZED_MAX_AGE_S: Bounds = Bounds::new(30 * 60, 1, 24 * 60 * 60);
/// How far in the future a head may be, in seconds: the drift that consensus clients tolerate.
pub const MAX_FUTURE_S: Bounds = Bounds::new(15, 0, 60);
/// How often heads are asked for, in milliseconds: a few times per block.
pub const POLL_EVERY_MS: Bounds = Bounds::new(POLL_EVERY.as_secs() * 1000, 100, 60_000);
/// How long the latest head may stand still, in seconds: five blocks, of which a few may be empty.
pub const STALL_AFTER_S: Bounds = Bounds::new(STALL_AFTER.as_secs(), 1, 60 * 60);

/// The providers, and how many of them must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Providers {
    /// A development chain: one provider, whose heads nobody vouches for.
    InsecureDev(RpcUrl),
    /// A majority of several.
    Quorum {
        /// Their URLs, of distinct hosts.
        urls: Vec<RpcUrl>,
        /// How many must agree.
        threshold: usize,
    },
}

impl Providers {
    /// The URLs.
    #[must_use]
    pub fn urls(&self) -> &[RpcUrl] {
        match self {
            Self::InsecureDev(url) => std::slice::from_ref(url),
            Self::Quorum { urls, .. } => urls,
        }
    }

    /// The trust of an anchor over them.
    #[must_use]
    pub fn trust(&self) -> HeadTrust {
        match self {
            Self::InsecureDev(_) => HeadTrust::Dev,
            Self::Quorum { urls, threshold } => {
                let hosts = urls.iter().map(|url| url.host().to_owned()).collect();
                HeadTrust::Quorum { hosts, threshold: *threshold }
            }
        }
    }
}

/// Which contract is asked, and what is believed of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The chain.
    pub chain_id: u64,
    /// `DstackKms`.
    pub contract: Address,
    /// At which heads a grant must hold.
    pub grant_at: GrantAt,
    /// The blocks on top of the latest head that counts; none on a development chain.
    pub confirmations: u64,
    /// Who vouches for heads.
    pub providers: Providers,
    /// Whether providers may be reached without TLS.
    pub transport: Transport,
    /// How old heads may be.
    pub freshness: Freshness,
    /// When heads are asked for.
    pub timing: FeedTiming,
}

impl Chain {
    /// What is believed of the chain.
    pub fn anchor(&self) -> Result<Anchor, ChainDeny> {
        Anchor::new(self.chain_id, self.contract, self.providers.trust(), self.grant_at, self.freshness)
    }

    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let chain_id = section.required_number("chain_id", CHAIN_ID);
        let contract = section.required::<Contract>("contract");
        let grants = [("latest+finalized", GrantAt::LatestAndFinalized)];
        let grant_at = section.choice("grant_at", ("latest", GrantAt::Latest), &grants);
        let (providers, confirmations) = read_providers(section, chain_id);
        let transport = read_transport(section, providers.as_ref());
        let freshness = Freshness {
            latest_max_age: section.number("latest_max_age_s", LATEST_MAX_AGE_S),
            finalized_max_age: section.number("finalized_max_age_s", FINALIZED_MAX_AGE_S),
            max_future: section.number("max_future_s", MAX_FUTURE_S),
        };
        let timing = FeedTiming {
            poll_every: section.millis("poll_every_ms", POLL_EVERY_MS),
            stall_after: section.seconds("stall_after_s", STALL_AFTER_S),
        };
        if timing.poll_every >= timing.stall_after {
            let found = format!("{} ms", timing.poll_every.as_millis());
            section.fault(FaultCode::Conflict, "poll_every_ms", found, "less than stall_after_s");
        }
        let (chain_id, Contract(contract), providers) = (chain_id?, contract?, providers?);
        Some(Self { chain_id, contract, grant_at, confirmations, providers, transport, freshness, timing })
    }
}

fn read_providers(section: &mut Section<'_>, chain_id: Option<u64>) -> (Option<Providers>, u64) {
    let dev = section.or("insecure_dev_chain", false);
    let single = section.or("insecure_single_provider", false);
    let urls = section.required::<Vec<RpcUrl>>("rpc");
    if dev {
        if chain_id.is_some_and(|id| id != DEV_CHAIN_ID) {
            let expected = format!("false, or chain_id = {DEV_CHAIN_ID}");
            section.fault(FaultCode::Conflict, "insecure_dev_chain", "another chain", &expected);
        }
        forbid_for_dev(section);
        return (urls.and_then(|urls| sole_provider(section, urls)), 0);
    }
    let threshold = section.required_number("quorum", QUORUM);
    let confirmations = section.number("confirmations", CONFIRMATION_BLOCKS);
    let providers = urls.zip(threshold).map(|(urls, threshold)| {
        let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
        check_quorum(section, &urls, threshold, single);
        Providers::Quorum { urls, threshold }
    });
    (providers, confirmations)
}

/// Keys that would have no meaning, and whose author expects more than a development chain gives.
fn forbid_for_dev(section: &mut Section<'_>) {
    for key in ["quorum", "confirmations"] {
        if !matches!(section.optional::<Anything>(key), Read::Absent) {
            section.fault(FaultCode::Conflict, key, "a value", "no such key beside insecure_dev_chain");
        }
    }
}

fn sole_provider(section: &mut Section<'_>, urls: Vec<RpcUrl>) -> Option<Providers> {
    let found = format!("{} providers", urls.len());
    let Ok([url]) = <[RpcUrl; 1]>::try_from(urls) else {
        section.fault(FaultCode::Conflict, "rpc", found, "one provider beside insecure_dev_chain");
        return None;
    };
    Some(Providers::InsecureDev(url))
}

fn check_quorum(section: &mut Section<'_>, urls: &[RpcUrl], threshold: usize, single: bool) {
    let hosts: BTreeSet<&str> = urls.iter().map(RpcUrl::host).collect();
    if hosts.len() < urls.len() {
        let found = format!("{} providers at {} hosts", urls.len(), hosts.len());
        section.fault(
            FaultCode::Conflict,
            "rpc",
            found,
            "each provider at a host of its own: one host is one voice",
        );
    }
    let least = if single { 1 } else { 2 };
    if !(least..=MAX_HOSTS).contains(&urls.len()) {
        let expected = format!("from {least} to {MAX_HOSTS}; one alone needs insecure_single_provider");
        section.fault(FaultCode::OutOfRange, "rpc", format!("{} providers", urls.len()), &expected);
    } else if !(urls.len() / 2 + 1..=urls.len()).contains(&threshold) {
        // Fewer than a majority could vouch for two chains at once.
        let expected = format!("a majority, from {} to {}", urls.len() / 2 + 1, urls.len());
        section.fault(FaultCode::Conflict, "quorum", format!("{threshold} of {}", urls.len()), &expected);
    }
}

fn read_transport(section: &mut Section<'_>, providers: Option<&Providers>) -> Transport {
    let plain = section.or("insecure_plain_http", false);
    let transport = if plain { Transport::InsecurePlainHttp } else { Transport::Secure };
    let urls = providers.map(Providers::urls).unwrap_or_default();
    for url in urls {
        if let Err(refused) = url.client(transport, RpcLimits::default()) {
            let expected = "https; http to an address of this machine alone";
            section.fault(FaultCode::InvalidValue, "rpc", format!("{url}, which {refused}"), expected);
        }
    }
    transport
}

/// The contract's address.
struct Contract(Address);

impl Value for Contract {
    const EXPECTED: &'static str =
        "0x and 40 hexadecimal digits, not all zero; in mixed case with a right EIP-55 checksum";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        sink.parsed(node, |text| {
            let with_prefix = text.starts_with("0x").then_some(text)?;
            parse_address(with_prefix).ok().map(Self)
        })
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// A value that nobody looks at.
struct Anything;

impl Value for Anything {
    const EXPECTED: &'static str = "nothing";

    fn read(_: &mut Sink<'_>, _: &Node) -> Option<Self> {
        Some(Self)
    }

    fn show(&self) -> String {
        "something".to_owned()
    }
}
