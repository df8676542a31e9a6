//! An audit bundle: some records of a log, with all that shows them to stand in it and all that they rest on, in one file.
//!
//! ```text
//! bundle = "onchain-kms/audit-bundle/v1\n" | checkpoint field | entries u32, each an entry | blobs u32, each a field
//! entry  = index u64 | hashes u8 | so many hashes 32 | record field
//! field  = length u32 | bytes                                         integers big-endian
//! ```
//!
//! The checkpoint is the signed note; the hashes are the inclusion path (RFC 6962) to its root. Entries stand in the order
//! of their indices, blobs in the order of their names, each once: one bundle has one form. Reading is bounded and proves
//! nothing: whoever uses a record checks its path first. A blob is found by the name that its bytes have; one that no record
//! names, where one that a record names is missing, is that one with other bytes.
//!
//! Written and read by `kmsctl audit`. Threat: a bundle that shows other records than the log has; hostile bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kms_attestation::refusal::Refusal;

use crate::blob::{BlobId, MAX_BLOB_BYTES};
use crate::checkpoint::Checkpoint;
use crate::hash::TreeHash;
use crate::path::LogPath;
use crate::record::{MAX_RECORD_BYTES, Record};
use crate::refusal::{LedgerCode, LedgerRefusal};
use crate::tree::verify_inclusion;

/// The first bytes.
pub const BUNDLE_MAGIC: &[u8] = b"onchain-kms/audit-bundle/v1\n";
/// The largest bundle that is read, in bytes.
pub const MAX_AUDIT_BUNDLE_BYTES: usize = 256 * 1024 * 1024;
/// The largest signed checkpoint, in bytes.
const MAX_CHECKPOINT_BYTES: usize = 128 * 1024;

/// A refusal of a bundle.
pub type BundleRefusal = Refusal<BundleCode>;

kms_attestation::deny_codes! {
    /// Why bytes are no audit bundle.
    pub enum BundleCode {
        TooLarge = "audit-bundle-too-large", Evidence,
            "The bundle is larger than one may be.",
            "Export fewer records at a time.";
        Malformed = "audit-bundle-malformed", Evidence,
            "The bytes are no audit bundle of version 1.",
            "Get the bundle again from whoever exported it, or use a newer kmsctl.";
        NotCanonical = "audit-bundle-not-canonical", Evidence,
            "The bundle is not in its one form.",
            "Get the bundle again from whoever exported it; kmsctl writes no other form.";
    }
}

/// A record's bytes, and the way from its leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledEntry {
    /// The record.
    pub bytes: Vec<u8>,
    /// The hashes beside the way, from the leaf up.
    pub path: Vec<TreeHash>,
}

/// A bundle. Nothing in it is proven by being there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditBundle {
    /// The signed checkpoint.
    pub checkpoint: Vec<u8>,
    /// Records by their index.
    pub entries: BTreeMap<u64, BundledEntry>,
    /// Blobs, each under the name that its bytes have.
    pub blobs: BTreeMap<BlobId, Arc<[u8]>>,
}

impl AuditBundle {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BUNDLE_MAGIC.to_vec();
        put_field(&mut out, &self.checkpoint);
        put_count(&mut out, self.entries.len());
        for (index, BundledEntry { bytes, path }) in &self.entries {
            out.extend(index.to_be_bytes());
            out.push(u8::try_from(path.len()).unwrap_or(u8::MAX));
            out.extend(path.iter().flat_map(|hash| hash.0));
            put_field(&mut out, bytes);
        }
        put_count(&mut out, self.blobs.len());
        for blob in self.blobs.values() {
            put_field(&mut out, blob);
        }
        out
    }

    /// Reads a bundle. Refused with `audit-bundle-too-large`, `audit-bundle-malformed` or `audit-bundle-not-canonical`.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleRefusal> {
        if bytes.len() > MAX_AUDIT_BUNDLE_BYTES {
            let expected = format!("at most {MAX_AUDIT_BUNDLE_BYTES} bytes");
            return Err(BundleRefusal::new(BundleCode::TooLarge, bytes.len(), expected));
        }
        let rest = bytes.strip_prefix(BUNDLE_MAGIC).ok_or_else(|| malformed("another beginning"))?;
        let mut input = Input(rest);
        let mut bundle = Self { checkpoint: input.field(MAX_CHECKPOINT_BYTES)?.to_vec(), ..Self::default() };
        for _ in 0..input.count()? {
            let (index, entry) = input.entry()?;
            in_order(bundle.entries.keys().next_back(), &index)?;
            bundle.entries.insert(index, entry);
        }
        for _ in 0..input.count()? {
            let blob = input.field(MAX_BLOB_BYTES)?;
            let id = BlobId::of(blob);
            in_order(bundle.blobs.keys().next_back(), &id)?;
            bundle.blobs.insert(id, blob.into());
        }
        if input.0.is_empty() { Ok(bundle) } else { Err(malformed("bytes after the end")) }
    }

    /// The bytes of a record, shown to stand in the tree of a checkpoint whose signature the caller has verified. Refused
    /// with `log-out-of-range` where the bundle has no such record, and with `log-proof-invalid`.
    pub fn entry(&self, index: u64, head: &Checkpoint) -> Result<&[u8], LedgerRefusal> {
        let entry = self.entries.get(&index).ok_or_else(|| {
            LedgerRefusal::new(LedgerCode::LogRange, format_args!("no record {index}"), "one of the bundle")
        })?;
        verify_inclusion(index, head.size, TreeHash::leaf(&entry.bytes), &entry.path, head.root)?;
        Ok(&entry.bytes)
    }

    /// The blobs that no record of the bundle names. A record that cannot be read names none.
    #[must_use]
    pub fn unnamed(&self) -> BTreeSet<BlobId> {
        let records = self.entries.values().filter_map(|entry| Record::decode(&entry.bytes).ok());
        let named: BTreeSet<_> = records.flat_map(|record| record.blobs()).collect();
        self.blobs.keys().filter(|id| !named.contains(id)).copied().collect()
    }

    /// A blob that a record names; `unnamed` are the bundle's own. Refused with `blob-missing` where it is not there, and
    /// with `blob-foreign` where other bytes, which no record names, stand in its place in the order of names.
    pub fn blob(&self, id: BlobId, unnamed: &BTreeSet<BlobId>) -> Result<Arc<[u8]>, LedgerRefusal> {
        if let Some(bytes) = self.blobs.get(&id) {
            return Ok(Arc::clone(bytes));
        }
        let before = self.blobs.range(..id).next_back();
        let beside = before.into_iter().chain(self.blobs.range(id..).next()).map(|(beside, _)| beside);
        match beside.into_iter().find(|beside| unnamed.contains(beside)) {
            Some(changed) => Err(LedgerRefusal::new(LedgerCode::BlobForeign, changed, id)),
            None => Err(LedgerRefusal::new(LedgerCode::BlobMissing, "nothing", LogPath::Blob(id))),
        }
    }
}

