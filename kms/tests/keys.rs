//! The keys against an independent implementation, and what must hold of them: docs/vectors/vectors.py wrote the values.
#![allow(non_snake_case, missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::BTreeSet;

use alloy::primitives::{Signature, keccak256};
use kms_attestation::ids::{AppId, InstanceId, RootEpoch};
use kms_attestation::ratls::subject_public_key_info;
use kms_client::secret::Secret;
use kms_client::signature::{AppKeyStatement, EnvKeyStatement, Freshness};
use kms_ledger::note::LogSigner as _;
use kms_ledger::store::{JournalKey, Store, StoreKeys, StoreOptions};
use kms_node::hardening::{Hardened, MemoryLocking, harden};
use kms_node::keys::{
    AppKeys, AppSigningKey, CertificatePolicy, DnsName, KeyCode, Lifetime, NodeId, NodeLogKey, RootKeys,
    RootSecret, RootSigner, SignedEnvKey,
};
use proptest::prelude::*;
use serde_json::Value;
use static_assertions::assert_not_impl_any;

const NOW: u64 = 1_800_000_000;

macro_rules! assert_secret {
    ($($name:ty),+) => {
        $(assert_not_impl_any!($name: std::fmt::Debug, std::fmt::Display, Clone, PartialEq);)+
    };
}

// "Secrets: own types, no Debug, no Clone": the compiler's word for it.
assert_secret!(
    RootSecret,
    RootKeys,
    RootSigner,
    AppKeys,
    AppSigningKey,
    NodeLogKey,
    JournalKey,
    StoreKeys,
    kms_node::keys::RootCa,
    kms_node::keys::AppCa,
    kms_client::env::EnvPrivateKey
);

fn hardened() -> Hardened {
    harden(MemoryLocking::InsecureOff).unwrap()
}

fn root(bytes: [u8; 32], epoch: u32) -> RootKeys {
    let bytes = Secret::copy_of(&bytes).unwrap();
    RootSecret::from_secret(RootEpoch(epoch), bytes, &hardened()).unwrap().keys().unwrap()
}

fn policy() -> CertificatePolicy {
    CertificatePolicy::new(DnsName::parse("apps.internal").unwrap()).unwrap()
}

fn app_keys(root: &RootKeys, app: AppId, instance: Option<InstanceId>) -> AppKeys {
    root.app_keys(app, instance, &policy(), NOW).unwrap()
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../docs/vectors/keys.json")).unwrap()
}

fn text<'a>(vectors: &'a Value, path: &str) -> &'a str {
    vectors.pointer(path).and_then(Value::as_str).unwrap()
}

