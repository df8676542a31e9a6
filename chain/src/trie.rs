//! A walk through a Merkle-Patricia trie, over nodes that are found by their hash and by nothing else.
//!
//! ```text
//! branch    [child 0, .., child 15, value]     child = "" | keccak (32 bytes) | the node itself (< 32 bytes)
//! extension [prefix(even 00, odd 1n), child]
//! leaf      [prefix(even 20, odd 3n), value]
//! ```
//!
//! Threat: an RPC provider that answers with part of a proof. A value is absent only if the walk itself arrives at a
//! place where another key would have to stand; a node that is not there is an error that names it, never "zero".
//! Nothing is taken from the answer but bytes whose hash is asked for. Never fetches. Called by `state`.
//!
//! Reference: Ethereum yellow paper, appendix D.

use std::collections::HashMap;

use alloy::consensus::EMPTY_ROOT_HASH;
use alloy::primitives::{B256, Bytes, keccak256};
use alloy::rlp::{self, Header};

/// The largest node, in bytes: a branch of 16 hashes has 532, the leaf of an account at most 150.
pub const MAX_NODE_BYTES: usize = 1024;
/// The largest inline child: one that is larger stands as its hash.
const MAX_EMBEDDED_BYTES: usize = 31;
/// The nibbles of a key: keys are keccak hashes.
const KEY_NIBBLES: usize = 64;

/// Why a walk ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrieError {
    /// The walk needs a node that is not in the set.
    #[error("the trie node {0} is missing")]
    MissingNode(B256),
    /// A node has the right hash and is not a trie node: the trie itself is broken.
    #[error("a trie node is malformed: {0}")]
    Malformed(&'static str),
}

/// Bytes of one kind, each found by its keccak hash, which is computed here or, for codes, was computed before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashedBytes {
    by_hash: HashMap<B256, Bytes>,
    bytes: usize,
}

impl HashedBytes {
    /// Adds the bytes under their hash, and says which that is.
    pub fn insert(&mut self, bytes: Bytes) -> B256 {
        let hash = keccak256(&bytes);
        self.insert_hashed(hash, bytes);
        hash
    }

    /// Adds bytes under a hash that was computed of these very bytes before: only [`KnownCodes`](crate::KnownCodes) knows
    /// such.
    pub(crate) fn insert_hashed(&mut self, hash: B256, bytes: Bytes) {
        let len = bytes.len();
        if self.by_hash.insert(hash, bytes).is_none() {
            self.bytes += len;
        }
    }

    /// The bytes that have this hash.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<&Bytes> {
        self.by_hash.get(hash)
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&B256, &Bytes)> {
        self.by_hash.iter()
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// The sum of the entries' lengths, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps the entries with these hashes.
    pub(crate) fn retain(&mut self, keep: impl Fn(&B256) -> bool) {
        self.by_hash.retain(|hash, _| keep(hash));
        self.bytes = self.by_hash.values().map(|bytes| bytes.len()).sum();
    }
}

/// The value at `key` in the trie with this root, over these nodes; none if the trie has no such key.
///
/// What an auditor calls who holds the proof of one account or slot. The key is the keccak hash under which it stands.
pub fn value_at<'a>(nodes: &'a HashedBytes, root: B256, key: &B256) -> Result<Option<&'a [u8]>, TrieError> {
    walk(root, key, |hash| nodes.get(hash).map(AsRef::as_ref))
}

/// The nibbles of a 32-byte key, most significant first.
fn nibbles(key: &B256) -> [u8; KEY_NIBBLES] {
    let mut out = [0; KEY_NIBBLES];
    for (pair, byte) in out.chunks_exact_mut(2).zip(key) {
        pair.copy_from_slice(&[byte >> 4, byte & 0x0f]);
    }
    out
}

