//! Environments: the blobs of an independent implementation open, and nothing else does.
#![allow(non_snake_case, missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

use kms_attestation::ids::{AppId, RootEpoch};
use kms_client::env::{
    BlobFormat, EnvCode, EnvContext, EnvName, EnvPrivateKey, EnvPublicKey, EnvVars, MAX_BLOB_BYTES,
    claimed_epoch,
};
use kms_client::secret::Secret;
use proptest::prelude::*;
use serde_json::Value;
use static_assertions::assert_not_impl_any;

assert_not_impl_any!(EnvPrivateKey: std::fmt::Debug, std::fmt::Display, Clone, PartialEq);

const FORMATS: [BlobFormat; 2] = [BlobFormat::Native, BlobFormat::Dstack];

/// What docs/vectors/vectors.py wrote.
struct Vectors(Value);

impl Vectors {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("../../docs/vectors/env.json")).unwrap())
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap()
    }

    fn key(&self) -> EnvPrivateKey {
        EnvPrivateKey::new(Secret::copy_of(&self.bytes("private")).unwrap())
    }

    fn context(&self) -> EnvContext {
        let epoch = self.0["epoch"].as_u64().unwrap().try_into().unwrap();
        EnvContext { app_id: self.text("app_id").parse().unwrap(), epoch: RootEpoch(epoch) }
    }

    fn blob(&self, format: BlobFormat) -> Vec<u8> {
        self.bytes(match format {
            BlobFormat::Native => "native",
            BlobFormat::Dstack => "dstack",
        })
    }
}

fn pairs(vars: &EnvVars) -> Vec<(String, String)> {
    vars.expose().map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect()
}

fn vars(pairs: &[(&str, &str)]) -> EnvVars {
    let mut vars = EnvVars::new();
    for (name, value) in pairs {
        vars.insert(EnvName::parse(name).unwrap(), (*value).to_owned().into()).unwrap();
    }
    vars
}

fn open(blob: &[u8], format: BlobFormat, context: &EnvContext, key: &EnvPrivateKey) -> Result<(), EnvCode> {
    EnvVars::open(blob, format, context, key).map(|_| ()).map_err(|error| error.code)
}

#[test]
fn blobs__should_open_those_of_the_independent_implementation() {
    let vectors = Vectors::read();
    assert_eq!(vectors.key().public_key().to_string(), vectors.text("public"));
    for format in FORMATS {
        let blob = vectors.blob(format);
        let opened = EnvVars::open(&blob, format, &vectors.context(), &vectors.key()).unwrap();
        let expected = [("API_KEY", "s3cr3t"), ("MOTTO", "a \"b\"\nä")];
        assert_eq!(pairs(&opened), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    assert_eq!(claimed_epoch(&vectors.blob(BlobFormat::Native)).unwrap(), vectors.context().epoch);
}

#[test]
fn blobs__should_be_fresh_each_time_and_open_again() {
    let vectors = Vectors::read();
    let (key, context) = (vectors.key(), vectors.context());
    for format in FORMATS {
        let seal = || vars(&[("A", "1")]).seal(format, &context, &key.public_key()).unwrap();
        assert_ne!(seal(), seal());
        let opened = EnvVars::open(&seal(), format, &context, &key).unwrap();
        assert_eq!(pairs(&opened), [("A".to_owned(), "1".to_owned())]);
    }
}

#[test]
fn native_blob__should_open_for_its_app_and_epoch_alone() {
    let vectors = Vectors::read();
    let (key, context, blob) = (vectors.key(), vectors.context(), vectors.blob(BlobFormat::Native));
    let other_app = EnvContext { app_id: AppId([9; 20]), ..context };
    assert_eq!(open(&blob, BlobFormat::Native, &other_app, &key), Err(EnvCode::NotOpened));
    let other_epoch = EnvContext { epoch: RootEpoch(2), ..context };
    let error = EnvVars::open(&blob, BlobFormat::Native, &other_epoch, &key).err().unwrap();
    assert_eq!((error.code, &error.found[..], &error.expected[..]), (EnvCode::Epoch, "root epoch 1", "2"));
    // Even where the blob's header is changed to what is expected.
    let mut changed = blob;
    changed[4] = 2;
    assert_eq!(open(&changed, BlobFormat::Native, &other_epoch, &key), Err(EnvCode::NotOpened));
}

#[test]
fn blobs__should_not_open_with_another_key_or_a_changed_bit() {
    let vectors = Vectors::read();
    let other = EnvPrivateKey::new(Secret::copy_of(&[9; 32]).unwrap());
    for format in FORMATS {
        let blob = vectors.blob(format);
        assert_eq!(open(&blob, format, &vectors.context(), &other), Err(EnvCode::NotOpened));
        for at in 0..blob.len() {
            for bit in [1, 0x40] {
                let mut changed = blob.clone();
                changed[at] ^= bit;
                let error = open(&changed, format, &vectors.context(), &vectors.key());
                assert!(error.is_err(), "{format:?} byte {at}");
            }
            assert!(open(&blob[..at], format, &vectors.context(), &vectors.key()).is_err());
        }
    }
}

#[test]
fn public_key__should_not_be_a_point_of_small_order() {
    // RFC 7748, 6.1: the shared secret of such a point is zero, known to all.
    for point in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        for format in FORMATS {
            let sealed = vars(&[]).seal(format, &Vectors::read().context(), &EnvPublicKey::from_bytes(point));
            assert_eq!(sealed.unwrap_err().code, EnvCode::Key, "{format:?}");
        }
    }
    // Nor is a blob from such a point opened.
    let vectors = Vectors::read();
    let mut blob = vectors.blob(BlobFormat::Dstack);
    blob[..32].fill(0);
    assert_eq!(open(&blob, BlobFormat::Dstack, &vectors.context(), &vectors.key()), Err(EnvCode::NotOpened));
    for bad in ["", "00", "zz", &"0".repeat(66)] {
        assert_eq!(bad.parse::<EnvPublicKey>().unwrap_err().code, EnvCode::Key);
    }
}

#[test]
fn environment__should_be_bounded_in_both_directions() {
    let vectors = Vectors::read();
    let large = vars(&[("A", &"x".repeat(MAX_BLOB_BYTES))]);
    for format in FORMATS {
        let error = large.seal(format, &vectors.context(), &vectors.key().public_key()).unwrap_err();
        assert_eq!(error.code, EnvCode::TooLarge);
        let blob = vec![1; MAX_BLOB_BYTES + 1];
        let error = open(&blob, format, &vectors.context(), &vectors.key()).unwrap_err();
        assert_eq!(error, EnvCode::TooLarge);
    }
}

#[test]
fn dstack_blob__should_be_named_when_taken_for_a_native_one() {
    let vectors = Vectors::read();
    let error =
        open(&vectors.blob(BlobFormat::Dstack), BlobFormat::Native, &vectors.context(), &vectors.key());
    assert!(error.unwrap_err().fix().contains("--format dstack"));
}

proptest! {
    #[test]
    fn environment__should_survive_the_journey(
        values in proptest::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,20}", "[^\0]{0,40}", 0..8)
    ) {
        let vectors = Vectors::read();
        let mut vars = EnvVars::new();
        for (name, value) in &values {
            vars.insert(EnvName::parse(name).unwrap(), value.clone().into()).unwrap();
        }
        for format in FORMATS {
            let blob = vars.seal(format, &vectors.context(), &vectors.key().public_key()).unwrap();
            let opened = EnvVars::open(&blob, format, &vectors.context(), &vectors.key()).unwrap();
            prop_assert_eq!(pairs(&opened), values.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
