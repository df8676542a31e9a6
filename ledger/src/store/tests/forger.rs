//! A second writer of the journal: made from docs/LEDGER.md alone, with nothing of the store.
//!
//! With the node's key it writes what the node would have; with any other, what a host can. It also mends every hash of
//! bytes that were changed, as a host would: only tags cannot be mended.

use std::ops::Range;

use hmac::{Hmac, KeyInit as _, Mac as _};
use kms_attestation::hash::sha256;
use sha2::Sha256;

use crate::hash::TreeHash;

/// The bytes of a segment's head.
pub(super) const SEGMENT_HEAD: usize = 104;
/// The bytes of a frame's head.
const FRAME_HEAD: usize = 37;
/// Where the salt stands in a segment.
const SALT: Range<usize> = 24..40;

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whoever has a key.
pub(super) struct Forger([u8; 32]);

impl Forger {
    pub(super) fn new(journal_key: [u8; 32], origin: &str, log_key: [u8; 32]) -> Self {
        let fields = [b"onchain-kms/journal/key/v2", origin.as_bytes(), &log_key];
        let field = |field: &[u8]| [&u32::try_from(field.len()).unwrap().to_be_bytes()[..], field].concat();
        Self(hmac(&journal_key, &[&fields.map(field).concat()]))
    }

    /// A batch for the segment that begins with these bytes.
    pub(super) fn batch(&self, segment: &[u8], first: u64, root: TreeHash, frames: &[Vec<u8>]) -> Vec<u8> {
        let heads: Vec<u8> = frames.iter().flat_map(|frame| &frame[..FRAME_HEAD]).copied().collect();
        let length = frames.iter().map(Vec::len).sum::<usize>() as u64;
        let (first, length) = (first.to_be_bytes(), length.to_be_bytes());
        let mut body = [&first[..], &root.0, &length, &sha256(&[&heads])].concat();
        let tag = hmac(&self.0, &[b"onchain-kms/journal/batch/v2", &segment[SALT], &body]);
        body.extend(tag);
        let hash = frame_hash(1, &body);
        [frame(1, hash, &body), frames.concat()].concat()
    }
}

/// A frame that holds an entry.
pub(super) fn entry(record: &[u8]) -> Vec<u8> {
    frame(4, frame_hash(4, record), record)
}

fn frame(kind: u8, hash: [u8; 32], bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &[kind], &hash, bytes].concat()
}

fn frame_hash(kind: u8, bytes: &[u8]) -> [u8; 32] {
    match kind {
        1 => sha256(&[b"onchain-kms/journal/batch/v2", bytes]),
        4 => sha256(&[&[0], bytes]),
        _ => sha256(&[bytes]),
    }
}

/// Where a frame's bytes stand in a segment, and its kind.
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) content: Range<usize>,
    pub(super) kind: u8,
}

/// The frames of a whole segment.
pub(super) fn places(segment: &[u8]) -> Vec<Place> {
    let (mut places, mut start) = (Vec::new(), SEGMENT_HEAD);
    while start < segment.len() {
        let length = u32::from_be_bytes(segment[start..start + 4].try_into().unwrap());
        let content = start + FRAME_HEAD..start + FRAME_HEAD + usize::try_from(length).unwrap();
        let end = content.end;
        places.push(Place { start, content, kind: segment[start + 4] });
        start = end;
    }
    assert_eq!(start, segment.len());
    places
}

/// The batches of a whole segment.
pub(super) fn batches(segment: &[u8]) -> Vec<Range<usize>> {
    let batch = places(segment).into_iter().filter(|place| place.kind == 1);
    let starts: Vec<usize> = batch.map(|place| place.start).collect();
    let ends = starts.iter().skip(1).copied().chain([segment.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Makes every hash right again that has no key: of the head, of each frame, and of each batch over its frames' heads.
pub(super) fn mend(segment: &mut [u8]) {
    let checksum = sha256(&[&segment[..SEGMENT_HEAD - 32]]);
    segment[SEGMENT_HEAD - 32..SEGMENT_HEAD].copy_from_slice(&checksum);
    for place in places(segment).into_iter().filter(|place| place.kind != 1) {
        mend_frame(segment, &place);
    }
    for batch in batches(segment) {
        let inside = |place: &&Place| place.kind != 1 && batch.contains(&place.start);
        let places = places(segment);
        let heads = places.iter().filter(inside).flat_map(|place| &segment[place.start..place.content.start]);
        let heads = sha256(&[&heads.copied().collect::<Vec<_>>()]);
        let opening = places.into_iter().find(|place| place.start == batch.start).unwrap();
        segment[opening.content.start + 48..opening.content.start + 80].copy_from_slice(&heads);
        mend_frame(segment, &opening);
    }
}

fn mend_frame(segment: &mut [u8], place: &Place) {
    let hash = frame_hash(place.kind, &segment[place.content.clone()]);
    segment[place.start + 5..place.start + FRAME_HEAD].copy_from_slice(&hash);
}