/// The same over nodes that `node` finds, so that the caller sees which are used.
///
/// Whoever implements it must have hashed the bytes, as [`HashedBytes`] does.
pub(crate) fn walk<'a>(
    root: B256,
    key: &B256,
    mut node: impl FnMut(&B256) -> Option<&'a [u8]>,
) -> Result<Option<&'a [u8]>, TrieError> {
    if root == EMPTY_ROOT_HASH {
        return Ok(None);
    }
    let mut find = |hash: B256| {
        let bytes = node(&hash).ok_or(TrieError::MissingNode(hash))?;
        (bytes.len() <= MAX_NODE_BYTES).then_some(bytes).ok_or(TrieError::Malformed("a node too large"))
    };
    let mut at = find(root)?;
    let key = nibbles(key);
    let mut rest = &key[..];
    // Each step but the last uses up at least one nibble of the key, so that there are at most 65.
    loop {
        match step(Node::parse(at)?, rest)? {
            Step::End(value) => return Ok(value),
            Step::Down(child, left) => {
                rest = left;
                at = match child {
                    Child::Hash(hash) => find(hash)?,
                    Child::Embedded(bytes) => bytes,
                };
            }
        }
    }
}

/// Where one node leads.
enum Step<'a, 'k> {
    End(Option<&'a [u8]>),
    Down(Child<'a>, &'k [u8]),
}

fn step<'a, 'k>(node: Node<'a>, key: &'k [u8]) -> Result<Step<'a, 'k>, TrieError> {
    match node {
        Node::Branch { children, value } => match key.split_first() {
            None => Ok(Step::End((!value.is_empty()).then_some(value))),
            Some((nibble, left)) => {
                let child = children.get(usize::from(*nibble)).ok_or(TrieError::Malformed("a key nibble"))?;
                Ok(child.parse()?.map_or(Step::End(None), |child| Step::Down(child, left)))
            }
        },
        Node::Extension { prefix, child } => match prefix.strip_from(key) {
            None => Ok(Step::End(None)),
            Some(left) => {
                let child = child.parse()?.ok_or(TrieError::Malformed("an extension to nowhere"))?;
                Ok(Step::Down(child, left))
            }
        },
        Node::Leaf { prefix, value } => {
            let whole = prefix.strip_from(key).is_some_and(<[u8]>::is_empty);
            Ok(Step::End(whole.then_some(value)))
        }
    }
}

/// One RLP item: a string's bytes, or a list with its own encoding.
#[derive(Clone, Copy)]
enum Item<'a> {
    String(&'a [u8]),
    List { encoding: &'a [u8] },
}

impl<'a> Item<'a> {
    const EMPTY: Self = Self::String(&[]);

    fn take(input: &mut &'a [u8]) -> Result<Self, TrieError> {
        let whole = *input;
        let header = Header::decode(input).map_err(|_| TrieError::Malformed("not canonical RLP"))?;
        let (payload, rest) =
            input.split_at_checked(header.payload_length).ok_or(TrieError::Malformed("RLP cut short"))?;
        *input = rest;
        if !header.list {
            return Ok(Self::String(payload));
        }
        let encoding = whole.get(..whole.len() - rest.len()).ok_or(TrieError::Malformed("RLP cut short"))?;
        Ok(Self::List { encoding })
    }

    fn string(self) -> Result<&'a [u8], TrieError> {
        match self {
            Self::String(bytes) => Ok(bytes),
            Self::List { .. } => Err(TrieError::Malformed("a list where a string belongs")),
        }
    }

    /// The item as a node's child.
    fn parse(self) -> Result<Option<Child<'a>>, TrieError> {
        match self {
            Self::String([]) => Ok(None),
            Self::String(bytes) => {
                let hash =
                    B256::try_from(bytes).map_err(|_| TrieError::Malformed("a hash not of 32 bytes"))?;
                Ok(Some(Child::Hash(hash)))
            }
            Self::List { encoding } if encoding.len() <= MAX_EMBEDDED_BYTES => {
                Ok(Some(Child::Embedded(encoding)))
            }
            Self::List { .. } => Err(TrieError::Malformed("an inline node of 32 bytes or more")),
        }
    }
}

enum Child<'a> {
    Hash(B256),
    Embedded(&'a [u8]),
}

