//! The Merkle tree over the entries: tiles, bundles, its right edge, proofs.
//!
//! RFC 6962 with SHA-256; tiles as C2SP's `tlog-tiles` cuts them: 256 hashes each, immutable once full. Pure: bytes and
//! hashes in, bytes and hashes out. Called by the store, which writes tiles, and by readers, which check them. Threat: a
//! log whose files are changed, truncated or mixed; every proof ends at the root of a signed checkpoint.

mod bundle;
mod edge;
mod peaks;
mod plan;
mod tile;
mod verify;

pub use self::bundle::{MAX_BUNDLE_BYTES, MAX_ENTRY_BYTES, append_entry, decode_bundle};
pub use self::edge::{Edge, TileHashes, tile_root};
pub use self::peaks::Peaks;
pub use self::plan::{Plan, Tiles};
pub use self::tile::{Level, MAX_TREE_SIZE, TILE_BYTES, TILE_WIDTH, Tile, TileKind, Width, decode_hashes};
pub use self::verify::{MAX_PROOF_HASHES, verify_consistency, verify_inclusion};

#[cfg(test)]
mod tests;
