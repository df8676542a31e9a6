//! The trie walker. Hostile nodes: no bytes panic or loop, and a value that is found is one that `alloy-trie` verifies too.
//! A trie that `alloy-trie` built: every key reads as it was written, and no other key has a value.
//!
//! Input: 0, a key, nodes (length u16, bytes; 32 bytes of 0xEE stand for the hash of the node before), the root last.
//! Or 1, entries of five bytes each.
#![no_main]

use std::collections::BTreeMap;

use alloy::primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;
use alloy_trie::proof::verify_proof;
use kms_chain::trie::{HashedBytes, MAX_NODE_BYTES, value_at};
use libfuzzer_sys::fuzz_target;

#[path = "../../chain/src/testing/world.rs"]
#[allow(dead_code)]
mod world;

const LINK: [u8; 32] = [0xEE; 32];

fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((0, rest)) => hostile(rest),
    Some((1, rest)) => honest(rest),
    _ => {}
});

/// Nodes of a chain, the root first.
fn nodes_of(mut bytes: &[u8]) -> Vec<Bytes> {
    let mut nodes: Vec<Bytes> = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let (node, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*len).into()));
        let before = nodes.first().map(keccak256).unwrap_or_default();
        nodes.insert(0, linked(node, before));
        bytes = rest;
    }
    nodes
}

fn linked(node: &[u8], to: B256) -> Bytes {
    let mut node = node.to_vec();
    for at in 0..node.len() {
        if node[at..].starts_with(&LINK) {
            node[at..at + LINK.len()].copy_from_slice(to.as_slice());
        }
    }
    node.into()
}

fn hostile(bytes: &[u8]) {
    let Some((key, rest)) = bytes.split_first_chunk::<32>() else { return };
    let (key, proof) = (B256::from(*key), nodes_of(rest));
    let Some(root) = proof.first().map(keccak256) else { return };
    let mut nodes = HashedBytes::default();
    for node in &proof {
        nodes.insert(node.clone());
    }
    if let Ok(Some(value)) = value_at(&nodes, root, &key) {
        assert!(value.len() <= MAX_NODE_BYTES);
        let verified = (1..=proof.len())
            .any(|len| verify_proof(root, Nibbles::unpack(key), Some(value.to_vec()), &proof[..len]).is_ok());
        assert!(verified, "only this walker finds a value");
    }
}

fn honest(bytes: &[u8]) {
    let keys = bytes.chunks_exact(5).take(64).map(|entry| {
        let mut key = B256::repeat_byte(entry[0] & 3);
        key[31] = entry[1];
        key[usize::from(entry[2] & 31)] = entry[3];
        (key, vec![entry[4] | 1; usize::from(entry[4] >> 2) + 1])
    });
    let entries: BTreeMap<B256, Vec<u8>> = keys.collect();
    let mut nodes = HashedBytes::default();
    let root = world::trie(&entries, &mut nodes);
    for key in entries.keys() {
        assert_eq!(value_at(&nodes, root, key), Ok(entries.get(key).map(Vec::as_slice)));
        for at in [0, 1, 15, 31] {
            let mut other = *key;
            other[at] ^= 0x10;
            assert_eq!(value_at(&nodes, root, &other), Ok(entries.get(&other).map(Vec::as_slice)));
        }
    }
}
