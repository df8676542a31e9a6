//! Frames are read as they were written, with every bit as it was, and batches only by the node that wrote them.

use super::*;
use crate::note::LogKey;
use crate::store::journal::seal::JournalKey;

const SALT: Salt = [7; 16];
const ROOT: TreeHash = TreeHash([5; 32]);

fn seal(key: u8) -> Seal {
    Seal::of(&JournalKey::new(&[key; 32]), &LogKey::new("log.example".parse().unwrap(), [9; 32]))
}

fn one_of_each() -> Vec<u8> {
    let mut batch = Batch::begin();
    batch.blob(BlobId::of(b"blob"), b"blob");
    batch.file(BlobId([9; 32]), b"list");
    batch.entry(TreeHash::leaf(b"record"), b"record");
    batch.close(&seal(1), &SALT, 5, ROOT).to_vec()
}

fn split(bytes: &[u8]) -> Option<(Head, &[u8], &[u8])> {
    let head = Head::decode(bytes)?;
    let (frame, rest) = bytes.get(HEAD_BYTES..)?.split_at_checked(head.length)?;
    Some((head, frame, rest))
}

fn content(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, frame, rest) = split(bytes)?;
    Some((head.content(frame)?, rest))
}

#[test]
fn frame__should_be_read_as_it_was_written() {
    let bytes = one_of_each();
    let (head, opening, frames) = split(&bytes).unwrap();
    let opening = head.opening(&seal(1), &SALT, opening).unwrap().unwrap();
    assert_eq!((opening.first, opening.root, opening.length), (5, ROOT, frames.len() as u64));
    let (blob, rest) = content(frames).unwrap();
    let (file, rest) = content(rest).unwrap();
    let (entry, rest) = content(rest).unwrap();
    assert_eq!(blob, Frame::Blob { id: BlobId::of(b"blob"), bytes: b"blob" });
    assert_eq!(file, Frame::File { id: BlobId([9; 32]), file: b"list" });
    let leaf = TreeHash::leaf(b"record");
    assert_eq!((entry, rest.len()), (Frame::Entry { leaf, record: b"record" }, 0));
}

#[test]
fn frame__should_be_refused_with_any_bit_changed() {
    let mut bytes = Vec::new();
    put(&mut bytes, ENTRY, TreeHash::leaf(b"record").0, [b"record", &[]]);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(content(&changed).is_none(), "bit {bit}");
    }
}

#[test]
fn batch__should_be_no_batch_with_any_bit_changed_and_forged_once_its_hash_is_mended() {
    let bytes = one_of_each();
    let opened = |bytes: &[u8]| {
        let head = Head::decode(bytes).unwrap();
        head.opening(&seal(1), &SALT, &bytes[HEAD_BYTES..OPENING_BYTES])
    };
    for bit in 0..OPENING_BYTES * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(opened(&changed).is_none(), "bit {bit}");
        let hash = sha256(&[BATCH_CONTEXT, &changed[HEAD_BYTES..OPENING_BYTES]]);
        changed[5..HEAD_BYTES].copy_from_slice(&hash);
        if bit / 8 >= HEAD_BYTES {
            assert_eq!(opened(&changed), Some(Err(Forged)), "bit {bit}");
        }
    }
}

#[test]
fn batch__should_be_found_behind_damage_and_never_in_what_others_wrote() {
    let bytes = one_of_each();
    let behind = [&[0; 11][..], &bytes].concat();
    assert_eq!(find_batch(&seal(1), &SALT, &behind), Some(11));
    assert_eq!(find_batch(&seal(1), &SALT, &bytes[1..]), None);
    assert_eq!(find_batch(&seal(1), &[8; 16], &behind), None);
    assert_eq!(find_batch(&seal(2), &SALT, &behind), None);
}