#[expect(clippy::large_enum_variant, reason = "lives on the stack for one step; most nodes are branches")]
enum Node<'a> {
    Branch { children: [Item<'a>; 16], value: &'a [u8] },
    Extension { prefix: Prefix<'a>, child: Item<'a> },
    Leaf { prefix: Prefix<'a>, value: &'a [u8] },
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, TrieError> {
        let mut rest = bytes;
        let mut payload = Header::decode_bytes(&mut rest, true)
            .map_err(|_: rlp::Error| TrieError::Malformed("not a canonical RLP list"))?;
        if !rest.is_empty() {
            return Err(TrieError::Malformed("bytes after a node"));
        }
        let mut items = [Item::EMPTY; 17];
        let mut count = 0;
        for slot in &mut items {
            if payload.is_empty() {
                break;
            }
            *slot = Item::take(&mut payload)?;
            count += 1;
        }
        match (count, payload, items) {
            (17, [], [children @ .., value]) => Ok(Self::Branch { children, value: value.string()? }),
            (2, [], [path, item, ..]) => Self::parse_short(path.string()?, item),
            _ => Err(TrieError::Malformed("a node of neither 2 nor 17 items")),
        }
    }

    fn parse_short(path: &'a [u8], item: Item<'a>) -> Result<Self, TrieError> {
        let (flag, rest) = path.split_first().ok_or(TrieError::Malformed("an empty path"))?;
        let first = match (flag & 0x10, flag & 0x0f) {
            (0, 0) => None,
            (0, _) => return Err(TrieError::Malformed("a path with a padded nibble")),
            (_, nibble) => Some(nibble),
        };
        let prefix = Prefix { first, rest };
        match flag >> 5 {
            // A path without nibbles would let a chain of nodes go on without using up the key.
            0 if prefix.is_empty() => Err(TrieError::Malformed("an extension of no length")),
            0 => Ok(Self::Extension { prefix, child: item }),
            1 => Ok(Self::Leaf { prefix, value: item.string()? }),
            _ => Err(TrieError::Malformed("an unknown kind of path")),
        }
    }
}

/// The nibbles that an extension or a leaf stands for.
struct Prefix<'a> {
    first: Option<u8>,
    rest: &'a [u8],
}

