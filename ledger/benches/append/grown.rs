//! The folder of a log that has grown: only its right edge, because nothing else is read to append.

use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use kms_attestation::hash::sha256;
use kms_ledger::hash::TreeHash;
use kms_ledger::note::LogSigner as _;
use kms_ledger::tree::{Edge, Tile, append_entry};
use kms_ledger::{Checkpoint, SignedCheckpoint};
use sha2::Sha256;

use crate::{JOURNAL_KEY, ORIGIN, Signer};

/// Makes the folder of a log with so many entries, all of them the same.
pub(crate) fn log(folder: &Path, size: u64) {
    let entry = [7; 700];
    let leaf = TreeHash::leaf(&entry);
    let mut edge = Edge::default();
    (0..size).for_each(|_| drop(edge.append(leaf)));
    for tile in edge.partials() {
        put(folder, &format!("log/{}", tile.tile), &tile.encode());
    }
    if let Some(bundle) = Tile::partial_bundle(size) {
        let mut bytes = Vec::new();
        (0..bundle.width().get()).for_each(|_| append_entry(&mut bytes, &entry).unwrap());
        put(folder, &format!("log/{bundle}"), &bytes);
    }
    let checkpoint = Checkpoint { origin: ORIGIN.parse().unwrap(), size, root: edge.root() };
    let checkpoint = SignedCheckpoint::sign(checkpoint, &Signer::new()).unwrap();
    put(folder, "log/checkpoint", checkpoint.encode().as_bytes());
    put(folder, "format", format!("onchain-kms/log/v1\n{ORIGIN}\n").as_bytes());
    put(folder, "journal/0000000000000000", &head(size));
}

/// The head of a segment without batches, as docs/LEDGER.md has it.
fn head(first: u64) -> Vec<u8> {
    let fields = [b"onchain-kms/journal/key/v2", ORIGIN.as_bytes(), &Signer::new().public_key()];
    let field = |field: &[u8]| [&u32::try_from(field.len()).unwrap().to_be_bytes()[..], field].concat();
    let key = hmac(&JOURNAL_KEY, &fields.map(field).concat());
    let mut head = [&b"okmsjrn2"[..], &0_u64.to_be_bytes(), &first.to_be_bytes(), &[9; 16]].concat();
    let tag = hmac(&key, &[b"onchain-kms/journal/segment/v2", &*head].concat());
    head.extend(tag);
    head.extend(sha256(&[&head]));
    head
}

fn hmac(key: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
