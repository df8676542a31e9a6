//! A scene's records as the files of a log, under a checkpoint that a key of these tests signs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kms_ledger::hash::TreeHash;
use kms_ledger::note::{LogKey, LogSigner};
use kms_ledger::tree::{Edge, TILE_WIDTH, Tile, TileKind, append_entry};
use kms_ledger::{Checkpoint, SignedCheckpoint, blob_file};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::Scene;

/// A key from a seed.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    pub fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub fn log_key(&self, origin: &str) -> LogKey {
        LogKey::new(origin.parse().unwrap(), self.public_key())
    }
}

impl LogSigner for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

/// The files of a log of these entries.
pub fn tree_files(origin: &str, entries: &[Vec<u8>], signer: &Signer) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut edge) = (BTreeMap::new(), Edge::default());
    let mut put = |tile: String, bytes: Vec<u8>| drop(files.insert(tile, bytes));
    for entry in entries {
        for full in edge.append(TreeHash::leaf(entry)) {
            put(full.tile.to_string(), full.encode());
        }
    }
    for partial in edge.partials() {
        put(partial.tile.to_string(), partial.encode());
    }
    for (number, chunk) in entries.chunks(TILE_WIDTH).enumerate() {
        let mut bundle = Vec::new();
        for entry in chunk {
            append_entry(&mut bundle, entry).unwrap();
        }
        let first = (number * TILE_WIDTH) as u64;
        let tile = Tile::holding(TileKind::Entries, first, entries.len() as u64).unwrap();
        put(tile.to_string(), bundle);
    }
    let (size, root) = (entries.len() as u64, edge.root());
    let checkpoint = Checkpoint { origin: origin.parse().unwrap(), size, root };
    let note = SignedCheckpoint::sign(checkpoint, signer).unwrap();
    put("checkpoint".to_owned(), note.encode().into_bytes());
    files
}

/// The files of a scene's log.
pub fn files(scene: &Scene, signer: &Signer) -> BTreeMap<String, Vec<u8>> {
    let entries: Vec<Vec<u8>> = scene.records.iter().map(|record| record.encode()).collect();
    let mut files = tree_files(&scene.origin, &entries, signer);
    for blob in scene.handed.iter().flatten() {
        for (id, bytes) in blob_file::shared_parts(blob) {
            files.insert(blob_file::path(id), blob_file::encode_whole(bytes));
        }
        files.entry(blob_file::path(blob.id())).or_insert_with(|| blob_file::encode(blob).unwrap());
    }
    files
}

/// Writes files to a folder.
pub fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
