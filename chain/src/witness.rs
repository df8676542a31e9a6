//! Everything that a decision rests on, in one canonical form: enough to decide again with no network.
//!
//! ```text
//! version u8 = 1 | chain id u64 | DstackKms 20 | anchor digest 32 | clock u64 (Unix seconds)
//! call data | head | finalized u8 (0, or 1 and a head) | nodes | codes
//! head  = header RLP | vouchers (count u32, each a field, ascending)
//! nodes, codes = count u32, each a field, ascending by bytes
//! field = length u32 | bytes                              all integers big-endian
//! ```
//!
//! One witness has one encoding: reading and writing it again must give the same bytes, or it is refused. That it
//! holds nothing superfluous is checked by `replay`, which alone knows what is used. Ages of heads are not stored:
//! they follow from the clock. Threat: evidence that reads differently to different readers.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, Bytes, keccak256};

use crate::anchor::{Anchor, HeadEvidence, MAX_HOST_BYTES, MAX_HOSTS};
use crate::codes::KnownCodes;
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::evm::AnalysedCodes;
use crate::header::{BlockHeader, MAX_HEADER_BYTES};
use crate::question::{MAX_CALL_BYTES, Question};
use crate::trie::{HashedBytes, MAX_NODE_BYTES};

/// The largest witness, in bytes. A genuine one has 20-100 KiB.
pub const MAX_WITNESS_BYTES: usize = 8 * 1024 * 1024;
/// The largest code of one contract, in bytes (EIP-7954; 24 KiB before).
pub const MAX_CODE_BYTES: usize = 64 * 1024;
const VERSION: u8 = 1;

/// The evidence of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub(crate) chain_id: u64,
    pub(crate) contract: Address,
    pub(crate) anchor: B256,
    pub(crate) clock: u64,
    pub(crate) call: Bytes,
    pub(crate) latest: HeadEvidence,
    pub(crate) finalized: Option<HeadEvidence>,
    pub(crate) nodes: HashedBytes,
    pub(crate) codes: HashedBytes,
    /// What is known already of the codes; none of it is written.
    pub(crate) analysed: AnalysedCodes,
}

impl Witness {
    /// A witness that proves nothing yet: the question, the heads and the clock (Unix seconds) of a decision.
    #[must_use]
    pub fn new(
        anchor: &Anchor,
        question: &Question,
        latest: HeadEvidence,
        finalized: Option<HeadEvidence>,
        clock: u64,
    ) -> Self {
        Self::of_call(anchor, question.call_data(), latest, finalized, clock)
    }

    /// The same, of another call than a question's.
    pub(crate) fn of_call(
        anchor: &Anchor,
        call: Bytes,
        latest: HeadEvidence,
        finalized: Option<HeadEvidence>,
        clock: u64,
    ) -> Self {
        Self {
            chain_id: anchor.chain_id(),
            contract: anchor.contract(),
            anchor: anchor.digest(),
            clock,
            call,
            latest,
            finalized,
            nodes: HashedBytes::default(),
            codes: HashedBytes::default(),
            analysed: AnalysedCodes::default(),
        }
    }

    /// Adds a trie node; where it belongs follows from its hash.
    pub fn add_node(&mut self, node: Bytes) {
        self.nodes.insert(node);
    }

    /// Adds a contract's code and says which hash it has.
    pub fn add_code(&mut self, code: Bytes) -> B256 {
        self.codes.insert(code)
    }

    /// The contracts' codes, in the order in which they end the canonical bytes: each after its length (u32).
    #[must_use]
    pub fn codes(&self) -> Vec<&Bytes> {
        sorted(&self.codes)
    }

    /// The clock that the decision was made by, in Unix seconds.
    #[must_use]
    pub const fn clock(&self) -> u64 {
        self.clock
    }

