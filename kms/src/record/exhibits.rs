//! Evidence on its way to a record: kept as it came, and named by its hashes only once there is a record to name it in.

use std::sync::Arc;

use bytes::Bytes;
use kms_attestation::CheckedCollateral;
use kms_chain::Witness;
use kms_ledger::record::Evidence;
use kms_ledger::{Blob, BlobId, witness_blob};

use super::collateral::collateral_blob;

/// What was presented and looked up, as far as it is known. Nothing of it is hashed yet: what is only counted costs nothing.
#[derive(Default)]
pub(crate) struct Exhibits {
    pub(crate) quote: Option<Bytes>,
    pub(crate) event_log: Option<Bytes>,
    pub(crate) os_image_manifest: Option<Bytes>,
    pub(crate) collateral: Option<Arc<CheckedCollateral>>,
    pub(crate) witness: Option<Witness>,
    pub(crate) certificate: Option<Bytes>,
}

impl Exhibits {
    /// Their names, and the blobs of these names.
    pub(super) fn named(self) -> (Evidence, Vec<Blob>) {
        let mut blobs = Vec::new();
        let mut keep = |blob: Blob| -> BlobId {
            let id = blob.id();
            blobs.push(blob);
            id
        };
        let evidence = Evidence {
            quote: self.quote.map(Blob::new).map(&mut keep),
            event_log: self.event_log.map(Blob::new).map(&mut keep),
            os_image_manifest: self.os_image_manifest.map(Blob::new).map(&mut keep),
            collateral: self.collateral.as_ref().map(collateral_blob).map(&mut keep),
            witness: self.witness.as_ref().map(witness_blob).map(&mut keep),
            certificate: self.certificate.map(Blob::new).map(&mut keep),
        };
        (evidence, blobs)
    }
}
