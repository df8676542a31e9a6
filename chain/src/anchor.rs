//! What makes a block header one to rely on: the configuration's trust anchor, and the only door to [`VerifiedHead`].
//!
//! A head becomes verified by [`Anchor::authenticate`] and in no other way: the type has no other constructor. The live
//! path and the auditor pass through the same door. In `quorum` mode the evidence is the set of configured hosts that
//! the node says vouched for the hash; it is as good as the record that holds it, and an auditor may ask the
//! same hosts, or others. A light client's evidence fits the same place, and proves itself.
//!
//! Pure. Called by `replay` and by the head sources. Threats: a header from nowhere, a stale or future head, a
//! development head in production, a witness replayed under another configuration.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::BlockHeader;

/// The chain id of development chains, the only one on which heads need no vouchers.
pub const DEV_CHAIN_ID: u64 = 31337;
/// The most hosts in a quorum. Each is asked for every head.
pub const MAX_HOSTS: usize = 16;
/// The longest host name, in bytes (RFC 1035).
pub const MAX_HOST_BYTES: usize = 253;

/// How old heads may be, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The latest head: seven blocks of Ethereum, so that a revocation counts within a minute and a half.
    pub latest_max_age: u64,
    /// The finalized head: two epochs and as much again.
    pub finalized_max_age: u64,
    /// How far in the future a head may be: the drift that consensus clients tolerate.
    pub max_future: u64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { latest_max_age: 90, finalized_max_age: 30 * 60, max_future: 15 }
    }
}

/// At which heads a grant must hold. A revocation always counts from the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantAt {
    /// The latest verified head, after the configured number of confirmations.
    #[serde(rename = "latest")]
    Latest,
    /// That one, and the finalized head.
    #[serde(rename = "latest+finalized")]
    LatestAndFinalized,
}

/// Which of the two heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The latest block less the confirmations.
    Latest,
    /// The finalized block.
    Finalized,
}

/// Who vouches for heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum HeadTrust {
    /// Nobody: a development chain.
    Dev,
    /// At least `threshold` of these hosts, each under its own name.
    Quorum {
        /// The hosts' names.
        hosts: BTreeSet<String>,
        /// How many of them must agree on a block's hash.
        threshold: usize,
    },
}

/// The configuration that decides what is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    chain_id: u64,
    contract: Address,
    trust: HeadTrust,
    grant_at: GrantAt,
    freshness: Freshness,
    digest: B256,
}

/// A header and who vouched for it: what a witness carries, and what nobody has to believe yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadEvidence {
    /// The header.
    pub header: BlockHeader,
    /// The hosts that named this block's hash; none on a development chain.
    pub vouchers: BTreeSet<String>,
}

/// A header that the anchor vouches for, fresh at the time it was checked. Only [`Anchor::authenticate`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHead {
    header: BlockHeader,
    level: Level,
}

impl VerifiedHead {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Which head it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }
}

impl Anchor {
    /// A trust anchor. Refused with `dev-chain-only` or `head-unauthenticated` where it would authenticate nothing.
    pub fn new(
        chain_id: u64,
        contract: Address,
        trust: HeadTrust,
        grant_at: GrantAt,
        freshness: Freshness,
    ) -> Result<Self, ChainDeny> {
        check_trust(chain_id, &trust)?;
        let digest = digest(chain_id, contract, &trust, grant_at, freshness);
        Ok(Self { chain_id, contract, trust, grant_at, freshness, digest })
    }

    /// The chain.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The `DstackKms` that is asked.
    #[must_use]
    pub const fn contract(&self) -> Address {
        self.contract
    }

    /// At which heads a grant must hold.
    #[must_use]
    pub const fn grant_at(&self) -> GrantAt {
        self.grant_at
    }

    /// Who vouches for heads.
    #[must_use]
    pub const fn trust(&self) -> &HeadTrust {
        &self.trust
    }

    /// keccak over everything in the anchor: its name in a witness.
    #[must_use]
    pub const fn digest(&self) -> B256 {
        self.digest
    }

    /// A head that may be relied on at `now` (Unix seconds).
    ///
    /// Refused with `head-unauthenticated`, `head-stale`, `finalized-stale` or `head-from-future`.
    pub fn authenticate(
        &self,
        level: Level,
        evidence: &HeadEvidence,
        now: u64,
    ) -> Result<VerifiedHead, ChainDeny> {
        self.check_vouchers(&evidence.vouchers)?;
        self.check_fresh(level, evidence.header.timestamp(), now)?;
        Ok(VerifiedHead { header: evidence.header.clone(), level })
    }