    /// The bytes of nodes and codes: what a provider can make grow.
    #[must_use]
    pub fn evidence_bytes(&self) -> usize {
        self.nodes.total_bytes() + self.codes.total_bytes()
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.evidence_bytes() + 4096);
        out.push(VERSION);
        out.extend(self.chain_id.to_be_bytes());
        out.extend(self.contract);
        out.extend(self.anchor);
        out.extend(self.clock.to_be_bytes());
        put(&mut out, &self.call);
        put_head(&mut out, &self.latest);
        out.push(u8::from(self.finalized.is_some()));
        if let Some(head) = &self.finalized {
            put_head(&mut out, head);
        }
        put_sorted(&mut out, &self.nodes);
        put_sorted(&mut out, &self.codes);
        out
    }

    /// keccak of the canonical bytes: the witness's name in a record.
    #[must_use]
    pub fn digest(&self) -> B256 {
        keccak256(self.encode())
    }

    /// Reads a witness. Refused with `witness-too-large`, `witness-version-unsupported`, `witness-malformed`,
    /// `witness-not-canonical` or `header-malformed`.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChainDeny> {
        Self::decode_with(bytes, &KnownCodes::default())
    }

    /// The same, where contracts' codes that were read before are neither hashed nor analysed again: for whoever reads many.
    pub fn decode_with(bytes: &[u8], known: &KnownCodes) -> Result<Self, ChainDeny> {
        if bytes.len() > MAX_WITNESS_BYTES {
            let expected = format!("at most {MAX_WITNESS_BYTES} bytes");
            return Err(ChainDeny::new(ChainDenyCode::WitnessTooLarge, bytes.len(), expected));
        }
        let mut reader = Reader(bytes);
        let witness = reader.witness(known)?;
        // Order, duplicates and trailing bytes are all caught by this one comparison.
        if witness.encode() != bytes {
            let expected = "the bytes that the same witness encodes to";
            return Err(ChainDeny::new(ChainDenyCode::WitnessNotCanonical, "other bytes", expected));
        }
        Ok(witness)
    }

    /// Reads the witness that a record names by its digest; any other is refused with `witness-digest-mismatch`.
    pub fn decode_recorded(bytes: &[u8], digest: B256) -> Result<Self, ChainDeny> {
        let found = keccak256(bytes);
        if found != digest {
            return Err(ChainDeny::new(ChainDenyCode::WitnessDigestMismatch, found, digest));
        }
        Self::decode(bytes)
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // Everything that is written is bounded far below 4 GiB; a count that is not could never be read back.
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn put_head(out: &mut Vec<u8>, head: &HeadEvidence) {
    put(out, head.header.rlp());
    put_count(out, head.vouchers.len());
    for voucher in &head.vouchers {
        put(out, voucher.as_bytes());
    }
}

fn put_sorted(out: &mut Vec<u8>, set: &HashedBytes) {
    let entries = sorted(set);
    put_count(out, entries.len());
    for entry in entries {
        put(out, entry);
    }
}

fn sorted(set: &HashedBytes) -> Vec<&Bytes> {
    let mut entries: Vec<&Bytes> = set.iter().map(|(_, bytes)| bytes).collect();
    entries.sort_unstable();
    entries
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn witness(&mut self, known: &KnownCodes) -> Result<Witness, ChainDeny> {
        let [version] = self.array()?;
        if version != VERSION {
            return Err(ChainDeny::new(ChainDenyCode::WitnessVersion, version, VERSION));
        }
        let mut witness = Witness {
            chain_id: u64::from_be_bytes(self.array()?),
            contract: Address::from(self.array::<20>()?),
            anchor: B256::from(self.array::<32>()?),
            clock: u64::from_be_bytes(self.array()?),
            call: Bytes::copy_from_slice(self.field(MAX_CALL_BYTES)?),
            latest: self.head()?,
            finalized: match self.array()? {
                [0] => None,
                [1] => Some(self.head()?),
                _ => return Err(malformed("a flag that is neither 0 nor 1")),
            },
            nodes: self.nodes()?,
            codes: HashedBytes::default(),
            analysed: AnalysedCodes::default(),
        };
        for _ in 0..self.count()? {
            let code = known.read(self.field(MAX_CODE_BYTES)?);
            if let Some(analysed) = &code.analysed {
                witness.analysed.insert(code.hash, analysed.clone());
            }
            witness.codes.insert_hashed(code.hash, code.bytes.clone());
        }
        Ok(witness)
    }

    fn head(&mut self) -> Result<HeadEvidence, ChainDeny> {
        let header = BlockHeader::parse(Bytes::copy_from_slice(self.field(MAX_HEADER_BYTES)?))?;
        let count = self.count()?;
        if count > MAX_HOSTS {
            return Err(malformed("too many vouchers"));
        }
        let mut vouchers = BTreeSet::new();
        for _ in 0..count {
            let host = std::str::from_utf8(self.field(MAX_HOST_BYTES)?);
            vouchers.insert(host.map_err(|_| malformed("a host that is not text"))?.to_owned());
        }
        Ok(HeadEvidence { header, vouchers })
    }

    fn nodes(&mut self) -> Result<HashedBytes, ChainDeny> {
        let mut nodes = HashedBytes::default();
        // Each entry takes at least its length field, so that a false count ends with the input.
        for _ in 0..self.count()? {
            nodes.insert(Bytes::copy_from_slice(self.field(MAX_NODE_BYTES)?));
        }
        Ok(nodes)
    }

    fn field(&mut self, max: usize) -> Result<&'a [u8], ChainDeny> {
        let len = self.count()?;
        if len > max {
            return Err(malformed("a field too long"));
        }
        self.take(len)
    }

    fn count(&mut self) -> Result<usize, ChainDeny> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| malformed("a count too large"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ChainDeny> {
        self.take(N)?.try_into().map_err(|_| malformed("the end of the bytes"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ChainDeny> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| malformed("the end of the bytes"))?;
        self.0 = rest;
        Ok(taken)
    }
}

fn malformed(found: &str) -> ChainDeny {
    ChainDeny::new(ChainDenyCode::WitnessMalformed, found, "a witness of version 1")
}
