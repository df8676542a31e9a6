//! A block header, read from the exact bytes whose hash names the block.
//!
//! Owns reading and hashing. Never says that a header is part of the chain: that takes an `Anchor` (module
//! `anchor`), so that nothing here can be mistaken for a verified head. Threat: a provider whose header does not
//! have the announced hash, or has slack in which something could hide.

use alloy::consensus::Header;
use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::rlp::Decodable;

use crate::deny::{ChainDeny, ChainDenyCode};

/// The largest header, in bytes. Ethereum's has 650; those of other chains carry more extra data.
pub const MAX_HEADER_BYTES: usize = 4096;

/// The rules of execution that a block is under, as far as a view call can tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fork {
    /// Before withdrawals: the Merge or earlier, executed by the Merge's rules.
    Paris,
    /// Withdrawals.
    Shanghai,
    /// Blobs.
    Cancun,
    /// Requests: Prague or Osaka, which no header tells apart; executed by Osaka's rules. Every chain of Ethereum's own has
    /// had them since 2025, and heads are minutes old. Where a chain stayed at Prague, a view call differs in three
    /// things that `DstackKms` and `DstackApp` (compiled for Cancun) do not use: CLZ is an instruction, P256VERIFY
    /// answers at 0x100, and MODEXP is dearer and bounded. A schedule of forks by chain id would tell them apart, and be wrong
    /// at the next fork of a chain that nobody updated here.
    Osaka,
    /// Block access lists.
    Amsterdam,
}

/// A header that was read completely: encoding it again gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    hash: B256,
    header: Header,
    rlp: Bytes,
}

impl BlockHeader {
    /// Reads a header from its RLP encoding. Refused with `header-malformed`.
    pub fn parse(rlp: Bytes) -> Result<Self, ChainDeny> {
        if rlp.len() > MAX_HEADER_BYTES {
            let expected = format!("at most {MAX_HEADER_BYTES} bytes");
            return Err(malformed(format!("{} bytes", rlp.len()), expected));
        }
        let mut rest = rlp.as_ref();
        let header = Header::decode(&mut rest)
            .map_err(|error| malformed(error.to_string(), "the RLP of a block header".to_owned()))?;
        if alloy::rlp::encode(&header) != rlp {
            let expected = "bytes that encode nothing but the header's fields".to_owned();
            return Err(malformed("other bytes than the header's fields encode to".to_owned(), expected));
        }
        Ok(Self { hash: keccak256(&rlp), header, rlp })
    }

    /// Refuses with `header-hash-mismatch` a header that is not the announced one.
    pub fn expect_hash(self, announced: B256) -> Result<Self, ChainDeny> {
        if self.hash == announced {
            return Ok(self);
        }
        Err(ChainDeny::new(ChainDenyCode::HeaderHashMismatch, self.hash, announced))
    }

    /// keccak of the header's RLP: the block's name.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The bytes that the hash is of.
    #[must_use]
    pub const fn rlp(&self) -> &Bytes {
        &self.rlp
    }

    /// The block's height.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.header.number
    }

    /// When the block was made, in Unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.header.timestamp
    }

    /// The root of the state after the block.
    #[must_use]
    pub const fn state_root(&self) -> B256 {
        self.header.state_root
    }

    /// The fee per gas that is burnt, in wei; zero before it existed.
    #[must_use]
    pub fn base_fee(&self) -> u64 {
        self.header.base_fee_per_gas.unwrap_or(0)
    }

    /// The beacon chain's randomness.
    #[must_use]
    pub const fn prev_randao(&self) -> B256 {
        self.header.mix_hash
    }

    /// Who receives the fees.
    #[must_use]
    pub const fn coinbase(&self) -> Address {
        self.header.beneficiary
    }

    /// The most gas that the block may use.
    #[must_use]
    pub const fn gas_limit(&self) -> u64 {
        self.header.gas_limit
    }

    pub(crate) const fn slot_number(&self) -> Option<u64> {
        self.header.slot_number
    }

    /// Each fork added fields, so that the header itself says which rules hold, on every chain alike.
    pub(crate) const fn fork(&self) -> Fork {
        let header = &self.header;
        if header.block_access_list_hash.is_some() {
            Fork::Amsterdam
        } else if header.requests_hash.is_some() {
            Fork::Osaka
        } else if header.excess_blob_gas.is_some() {
            Fork::Cancun
        } else if header.withdrawals_root.is_some() {
            Fork::Shanghai
        } else {
            Fork::Paris
        }
    }
}

fn malformed(found: String, expected: String) -> ChainDeny {
    ChainDeny { code: ChainDenyCode::HeaderMalformed, found, expected }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::hex;

    use super::*;

    fn sample() -> Header {
        Header {
            number: 21_000_000,
            timestamp: 1_800_000_000,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(B256::repeat_byte(1)),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(5),
            parent_beacon_block_root: Some(B256::repeat_byte(2)),
            requests_hash: Some(B256::repeat_byte(3)),
            ..Header::default()
        }
    }

    #[test]
    fn header__should_have_the_hash_of_ethereums_genesis() {
        let genesis = Header {
            state_root: hex!("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544").into(),
            gas_limit: 5000,
            difficulty: alloy::primitives::U256::from(17_179_869_184_u64),
            nonce: hex!("0000000000000042").into(),
            extra_data: hex!("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa").into(),
            ..Header::default()
        };
        let parsed = BlockHeader::parse(alloy::rlp::encode(genesis).into()).unwrap();
        let expected = hex!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
        assert_eq!(parsed.hash(), B256::from(expected));
        assert_eq!(parsed.fork(), Fork::Paris);
        assert!(parsed.expect_hash(expected.into()).is_ok());
    }

    #[test]
    fn header__should_be_refused_under_another_hash() {
        let header = BlockHeader::parse(alloy::rlp::encode(sample()).into()).unwrap();
        assert_eq!((header.number(), header.fork()), (21_000_000, Fork::Osaka));
        let refused = header.expect_hash(B256::ZERO).unwrap_err();
        assert_eq!(refused.code, ChainDenyCode::HeaderHashMismatch);
    }

    #[test]
    fn header__should_refuse_slack_and_junk() {
        let rlp = alloy::rlp::encode(sample());
        let mut longer = rlp.clone();
        longer.push(0);
        for bytes in [longer, rlp[..rlp.len() - 1].to_vec(), vec![], vec![0xc0], vec![0xff; 5000]] {
            let refused = BlockHeader::parse(bytes.into()).unwrap_err();
            assert_eq!(refused.code, ChainDenyCode::HeaderMalformed);
        }
    }

    #[test]
    fn header__should_change_its_hash_with_every_byte() {
        let rlp = alloy::rlp::encode(sample());
        let hash = keccak256(&rlp);
        for at in 0..rlp.len() {
            let mut changed = rlp.clone();
            changed[at] ^= 1;
            let read = BlockHeader::parse(changed.into()).and_then(|header| header.expect_hash(hash));
            assert!(read.is_err(), "byte {at}");
        }
    }
}