    /// The time, in Unix seconds: a clock's, but not before this head's, as far as the head itself may be ahead of that clock.
    ///
    /// A head that is further ahead moves nothing, so that [`Self::authenticate`] refuses it by the time that comes out.
    /// The clock must not have been set by this head.
    #[must_use]
    pub fn time(&self, clock: u64, latest: &HeadEvidence) -> u64 {
        let timestamp = latest.header.timestamp();
        let believed = timestamp <= clock.saturating_add(self.freshness.max_future);
        if believed { clock.max(timestamp) } else { clock }
    }

    fn check_vouchers(&self, vouchers: &BTreeSet<String>) -> Result<(), ChainDeny> {
        let (known, threshold) = match &self.trust {
            HeadTrust::Dev => (vouchers.is_empty(), 0),
            HeadTrust::Quorum { hosts, threshold } => (vouchers.is_subset(hosts), *threshold),
        };
        if known && vouchers.len() >= threshold {
            return Ok(());
        }
        let found = format!("{} vouchers, all configured: {known}", vouchers.len());
        let expected = format!("at least {threshold} of the configured hosts");
        Err(ChainDeny::new(ChainDenyCode::HeadUnauthenticated, found, expected))
    }

    pub(crate) fn check_fresh(&self, level: Level, timestamp: u64, now: u64) -> Result<(), ChainDeny> {
        let Freshness { latest_max_age, finalized_max_age, max_future } = self.freshness;
        let (code, max) = match level {
            Level::Latest => (ChainDenyCode::HeadStale, latest_max_age),
            Level::Finalized => (ChainDenyCode::FinalizedStale, finalized_max_age),
        };
        let age = now.saturating_sub(timestamp);
        if age > max {
            let found = format!("{age} s old");
            return Err(ChainDeny::new(code, found, format!("at most {max} s old")));
        }
        let ahead = timestamp.saturating_sub(now);
        if ahead > max_future {
            let found = format!("{ahead} s ahead of the clock, which says {now}");
            let expected = format!("at most {max_future} s ahead of a clock that is right");
            return Err(ChainDeny::new(ChainDenyCode::HeadFromFuture, found, expected));
        }
        Ok(())
    }
}

fn check_trust(chain_id: u64, trust: &HeadTrust) -> Result<(), ChainDeny> {
    match trust {
        HeadTrust::Dev if chain_id == DEV_CHAIN_ID => Ok(()),
        HeadTrust::Dev => {
            let found = format!("chain id {chain_id}");
            Err(ChainDeny::new(ChainDenyCode::DevChainOnly, found, format!("chain id {DEV_CHAIN_ID}")))
        }
        HeadTrust::Quorum { hosts, threshold } => {
            let named = hosts.iter().all(|host| !host.is_empty() && host.len() <= MAX_HOST_BYTES);
            // Fewer than a majority could vouch for two different chains at once.
            let majority = *threshold > hosts.len() / 2 && *threshold <= hosts.len();
            if named && majority && hosts.len() <= MAX_HOSTS {
                return Ok(());
            }
            let found = format!("{threshold} of {} hosts", hosts.len());
            let expected = format!("a majority of at most {MAX_HOSTS} named hosts");
            Err(ChainDeny::new(ChainDenyCode::HeadUnauthenticated, found, expected))
        }
    }
}

