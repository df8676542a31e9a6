//! A chain witness as a blob in parts: the codes of contracts, which most witnesses share, are stored once.
//!
//! The codes end the canonical bytes of a witness, each after its length. Parted or not, the blob has the same bytes and
//! the same name. Called by the node, for every decision. Threat: a disk that fills with copies of one contract.

use alloy::primitives::Bytes;
use kms_chain::Witness;

use crate::blob::{Blob, Part};

/// The least bytes of a code that is worth a name of its own.
pub const SHARED_CODE_BYTES: usize = 1024;
/// The length before each code.
const LENGTH_BYTES: usize = 4;

/// The canonical bytes of a witness.
#[must_use]
pub fn witness_blob(witness: &Witness) -> Blob {
    let bytes = witness.encode();
    let codes = witness.codes();
    let tail: usize = codes.iter().map(|code| LENGTH_BYTES + code.len()).sum();
    match bytes.len().checked_sub(tail).and_then(|at| bytes.split_at_checked(at)) {
        Some((head, _)) => Blob::of_parts(parts(head, &codes)),
        None => Blob::new(bytes),
    }
}

fn parts(head: &[u8], codes: &[&Bytes]) -> Vec<Part> {
    let (mut parts, mut own) = (Vec::new(), head.to_vec());
    for code in codes {
        // A witness's codes are bounded far below 4 GiB.
        own.extend(u32::try_from(code.len()).unwrap_or(u32::MAX).to_be_bytes());
        if code.len() < SHARED_CODE_BYTES {
            own.extend_from_slice(code);
        } else {
            parts.push(Part::own(std::mem::take(&mut own)));
            parts.push(Part::shared(code.0.clone()));
        }
    }
    if !own.is_empty() {
        parts.push(Part::own(own));
    }
    parts
}