impl Prefix<'_> {
    fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    /// What is left of the key behind this prefix; none where the key goes elsewhere.
    fn strip_from<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let mut left = key;
        let nibbles = self.rest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        for nibble in self.first.into_iter().chain(nibbles) {
            let (head, tail) = left.split_first()?;
            if *head != nibble {
                return None;
            }
            left = tail;
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::proof::ProofRetainer;
    use alloy_trie::{HashBuilder, Nibbles};
    use proptest::prelude::*;

    use super::*;

    /// A trie by an independent implementation: its root, and the nodes on the way to each of the targets.
    fn build(entries: &BTreeMap<B256, Vec<u8>>, targets: &[B256]) -> (B256, HashedBytes) {
        let retainer: ProofRetainer = targets.iter().map(|key| Nibbles::unpack(*key)).collect();
        let mut builder = HashBuilder::default().with_proof_retainer(retainer);
        for (key, value) in entries {
            builder.add_leaf(Nibbles::unpack(*key), value);
        }
        let root = builder.root();
        let mut nodes = HashedBytes::default();
        for (_, node) in builder.take_proof_nodes().into_inner() {
            nodes.insert(Bytes::from(node.to_vec()));
        }
        (root, nodes)
    }

    fn get(root: B256, key: &B256, nodes: &HashedBytes) -> Result<Option<Vec<u8>>, TrieError> {
        Ok(value_at(nodes, root, key)?.map(<[u8]>::to_vec))
    }

    /// Keys that share long prefixes, so that extensions and inline nodes occur.
    fn keys() -> impl Strategy<Value = B256> {
        (0_u8..4, 0_u8..4, 0_usize..32, any::<u8>()).prop_map(|(a, b, at, c)| {
            let mut key = B256::repeat_byte(a);
            key.0[31] = b;
            key.0[at] = c;
            key
        })
    }

    fn tries() -> impl Strategy<Value = BTreeMap<B256, Vec<u8>>> {
        prop::collection::btree_map(keys(), prop::collection::vec(any::<u8>(), 1..40), 0..40)
    }

    proptest! {
        #[test]
        fn walk__should_agree_with_an_independent_trie(entries in tries(), absent in prop::collection::vec(keys(), 1..8)) {
            let targets: Vec<B256> = entries.keys().copied().chain(absent).collect();
            let (root, nodes) = build(&entries, &targets);
            for key in &targets {
                prop_assert_eq!(get(root, key, &nodes), Ok(entries.get(key).cloned()));
            }
        }

        #[test]
        fn walk__should_name_the_missing_node_of_any_proof_that_lacks_one(entries in tries(), key in keys()) {
            let (root, nodes) = build(&entries, &[key]);
            let whole = get(root, &key, &nodes);
            prop_assert_eq!(&whole, &Ok(entries.get(&key).cloned()));
            for (gone, _) in nodes.iter() {
                let mut others = nodes.clone();
                others.retain(|hash| hash != gone);
                let found = get(root, &key, &others);
                prop_assert!(found == whole || found == Err(TrieError::MissingNode(*gone)), "{found:?}");
            }
        }

        #[test]
        fn walk__should_survive_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), key in keys()) {
            let mut nodes = HashedBytes::default();
            let root = nodes.insert(bytes.into());
            let _ = get(root, &key, &nodes);
        }

        #[test]
        fn walk__should_never_believe_a_changed_node(
            entries in tries(), key in keys(), at in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let (root, nodes) = build(&entries, &[key]);
            let expected = entries.get(&key).cloned();
            for (gone, node) in nodes.iter() {
                let mut changed = node.to_vec();
                changed[at.index(node.len())] ^= flip;
                let mut others = nodes.clone();
                others.retain(|hash| hash != gone);
                others.insert(changed.into());
                let found = get(root, &key, &others);
                prop_assert!(found == Ok(expected.clone()) || found == Err(TrieError::MissingNode(*gone)));
            }
        }
    }

    #[test]
    fn walk__should_refuse_a_truncated_exclusion_proof() {
        let entries: BTreeMap<_, _> = (0..64_u8).map(|i| (keccak256([i]), vec![i + 1])).collect();
        let absent = keccak256("absent");
        let (root, nodes) = build(&entries, &[absent]);
        assert_eq!(get(root, &absent, &nodes), Ok(None));
        let mut truncated = nodes.clone();
        truncated.retain(|hash| *hash == root);
        let present = *entries.keys().next().unwrap();
        assert!(matches!(get(root, &absent, &truncated), Err(TrieError::MissingNode(_))));
        assert!(matches!(get(root, &present, &truncated), Err(TrieError::MissingNode(_))));
        assert_eq!(get(root, &present, &HashedBytes::default()), Err(TrieError::MissingNode(root)));
    }

    #[test]
    fn walk__should_find_nothing_in_the_empty_trie() {
        assert_eq!(get(EMPTY_ROOT_HASH, &B256::ZERO, &HashedBytes::default()), Ok(None));
    }

    #[test]
    fn walk__should_refuse_nodes_that_are_no_trie_nodes() {
        let inline_too_long = {
            let child = [&[0xe0_u8][..], &[0x01; 32]].concat();
            [&[0xe3, 0x82, 0x00, 0x11][..1], &[0x11], &child[..]].concat()
        };
        for bytes in [
            &[][..],
            &[0xc0],
            &[0xc1, 0x80],
            &[0xc2, 0x80, 0x01],
            &[0xc2, 0x00, 0x80],
            &[0xc2, 0x05, 0x80],
            &[0xc2, 0x40, 0x01],
            &[0xc3, 0x20, 0x01, 0x01],
            &[0xc2, 0x20, 0x01, 0x01],
            &[0xf8, 0x02, 0x20, 0x01],
            &inline_too_long,
            &[0xc0; MAX_NODE_BYTES + 1],
        ] {
            let mut nodes = HashedBytes::default();
            let root = nodes.insert(bytes.to_vec().into());
            assert!(matches!(get(root, &B256::ZERO, &nodes), Err(TrieError::Malformed(_))), "{bytes:02x?}");
        }
    }
}
