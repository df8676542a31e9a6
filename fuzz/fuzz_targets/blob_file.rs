//! Files of blobs: no bytes panic or unpack beyond the bound, and bytes are never given another's name.
#![no_main]

use kms_ledger::blob::MAX_BLOB_BYTES;
use kms_ledger::blob_file::{BlobFile, encode, encode_whole};
use kms_ledger::{Blob, BlobId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = BlobFile::decode(bytes) {
        assert!(file.needs().len() <= bytes.len() / 33);
        // Each part is this very file, then a small one: nested lists, or too much in all.
        assert!(file.clone().assemble(BlobId([0; 32]), |_| Ok(bytes.to_vec())).is_err());
        assert!(file.assemble(BlobId([0; 32]), |_| Ok(encode_whole(b"part"))).is_err());
    }
    let blob = Blob::new(bytes.to_vec());
    assert!(blob.len() <= MAX_BLOB_BYTES);
    let file = BlobFile::decode(&encode(&blob).expect("small")).expect("what was written is well-formed");
    let again = file.assemble(blob.id(), |_| unreachable!("it has no parts")).expect("its own name");
    assert_eq!(again, bytes);
});
