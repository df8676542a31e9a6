//! Collateral as a blob: the same for every guest on the same kind of platform, and neither copied nor hashed anew for each.

use std::sync::Arc;

use bytes::Bytes;
use kms_attestation::CheckedCollateral;
use kms_ledger::{Blob, BlobId};

/// The JSON form, where it lies already.
struct Json(Arc<CheckedCollateral>);

impl AsRef<[u8]> for Json {
    fn as_ref(&self) -> &[u8] {
        self.0.json().as_bytes()
    }
}

/// The collateral's JSON form. Its digest is known to the collateral once it was asked for.
pub(super) fn collateral_blob(collateral: &Arc<CheckedCollateral>) -> Blob {
    Blob::named(BlobId(collateral.digest()), Bytes::from_owner(Json(Arc::clone(collateral))))
}
