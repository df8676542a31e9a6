//! Tiles and entry bundles: no bytes panic, and what reads is written back the same.
//!
//! Input: the width less one (one byte), then the file.
#![no_main]

use kms_ledger::tree::{
    Level, Tile, TileHashes, TileKind, Width, append_entry, decode_bundle, decode_hashes,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((width, file)) = bytes.split_first() else { return };
    let width = Width::new(u64::from(*width) + 1).expect("1 to 256");
    if let Ok(entries) = decode_bundle(file, width) {
        assert_eq!(entries.len(), width.get());
        let mut again = Vec::new();
        for entry in entries {
            append_entry(&mut again, entry).expect("it was an entry");
        }
        assert_eq!(again, file);
    }
    if let Ok(hashes) = decode_hashes(file, width) {
        let tile = Tile::new(TileKind::Hashes(Level::LEAVES), 0, width).expect("the first tile");
        assert_eq!(TileHashes { tile, hashes }.encode(), file);
    }
});