fn digest(
    chain_id: u64,
    contract: Address,
    trust: &HeadTrust,
    grant_at: GrantAt,
    freshness: Freshness,
) -> B256 {
    let Freshness { latest_max_age, finalized_max_age, max_future } = freshness;
    let mut bytes = b"onchain-kms/anchor/v1".to_vec();
    for number in [chain_id, latest_max_age, finalized_max_age, max_future] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(contract);
    bytes.push(match grant_at {
        GrantAt::Latest => 0,
        GrantAt::LatestAndFinalized => 1,
    });
    match trust {
        HeadTrust::Dev => bytes.push(0),
        HeadTrust::Quorum { hosts, threshold } => {
            bytes.push(1);
            bytes.extend((*threshold as u64).to_be_bytes());
            for host in hosts {
                bytes.extend((host.len() as u64).to_be_bytes());
                bytes.extend(host.as_bytes());
            }
        }
    }
    keccak256(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::header;

    const NOW: u64 = 1_800_000_000;

    fn hosts(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn anchor(trust: HeadTrust) -> Result<Anchor, ChainDeny> {
        Anchor::new(31337, Address::ZERO, trust, GrantAt::Latest, Freshness::default())
    }

    fn authenticate(vouchers: &[&str], level: Level, timestamp: u64) -> Result<VerifiedHead, ChainDenyCode> {
        let quorum = HeadTrust::Quorum { hosts: hosts(&["a", "b", "c"]), threshold: 2 };
        anchor(quorum)
            .unwrap()
            .authenticate(level, &evidence(vouchers, timestamp), NOW)
            .map_err(|deny| deny.code)
    }

    fn evidence(vouchers: &[&str], timestamp: u64) -> HeadEvidence {
        let header = BlockHeader::parse(header(B256::ZERO, 5, timestamp)).unwrap();
        HeadEvidence { header, vouchers: hosts(vouchers) }
    }

    #[test]
    fn authenticate__should_need_enough_configured_hosts() {
        assert!(authenticate(&["a", "c"], Level::Latest, NOW).is_ok());
        for few in [&[][..], &["a"], &["a", "x"], &["a", "b", "x"]] {
            let refused = authenticate(few, Level::Latest, NOW).unwrap_err();
            assert_eq!(refused, ChainDenyCode::HeadUnauthenticated);
        }
    }

    #[test]
    fn authenticate__should_bound_age_and_future_exactly() {
        let check = |level, timestamp| authenticate(&["a", "b"], level, timestamp).map(|_| ());
        assert_eq!(check(Level::Latest, NOW - 90), Ok(()));
        assert_eq!(check(Level::Latest, NOW - 91), Err(ChainDenyCode::HeadStale));
        assert_eq!(check(Level::Finalized, NOW - 1800), Ok(()));
        assert_eq!(check(Level::Finalized, NOW - 1801), Err(ChainDenyCode::FinalizedStale));
        assert_eq!(check(Level::Latest, NOW + 15), Ok(()));
        assert_eq!(check(Level::Latest, NOW + 16), Err(ChainDenyCode::HeadFromFuture));
    }

    #[test]
    fn time__should_follow_a_head_no_further_than_it_may_be_ahead() {
        let quorum = HeadTrust::Quorum { hosts: hosts(&["a"]), threshold: 1 };
        let anchor = anchor(quorum).unwrap();
        let latest = |timestamp| evidence(&["a"], timestamp);
        for (timestamp, time) in [(NOW - 90, NOW), (NOW, NOW), (NOW + 15, NOW + 15), (NOW + 16, NOW)] {
            assert_eq!(anchor.time(NOW, &latest(timestamp)), time);
        }
        // By the time that comes out, a head is refused or not as by the clock.
        for (timestamp, accepted) in [(NOW + 15, true), (NOW + 16, false), (u64::MAX, false)] {
            let head = latest(timestamp);
            assert_eq!(anchor.authenticate(Level::Latest, &head, anchor.time(NOW, &head)).is_ok(), accepted);
        }
    }

    #[test]
    fn anchor__should_refuse_trust_that_authenticates_nothing() {
        let dev =
            Anchor::new(1, Address::ZERO, HeadTrust::Dev, GrantAt::Latest, Freshness::default()).unwrap_err();
        assert_eq!(dev.code, ChainDenyCode::DevChainOnly);
        for (names, threshold) in [(&[][..], 0), (&["a", "b"], 1), (&["a"], 2), (&["a", ""], 2)] {
            let refused = anchor(HeadTrust::Quorum { hosts: hosts(names), threshold });
            assert_eq!(refused.unwrap_err().code, ChainDenyCode::HeadUnauthenticated);
        }
    }

    #[test]
    fn anchor__should_have_another_digest_for_every_other_setting() {
        let of = |chain, grant, freshness| {
            let quorum = HeadTrust::Quorum { hosts: hosts(&["a"]), threshold: 1 };
            Anchor::new(chain, Address::ZERO, quorum, grant, freshness).unwrap().digest()
        };
        let base = of(1, GrantAt::Latest, Freshness::default());
        let other = Freshness { max_future: 16, ..Freshness::default() };
        assert_ne!(base, of(2, GrantAt::Latest, Freshness::default()));
        assert_ne!(base, of(1, GrantAt::LatestAndFinalized, Freshness::default()));
        assert_ne!(base, of(1, GrantAt::Latest, other));
    }
}
