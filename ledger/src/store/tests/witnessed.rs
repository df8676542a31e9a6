//! Cosigned checkpoints in the published log: where they stand, for how long, and over a restart.

use std::path::Path;

use super::world::{cosigned, journal_key, options, plain};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::refusal::LedgerCode;
use crate::store::{Store, StoreKeys};
use crate::testing::{Signer, name};

fn open(folder: &Path) -> Store {
    let keys = StoreKeys { signer: Box::new(Signer::new(1)), journal: journal_key() };
    Store::open(folder, keys, options()).unwrap().0
}

async fn grown(store: &Store, number: u64) -> SignedCheckpoint {
    store.append(plain(number)).await.unwrap();
    store.publish().await.unwrap();
    (*store.checkpoint()).clone()
}

fn file(store: &Store, name: &str) -> Option<String> {
    std::fs::read_to_string(store.log_folder().join(name)).ok()
}

#[tokio::test]
async fn witnessed__should_stand_in_both_files_while_it_is_the_newest_and_in_its_own_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let first = grown(&store, 1).await;
    assert_eq!(file(&store, "witnessed"), None);
    let shown = cosigned(&first);
    store.show_witnessed(shown.clone()).await.unwrap();
    assert_eq!(file(&store, "checkpoint"), Some(shown.encode()));
    assert_eq!(file(&store, "witnessed"), Some(shown.encode()));
    assert_eq!(*store.checkpoint(), shown, "it is what the node hands out, too");

    let newer = grown(&store, 2).await;
    assert_eq!(file(&store, "checkpoint"), Some(newer.encode()));
    assert_eq!(file(&store, "witnessed"), Some(shown.encode()));
    // Cosignatures that come late: the newer checkpoint stays.
    store.show_witnessed(shown.clone()).await.unwrap();
    assert_eq!(
        (file(&store, "checkpoint"), store.checkpoint().encode()),
        (Some(newer.encode()), newer.encode())
    );
    store.close().await.unwrap();

    let again = open(folder.path());
    assert_eq!(file(&again, "witnessed"), Some(shown.encode()));
    let newest = cosigned(&newer);
    again.show_witnessed(newest.clone()).await.unwrap();
    again.close().await.unwrap();
    assert_eq!(*open(folder.path()).checkpoint(), newest, "cosignatures outlive the process");
}

#[tokio::test]
async fn witnessed__should_refuse_what_was_never_published() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut ahead = grown(&store, 1).await.checkpoint().clone();
    (ahead.size, ahead.root) = (2, TreeHash([7; 32]));
    let mut foreign = store.checkpoint().checkpoint().clone();
    foreign.origin = name("log.example/other");
    for checkpoint in [ahead, foreign] {
        let signed = cosigned(&SignedCheckpoint::sign(checkpoint, &Signer::new(1)).unwrap());
        assert_eq!(store.show_witnessed(signed).await.unwrap_err().code, LedgerCode::LogRange);
    }
    assert_eq!(file(&store, "witnessed"), None);
}
