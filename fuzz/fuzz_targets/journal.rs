//! The journal of a log, as a host left it: whatever stands in it, the store opens or refuses, and what has no tag of the node
//! is never an entry. With tags that the host cannot make, what was taken in is there again.
#![no_main]

use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use kms_attestation::hash::sha256;
use kms_ledger::Store;
use kms_ledger::note::LogSigner;
use kms_ledger::store::{JournalKey, Opened, StoreFault, StoreKeys, StoreOptions};
use libfuzzer_sys::fuzz_target;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::Sha256;

const ORIGIN: &str = "log.example/fuzz";
const SECRET: [u8; 32] = [5; 32];
const SALT: [u8; 16] = [9; 16];
const FRAME_HEAD: usize = 37;

struct Signer(Ed25519KeyPair);

impl LogSigner for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("32 bytes")
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().expect("64 bytes")
    }
}

fn signer() -> Signer {
    Signer(Ed25519KeyPair::from_seed_unchecked(&SECRET).expect("a seed"))
}

/// Opens the store and closes it again.
fn open(folder: &Path) -> Result<Opened, StoreFault> {
    let keys = StoreKeys { signer: Box::new(signer()), journal: JournalKey::new(&SECRET) };
    let options = StoreOptions { origin: ORIGIN.to_owned(), ..StoreOptions::default() };
    let (store, opened) = Store::open(folder, keys, options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.close()).map(|()| opened)
}

fn hmac(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// The key of the log: docs/LEDGER.md, On disk.
fn key() -> [u8; 32] {
    let fields = [b"onchain-kms/journal/key/v2", ORIGIN.as_bytes(), &signer().public_key()];
    let field =
        |field: &[u8]| [&u32::try_from(field.len()).expect("short").to_be_bytes()[..], field].concat();
    hmac(&SECRET, &fields.map(field).concat())
}

fn head() -> Vec<u8> {
    let body = [&b"okmsjrn2"[..], &[0; 16], &SALT].concat();
    let tag = hmac(&key(), &[b"onchain-kms/journal/segment/v2", &*body].concat());
    let sealed = [&body[..], &tag].concat();
    [&sealed[..], &sha256(&[&sealed])].concat()
}

/// The heads of the frames that these bytes are, as far as they are some.
fn heads(mut frames: &[u8]) -> Vec<u8> {
    let mut heads = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk::<FRAME_HEAD>() {
        heads.extend(head);
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        frames = rest.get(usize::try_from(length).unwrap_or(usize::MAX)..).unwrap_or_default();
    }
    heads
}

/// The first batch of a log, with the node's tag over whatever these frames are.
fn batch(frames: &[u8]) -> Vec<u8> {
    let length = (frames.len() as u64).to_be_bytes();
    let body = [&[0; 8][..], &sha256(&[]), &length, &sha256(&[&heads(frames)])].concat();
    let tag = hmac(&key(), &[b"onchain-kms/journal/batch/v2", &SALT[..], &body].concat());
    let body = [&body[..], &tag].concat();
    let hash = sha256(&[b"onchain-kms/journal/batch/v2", &body]);
    [&112_u32.to_be_bytes()[..], &[1], &hash, &body, frames].concat()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((add, bytes)) = bytes.split_first() else { return };
    // Memory, where there is such a disk: the store syncs.
    let place = Path::new("/dev/shm");
    let place = if place.is_dir() { place.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(place).expect("a folder");
    open(folder.path()).expect("a new log");
    let segment = match add % 3 {
        0 => bytes.to_vec(),
        1 => [&head()[..], bytes].concat(),
        _ => [head(), batch(bytes)].concat(),
    };
    fs::write(folder.path().join("journal/0000000000000000"), segment).expect("a disk");
    match open(folder.path()) {
        Ok(opened) if add % 3 == 2 => {
            let again = open(folder.path()).expect("what was published");
            assert_eq!((again.size, again.published, again.torn_bytes), (opened.size, opened.size, 0));
        }
        Ok(opened) => assert_eq!(opened.size, 0),
        Err(fault) => assert!(fault.to_string().len() < 4096),
    }
});
