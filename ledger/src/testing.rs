//! What tests of this crate share: a signer whose key is a fixed seed, and a log in a folder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::blob::BlobId;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::TreeHash;
use crate::note::{KeyName, LogKey, LogSigner, WitnessKey};
use crate::path::LogPath;
use crate::refusal::LedgerRefusal;
use crate::tree::{Edge, Tile, TileKind, Tiles, append_entry};

pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn log_key(&self, name: &str) -> LogKey {
        LogKey::new(name.parse().unwrap(), self.public_key())
    }

    pub(crate) fn witness_key(&self, name: &str) -> WitnessKey {
        WitnessKey::new(name.parse().unwrap(), self.public_key())
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

pub(crate) fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

/// The same bytes with one of them changed, once for each place.
pub(crate) fn changed_bytes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        changed
    })
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let digest = |count: usize| BlobId::of(&count.to_be_bytes()).0;
    (0..len).step_by(32).flat_map(digest).take(len).collect()
}

/// A log in a folder of its own, signed with the key of seed 1.
pub(crate) struct LogFolder(tempfile::TempDir);

impl LogFolder {
    pub(crate) fn new(name: &str, size: u64) -> Self {
        let log = Self(tempfile::tempdir().unwrap());
        let mut edge = Edge::default();
        let mut bundle = Vec::new();
        for index in 0..size {
            append_entry(&mut bundle, &Self::entry(index)).unwrap();
            for full in edge.append(TreeHash::leaf(&Self::entry(index))) {
                log.put(LogPath::Tile(full.tile), &full.encode());
            }
            if index % 256 == 255 || index + 1 == size {
                let tile = Tile::holding(TileKind::Entries, index, index + 1).unwrap();
                log.put(LogPath::Tile(tile), &std::mem::take(&mut bundle));
            }
        }
        for partial in edge.partials() {
            log.put(LogPath::Tile(partial.tile), &partial.encode());
        }
        let checkpoint = Checkpoint { origin: self::name(name), size, root: edge.root() };
        let signed = SignedCheckpoint::sign(checkpoint, &Signer::new(1)).unwrap();
        log.put(LogPath::Checkpoint, signed.encode().as_bytes());
        log
    }

    pub(crate) fn entry(index: u64) -> Vec<u8> {
        format!("entry {index}").into_bytes()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn put(&self, path: LogPath, bytes: &[u8]) {
        let file = self.path().join(path.to_string());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push(entry.path());
                }
            }
        }
        files
    }
}

/// A log in memory, signed with the key of seed 1.
pub(crate) struct MemoryLog {
    edge: Edge,
    tiles: BTreeMap<Tile, Vec<TreeHash>>,
}

impl MemoryLog {
    pub(crate) fn new(size: u64) -> Self {
        Self::of(size, LogFolder::entry)
    }

    /// The same but for its first entry.
    pub(crate) fn forked(size: u64) -> Self {
        Self::of(size, |index| if index == 0 { b"another".to_vec() } else { LogFolder::entry(index) })
    }

    fn of(size: u64, entry: impl Fn(u64) -> Vec<u8>) -> Self {
        let (mut edge, mut tiles) = (Edge::default(), BTreeMap::new());
        for index in 0..size {
            let full = edge.append(TreeHash::leaf(&entry(index)));
            tiles.extend(full.into_iter().map(|full| (full.tile, full.hashes)));
        }
        tiles.extend(edge.partials().into_iter().map(|partial| (partial.tile, partial.hashes)));
        Self { edge, tiles }
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn checkpoint(&self, name: &str) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: self::name(name), size: self.size(), root: self.edge.root() };
        SignedCheckpoint::sign(checkpoint, &Signer::new(1)).unwrap()
    }
}

impl Tiles for MemoryLog {
    fn hashes(&self, tile: Tile) -> Result<Cow<'_, [TreeHash]>, LedgerRefusal> {
        self.tiles.hashes(tile)
    }
}
