//! The log of decisions: append-only, signed, tiled, with the evidence of every decision beside it.
//!
//! ```text
//! Record ─▶ canonical bytes ─▶ journal, one fsync for many ─▶ acknowledged: only now may keys leave
//!                                  │
//!                                  └─▶ tiles, entry bundles, blobs, checkpoint: static files, for anyone to check
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `record`, `canonical` | an entry's bytes |
//! | `tree`, `hash` | the Merkle tree: tiles, bundles, its right edge, proofs |
//! | `note`, `checkpoint` | what a log signs, and what witnesses sign beneath it |
//! | `blob`, `blob_file` | evidence, by its name, and as a file |
//! | `replay`, `issued` | deciding a record again; what a certificate that was issued says |
//! | `path`, `source`, `reader`, `proof`, `receipt` | reading a log so that only its key is believed |
//! | `serve`, `witness`, `http`, `client_tls` | the network: files served, witnesses asked and served |
//!
//! Owns the record's bytes, the log's files and their proofs. Decides nothing and never sees a secret. Called by
//! `kms-node`, which appends, and by `kmsctl audit`, which checks. `docs/LEDGER.md` specifies every format here.
//!
//! Threats: an operator who hides, alters or reorders decisions; a disk that fails, fills up or is rolled back.
#![cfg_attr(test, allow(non_snake_case))]

pub mod audit_bundle;
pub mod blob;
pub mod blob_file;
pub mod canonical;
pub mod checkpoint;
mod client_tls;
mod cosignature;
pub mod hash;
pub mod http;
pub mod issued;
pub mod log_key;
pub mod note;
pub mod path;
pub mod proof;
pub mod reader;
pub mod receipt;
pub mod record;
pub mod refusal;
pub mod replay;
pub mod serve;
pub mod source;
pub mod store;
pub mod tree;
pub mod witness;
pub mod witness_blob;

pub use blob::{Blob, BlobId};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use log_key::log_key_report_data;
pub use path::LogPath;
pub use proof::LogProof;
pub use reader::LogReader;
pub use receipt::Receipt;
pub use record::Record;
pub use refusal::{LedgerCode, LedgerRefusal};
pub use source::Source;
pub use store::Store;
pub use witness_blob::witness_blob;

#[cfg(test)]
mod testing;
