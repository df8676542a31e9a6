//! Collateral as blobs: the same for every guest on the same kind of platform, and not serialised anew for each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use kms_attestation::CheckedCollateral;
use kms_ledger::Blob;

/// How many are kept: as many kinds of platform as one node is likely to see in a day. Each takes some 30 KiB.
const KEPT: usize = 16;

/// The last blobs of collateral.
#[derive(Default)]
pub(crate) struct CollateralBlobs(Mutex<VecDeque<Blob>>);

impl CollateralBlobs {
    /// The collateral's JSON form.
    pub(crate) fn blob(&self, collateral: &Arc<CheckedCollateral>) -> Blob {
        let digest = collateral.digest();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blob) = kept.iter().find(|blob| blob.id().0 == digest) {
            return blob.clone();
        }
        let blob = Blob::new(collateral.json().to_owned());
        kept.truncate(KEPT - 1);
        kept.push_front(blob.clone());
        blob
    }
}
