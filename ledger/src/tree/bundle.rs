//! Entry bundles: each entry behind its length, 16 bits, big-endian.

use super::tile::{TILE_WIDTH, Width};
use crate::refusal::{LedgerCode, LedgerRefusal};

/// The largest entry that a bundle can have, in bytes. Records are smaller.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;
/// The largest bundle, in bytes.
pub const MAX_BUNDLE_BYTES: usize = TILE_WIDTH * (2 + MAX_ENTRY_BYTES);

/// Appends an entry to the bytes of a bundle. Refused with `record-too-large`.
pub fn append_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), LedgerRefusal> {
    let len = u16::try_from(entry.len()).map_err(|_| {
        let expected = format!("at most {MAX_ENTRY_BYTES} bytes");
        LedgerRefusal::new(LedgerCode::RecordTooLarge, entry.len(), expected)
    })?;
    bundle.extend(len.to_be_bytes());
    bundle.extend(entry);
    Ok(())
}

/// Reads the entries of a bundle. Refused with `tile-malformed`.
pub fn decode_bundle(bytes: &[u8], width: Width) -> Result<Vec<&[u8]>, LedgerRefusal> {
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(width.get());
    for _ in 0..width.get() {
        let (entry, after) = split_entry(rest).ok_or_else(|| {
            let found = format!("{} whole entries", entries.len());
            LedgerRefusal::new(LedgerCode::Tile, found, format!("{} entries", width.get()))
        })?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        return Ok(entries);
    }
    let found = format!("{} bytes after the last entry", rest.len());
    Err(LedgerRefusal::new(LedgerCode::Tile, found, format!("{} entries", width.get())))
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*len).into())
}