fn in_order<T: Ord>(last: Option<&T>, next: &T) -> Result<(), BundleRefusal> {
    if last.is_none_or(|last| last < next) {
        return Ok(());
    }
    let found = "something twice, or out of order";
    Err(BundleRefusal::new(BundleCode::NotCanonical, found, "entries by index, blobs by name, each once"))
}

fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // A bundle is bounded far below 4 GiB; one that is not could never be read back.
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

fn malformed(found: &str) -> BundleRefusal {
    BundleRefusal::new(BundleCode::Malformed, found, "the form of docs/LEDGER.md")
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn entry(&mut self) -> Result<(u64, BundledEntry), BundleRefusal> {
        let index = u64::from_be_bytes(self.array()?);
        let [hashes] = self.array()?;
        let path = (0..hashes).map(|_| self.array().map(TreeHash)).collect::<Result<_, _>>()?;
        Ok((index, BundledEntry { bytes: self.field(MAX_RECORD_BYTES)?.to_vec(), path }))
    }

    fn field(&mut self, max: usize) -> Result<&'a [u8], BundleRefusal> {
        let len = usize::try_from(self.count()?).unwrap_or(usize::MAX);
        if len > max {
            return Err(malformed("a field that is too long"));
        }
        self.take(len)
    }

    fn count(&mut self) -> Result<u32, BundleRefusal> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BundleRefusal> {
        self.take(N)?.try_into().map_err(|_| malformed("the end of the bytes"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], BundleRefusal> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| malformed("the end of the bytes"))?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle() -> AuditBundle {
        let entry = |byte| BundledEntry { bytes: vec![byte; 5], path: vec![TreeHash([byte; 32]); 2] };
        let blobs = [&b"one"[..], b"two"].map(|bytes| (BlobId::of(bytes), bytes.into()));
        AuditBundle {
            checkpoint: b"checkpoint".to_vec(),
            entries: BTreeMap::from([(3, entry(3)), (7, entry(7))]),
            blobs: blobs.into(),
        }
    }

    fn code(bytes: &[u8]) -> BundleCode {
        AuditBundle::decode(bytes).unwrap_err().code
    }

    #[test]
    fn decode__should_give_back_what_was_encoded_and_refuse_any_other_form() {
        let bytes = bundle().encode();
        assert_eq!(AuditBundle::decode(&bytes).unwrap(), bundle());
        for len in 0..bytes.len() {
            assert_eq!(code(&bytes[..len]), BundleCode::Malformed, "{len}");
        }
        assert_eq!(code(&[&bytes[..], &[0]].concat()), BundleCode::Malformed);
        let empty = AuditBundle::default().encode();
        assert_eq!(AuditBundle::decode(&empty).unwrap(), AuditBundle::default());
        // The same entry twice: the second index becomes the first.
        let mut twice = bytes.clone();
        let at = BUNDLE_MAGIC.len() + 4 + 10 + 4 + (8 + 1 + 64 + 4 + 5) + 7;
        assert_eq!(twice[at], 7);
        twice[at] = 3;
        assert_eq!(code(&twice), BundleCode::NotCanonical);
        let huge = [BUNDLE_MAGIC, &[0; 4], &[0; 4], &[0, 0, 0, 1], &[0xff; 4]].concat();
        assert_eq!(code(&huge), BundleCode::Malformed);
    }

    proptest! {
        #[test]
        fn decode__should_read_no_bytes_that_it_would_not_write(at: prop::sample::Index, flip in 1u8..) {
            let mut bytes = bundle().encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = AuditBundle::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
    }
}