/// The private halves, in the order of the vectors' names.
fn privates(keys: &AppKeys, shared: &AppKeys) -> [(&'static str, String); 4] {
    [
        ("app_disk", hex::encode(keys.disk_key.expose())),
        ("app_disk_shared", hex::encode(shared.disk_key.expose())),
        ("app_env", hex::encode(keys.env_key.expose())),
        ("app_signing", hex::encode(keys.signing_key.expose())),
    ]
}

fn publics(root: &RootKeys, keys: &AppKeys, node: &NodeLogKey) -> [(&'static str, String); 6] {
    [
        ("app_env", keys.env_key.public_key().to_string()),
        ("app_signing", hex::encode(keys.signing_key.public_key().unwrap())),
        ("app_ca", hex::encode(subject_public_key_info(&keys.statements.ca_certificate).unwrap())),
        ("node_log", hex::encode(node.public_key())),
        ("root_ca", hex::encode(root.public_keys().ca_spki)),
        ("root_signer", root.public_keys().signer.to_string()),
    ]
}

#[test]
fn keys__should_be_those_of_the_independent_implementation() {
    let vectors = vectors();
    let root_bytes: [u8; 32] = hex::decode(text(&vectors, "/root")).unwrap().try_into().unwrap();
    let app: AppId = text(&vectors, "/app_id").parse().unwrap();
    let instance: InstanceId = text(&vectors, "/instance_id").parse().unwrap();
    let node_id = NodeId::parse(text(&vectors, "/node_id")).unwrap();
    for epoch in 0..2_u32 {
        let root = root(root_bytes, epoch);
        let (keys, shared) = (app_keys(&root, app, Some(instance)), app_keys(&root, app, None));
        let node = root.node_log_key(&node_id).unwrap();
        for (name, found) in privates(&keys, &shared) {
            assert_eq!(found, text(&vectors, &format!("/epochs/{epoch}/keys/{name}/private")), "{name}");
        }
        for (name, found) in publics(&root, &keys, &node) {
            assert_eq!(found, text(&vectors, &format!("/epochs/{epoch}/keys/{name}/public")), "{name}");
        }
    }
}

#[test]
fn statements__should_be_those_of_the_independent_implementation() {
    let vectors = vectors();
    for epoch in 0..2_u32 {
        let of = |path: &str| text(&vectors, &format!("/epochs/{epoch}/{path}")).to_owned();
        let app_id = text(&vectors, "/app_id").parse().unwrap();
        let public_key = hex::decode(of("keys/app_signing/public")).unwrap().try_into().unwrap();
        let app = AppKeyStatement { app_id, epoch: RootEpoch(epoch), public_key };
        assert_eq!(hex::encode(app.message()), of("statements/app_key/message"));
        assert_eq!(hex::encode(app.digest()), of("statements/app_key/digest"));
        let public_key = of("keys/app_env/public").parse().unwrap();
        let env = EnvKeyStatement { app_id, epoch: RootEpoch(epoch), timestamp: NOW, public_key };
        assert_eq!(hex::encode(env.message()), of("statements/env_key/message"));
        assert_eq!(hex::encode(env.digest()), of("statements/env_key/digest"));
    }
}

#[test]
fn endorsement__should_recover_to_the_root_signer_in_ethereums_own_library() {
    let root = root([7; 32], 0);
    let keys = app_keys(&root, AppId([1; 20]), None);
    let statement = AppKeyStatement {
        app_id: keys.app_id,
        epoch: keys.epoch,
        public_key: keys.signing_key.public_key().unwrap(),
    };
    let signature = Signature::from_raw(&keys.statements.endorsement.to_bytes()).unwrap();
    let recovered = signature.recover_from_prehash(&keccak256(statement.message())).unwrap();
    assert_eq!(recovered.to_encoded_point(true).as_bytes(), root.public_keys().signer.to_compressed());
    statement.verify(&keys.statements.endorsement, &root.public_keys().signer).unwrap();
}

#[test]
fn endorsement__should_not_count_for_another_app_epoch_key_or_root() {
    let root_7 = root([7; 32], 0);
    let signer = root_7.public_keys().signer;
    let keys = app_keys(&root_7, AppId([1; 20]), None);
    let good = AppKeyStatement {
        app_id: keys.app_id,
        epoch: keys.epoch,
        public_key: keys.signing_key.public_key().unwrap(),
    };
    let other_key = app_keys(&root_7, AppId([2; 20]), None).signing_key.public_key().unwrap();
    for bad in [
        AppKeyStatement { app_id: AppId([2; 20]), ..good },
        AppKeyStatement { epoch: RootEpoch(1), ..good },
        AppKeyStatement { public_key: other_key, ..good },
    ] {
        let error = bad.verify(&keys.statements.endorsement, &signer).unwrap_err();
        assert_eq!(error.code.as_str(), "signature-wrong-signer", "{error}");
    }
    let other_root = root([8; 32], 0).public_keys().signer;
    assert_eq!(
        good.verify(&keys.statements.endorsement, &other_root).unwrap_err().code.as_str(),
        "signature-wrong-signer"
    );
    // The same root secret in another epoch has another signer.
    assert_ne!(root([7; 32], 1).public_keys().signer, signer);
}

#[test]
fn env_key__should_be_endorsed_for_a_while() {
    let root = root([7; 32], 3);
    let SignedEnvKey { statement, signature } = root.signed_env_key(AppId([1; 20]), NOW).unwrap();
    let public_key = app_keys(&root, AppId([1; 20]), None).env_key.public_key();
    let expected =
        EnvKeyStatement { app_id: AppId([1; 20]), epoch: RootEpoch(3), timestamp: NOW, public_key };
    assert_eq!(statement, expected);
    let at = |now| {
        statement
            .verify(&signature, &root.public_keys().signer, now, Freshness::default())
            .map_err(|error| error.code.as_str())
    };
    assert_eq!((at(NOW), at(NOW + 300), at(NOW - 60)), (Ok(()), Ok(()), Ok(())));
    assert_eq!(at(NOW + 301), Err("signature-stale"));
    assert_eq!(at(NOW - 61), Err("signature-from-the-future"));
    let replayed = EnvKeyStatement { timestamp: NOW + 1, ..statement };
    let error = replayed.verify(&signature, &root.public_keys().signer, NOW, Freshness::default());
    assert_eq!(error.unwrap_err().code.as_str(), "signature-wrong-signer");
}

#[test]
fn root__should_refuse_a_blank_file_and_never_repeat() {
    let blank = Secret::copy_of(&[0; 32]).unwrap();
    let error = RootSecret::from_secret(RootEpoch::FIRST, blank, &hardened()).err().unwrap();
    assert_eq!(error.code(), KeyCode::BlankRoot);
    let new = || RootSecret::generate(RootEpoch::FIRST, &hardened()).unwrap();
    assert_ne!(new().expose_for_transfer(), new().expose_for_transfer());
}

#[test]
fn node_log_key__should_sign_what_ed25519_verifies() {
    let root = root([7; 32], 0);
    let key = root.node_log_key(&NodeId::parse("a").unwrap()).unwrap();
    let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key.public_key());
    public.verify(b"checkpoint", &key.sign(b"checkpoint")).unwrap();
    let other = root.node_log_key(&NodeId::parse("b").unwrap()).unwrap();
    assert_ne!(other.public_key(), key.public_key());
    for bad in ["", "A", "a b", "a/b", "ä", &"a".repeat(65)] {
        assert!(NodeId::parse(bad).is_none(), "{bad:?}");
    }
}

/// The key shows itself to nobody: a folder that was begun with one is opened with the same alone.
#[tokio::test]
async fn node_journal_key__should_be_that_of_the_independent_implementation() {
    let vectors = vectors();
    let bytes = |path: &str| <[u8; 32]>::try_from(hex::decode(text(&vectors, path)).unwrap()).unwrap();
    let node_id = NodeId::parse(text(&vectors, "/node_id")).unwrap();
    for epoch in 0..2_u32 {
        let root = root(bytes("/root"), epoch);
        let folder = tempfile::tempdir().unwrap();
        let open = |journal: JournalKey| {
            let keys = StoreKeys { signer: Box::new(root.node_log_key(&node_id).unwrap()), journal };
            let options = StoreOptions { origin: "log.example".to_owned(), ..StoreOptions::default() };
            Store::open(folder.path(), keys, options).map(|(store, _)| store)
        };
        open(root.node_journal_key(&node_id).unwrap()).unwrap().close().await.unwrap();
        let mut secret = bytes(&format!("/epochs/{epoch}/keys/node_journal/private"));
        open(JournalKey::new(&secret)).unwrap().close().await.unwrap();
        secret[31] ^= 1;
        assert_eq!(open(JournalKey::new(&secret)).err().unwrap().code.as_str(), "store-forged");
    }
}

/// Everything that is secret or public of an instance, as bytes.
fn all_bytes(keys: &AppKeys) -> Vec<Vec<u8>> {
    vec![
        keys.disk_key.expose().to_vec(),
        keys.env_key.expose().to_vec(),
        keys.signing_key.expose().to_vec(),
        subject_public_key_info(&keys.statements.ca_certificate).unwrap(),
    ]
}

#[test]
fn statements__should_be_made_anew_when_they_are_old_or_for_another_policy() {
    let (root, app) = (root([7; 32], 0), AppId([1; 20]));
    let of = |policy: &CertificatePolicy, now| {
        root.app_keys(app, None, policy, now).unwrap().statements.ca_certificate.clone()
    };
    let fresh =
        |policy: &CertificatePolicy, now| root.app_ca(app, policy, now).unwrap().certificate().der.clone();
    let first = of(&policy(), NOW);
    assert_eq!(first, fresh(&policy(), NOW));
    assert_eq!(of(&policy(), NOW + 3600), first);
    assert_eq!(of(&policy(), NOW + 3601), fresh(&policy(), NOW + 3601));
    assert_eq!(of(&policy(), NOW), first, "a clock that went back");
    let short = policy().with_app_ca_lifetime(Lifetime::from_secs(1000).unwrap());
    assert_eq!(of(&short, NOW), fresh(&short, NOW));
    assert_eq!(of(&short, NOW + 10), fresh(&short, NOW));
    assert_eq!(of(&short, NOW + 11), fresh(&short, NOW + 11), "never when a hundredth of its life is over");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn keys__should_never_be_equal_between_apps_epochs_or_roots(a: [u8; 20], b: [u8; 20], epoch in 0_u32..4) {
        prop_assume!(a != b);
        let roots = [root([1; 32], epoch), root([1; 32], epoch + 1), root([2; 32], epoch)];
        let all: Vec<_> = roots
            .iter()
            .flat_map(|root| [a, b].map(|app| all_bytes(&app_keys(root, AppId(app), None))))
            .flatten()
            .collect();
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn keys__should_survive_everything_but_the_app_id(app: [u8; 20], a: [u8; 20], b: [u8; 20], later in 0_u64..1_000_000) {
        prop_assume!(a != b);
        let root = root([1; 32], 0);
        let first = app_keys(&root, AppId(app), Some(InstanceId(a)));
        let sibling = root.app_keys(AppId(app), Some(InstanceId(b)), &policy(), NOW + later).unwrap();
        prop_assert_ne!(first.disk_key.expose(), sibling.disk_key.expose());
        prop_assert_eq!(&all_bytes(&first)[1..], &all_bytes(&sibling)[1..]);
        let again = app_keys(&root, AppId(app), Some(InstanceId(a)));
        prop_assert_eq!(all_bytes(&first), all_bytes(&again));
    }
}
