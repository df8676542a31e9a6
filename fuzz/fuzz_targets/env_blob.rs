//! Encrypted environments: no bytes panic as a blob or as a plaintext, and what is read survives the journey.
#![no_main]

use std::sync::LazyLock;

use kms_attestation::ids::{AppId, RootEpoch};
use kms_client::env::{BlobFormat, EnvContext, EnvPrivateKey, EnvVars, claimed_epoch};
use kms_client::secret::Secret;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<EnvPrivateKey> =
    LazyLock::new(|| EnvPrivateKey::new(Secret::copy_of(&[7; 32]).expect("32 bytes")));

const FORMATS: [BlobFormat; 2] = [BlobFormat::Native, BlobFormat::Dstack];

fn pairs(vars: &EnvVars) -> Vec<(String, String)> {
    vars.expose().map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let epoch = claimed_epoch(bytes).unwrap_or(RootEpoch::FIRST);
    let context = EnvContext { app_id: AppId([1; 20]), epoch };
    for format in FORMATS {
        assert!(EnvVars::open(bytes, format, &context, &KEY).is_err(), "nobody can make a blob by chance");
    }
    if let Ok(vars) = EnvVars::from_plaintext(bytes) {
        for format in FORMATS {
            let blob =
                vars.seal(format, &context, &KEY.public_key()).expect("what was read can be encrypted");
            let again = EnvVars::open(&blob, format, &context, &KEY).expect("what was encrypted opens");
            assert_eq!(pairs(&again), pairs(&vars));
        }
    }
});
