//! OS-image manifest: no bytes panic, and the name is the hash of exactly these bytes.
#![no_main]

use kms_attestation::hash::sha256;
use kms_attestation::image::OsImageManifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = OsImageManifest::parse(bytes) {
        assert_eq!(manifest.hash().0, sha256(&[bytes]));
    }
});
