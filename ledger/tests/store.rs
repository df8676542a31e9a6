//! The store as a node uses it: many writers at once, proofs, retention, and everything again after it was closed.
#![allow(
    non_snake_case,
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kms_attestation::ids::{MrAggregated, RootEpoch};
use kms_ledger::blob::MAX_BLOB_BYTES;
use kms_ledger::hash::TreeHash;
use kms_ledger::note::{LogKey, LogSigner};
use kms_ledger::record::{Event, NodeStamp};
use kms_ledger::store::{
    Appended, Before, Entry, JournalKey, Opened, Priority, StoreFault, StoreKeys, StoreOptions,
};
use kms_ledger::tree::{verify_consistency, verify_inclusion};
use kms_ledger::{Blob, BlobId, LogPath, LogReader, Record, Source, Store, blob_file};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const ORIGIN: &str = "log.example/store";

struct Signer(Ed25519KeyPair);

impl Signer {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }
}

impl LogSigner for Signer {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

fn keys(seed: u8) -> StoreKeys {
    StoreKeys { signer: Box::new(Signer::new(seed)), journal: JournalKey::new(&[seed; 32]) }
}

fn options() -> StoreOptions {
    StoreOptions { origin: ORIGIN.to_owned(), reserve_bytes: 0, ..StoreOptions::default() }
}

fn try_open(folder: &Path, options: StoreOptions) -> Result<(Store, Opened), StoreFault> {
    Store::open(folder, keys(1), options)
}

fn open(folder: &Path) -> Store {
    try_open(folder, options()).unwrap().0
}

fn entry(number: u64) -> Entry {
    let policy = Blob::new(format!("policy {number}").into_bytes());
    let node = NodeStamp {
        name: "n".to_owned(),
        software: "1".to_owned(),
        rules: 1,
        root_epoch: RootEpoch(0),
        policy: policy.id(),
        measurement: MrAggregated([2; 32]),
    };
    let record = Record { time: number, node, head: None, event: Event::Stopped };
    Entry { record: record.encode(), blobs: vec![policy], priority: Priority::Release }
}

/// Appends from many tasks at once; what they were told, in the order of the numbers.
async fn append_all(store: &Arc<Store>, numbers: impl Iterator<Item = u64>) -> Vec<Appended> {
    let tasks = numbers.map(|number| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.append(entry(number)).await.unwrap() })
    });
    let mut appended = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        appended.push(task.await.unwrap());
    }
    appended
}

async fn close(store: Arc<Store>) {
    Arc::into_inner(store).unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn append__should_give_each_of_many_an_index_of_its_own_and_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let mut appended = append_all(&store, 0..700).await;
    store.publish().await.unwrap();
    let checkpoint = store.checkpoint();
    let (size, root) = (checkpoint.checkpoint().size, checkpoint.checkpoint().root);
    for Appended { index, leaf } in &appended {
        let proof = store.inclusion(*index, size).await.unwrap();
        verify_inclusion(*index, size, *leaf, &proof, root).unwrap();
    }
    appended.sort_unstable_by_key(|appended| appended.index);
    assert!(appended.iter().zip(0..).all(|(appended, index)| appended.index == index));
    let source = Source::folder(store.log_folder());
    close(store).await;

    let key = LogKey::new(ORIGIN.parse().unwrap(), Signer::new(1).public_key());
    let reader = LogReader::open(source, &key).await.unwrap();
    for Appended { index, leaf } in appended {
        let record = reader.entry(index).await.unwrap();
        assert_eq!(TreeHash::leaf(&record), leaf);
        for id in Record::decode(&record).unwrap().blobs() {
            reader.blob(id).await.unwrap();
        }
    }

    let (store, opened) = try_open(folder.path(), options()).unwrap();
    assert_eq!(opened, Opened { size: 700, published: 700, torn_bytes: 0 });
    assert_eq!(store.append(entry(700)).await.unwrap().index, 700);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs__should_be_given_for_every_published_size_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let mut heads = Vec::new();
    for end in [1, 2, 255, 256, 257, 513] {
        append_all(&store, heads.last().map_or(0, |(size, _)| *size)..end).await;
        store.publish().await.unwrap();
        heads.push((end, store.checkpoint().checkpoint().root));
    }
    for (new, (size, root)) in heads.iter().enumerate() {
        for (old_size, old_root) in &heads[..=new] {
            let proof = store.consistency(*old_size, *size).await.unwrap();
            verify_consistency((*old_size, *old_root), (*size, *root), &proof).unwrap();
        }
    }
    // Of a tree that never had a checkpoint, too: its tiles are the front of later ones.
    assert_eq!(store.inclusion(7, 400).await.unwrap().len(), 9);
    assert_eq!(store.inclusion(7, 514).await.unwrap_err().code.as_str(), "log-out-of-range");
    assert_eq!(store.consistency(7, 514).await.unwrap_err().code.as_str(), "log-out-of-range");
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish__should_happen_by_itself_and_keep_only_what_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let quick = StoreOptions { publish_every: Duration::from_millis(20), segment_bytes: 4096, ..options() };
    let store = Arc::new(try_open(folder.path(), quick).unwrap().0);
    let mut checkpoints = store.checkpoints();
    append_all(&store, 0..300).await;
    while checkpoints.borrow_and_update().checkpoint().size < 300 {
        tokio::time::timeout(Duration::from_secs(20), checkpoints.changed()).await.unwrap().unwrap();
    }
    append_all(&store, 300..301).await;
    store.publish().await.unwrap();
    assert_eq!((store.state().size, store.state().published, store.state().fault), (301, 301, None));
    assert_eq!(fs::read_dir(folder.path().join("journal")).unwrap().count(), 1);
    assert!(store.log_folder().join("tile/entries/000").is_file());
    assert!(!store.log_folder().join("tile/entries/000.p").exists());
    close(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn append__should_wait_when_too_much_waits_and_take_large_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(try_open(folder.path(), StoreOptions { queue_bytes: 4096, ..options() }).unwrap().0);
    let large = (0..6_u8).map(|byte| {
        let store = Arc::clone(&store);
        let blob = Blob::new(vec![byte; MAX_BLOB_BYTES]);
        let entry = Entry { blobs: vec![blob], ..entry(byte.into()) };
        tokio::spawn(async move { store.append(entry).await.unwrap() })
    });
    for append in large.collect::<Vec<_>>() {
        append.await.unwrap();
    }
    close(store).await;
    let id = BlobId::of(&vec![5; MAX_BLOB_BYTES]);
    let file = fs::read(folder.path().join("log").join(blob_file::path(id))).unwrap();
    let blob = blob_file::BlobFile::decode(&file).unwrap();
    assert_eq!(blob.assemble(id, |_| unreachable!()).unwrap().len(), MAX_BLOB_BYTES);
}

#[tokio::test]
async fn append__should_refuse_what_could_never_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let record = Entry { record: vec![0; 65_536], ..entry(0) };
    assert_eq!(store.append(record).await.unwrap_err().code.as_str(), "record-too-large");
    let blob = Entry { blobs: vec![Blob::new(vec![0; MAX_BLOB_BYTES + 1])], ..entry(0) };
    assert_eq!(store.append(blob).await.unwrap_err().code.as_str(), "blob-malformed");
    assert_eq!(store.append(entry(0)).await.unwrap().index, 0);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn prune__should_leave_evidence_of_what_is_appended_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    append_all(&store, 0..50).await;
    // The same evidence again, while that of the first fifty is removed.
    let pruning = Arc::clone(&store);
    let pruning = tokio::spawn(async move { pruning.prune(Before::Index(50)).await.unwrap() });
    append_all(&store, 0..50).await;
    let pruned = pruning.await.unwrap();
    assert_eq!(pruned.before, 50);
    assert_eq!(fs::read(store.log_folder().join(LogPath::Pruned.to_string())).unwrap(), b"50\n");
    store.publish().await.unwrap();
    for number in 0..50 {
        let path = blob_file::path(BlobId::of(format!("policy {number}").as_bytes()));
        assert!(store.log_folder().join(&path).is_file(), "{number}: {pruned:?}");
    }
    let checkpoint = store.checkpoint();
    let proof = store.inclusion(3, checkpoint.checkpoint().size).await.unwrap();
    assert!(!proof.is_empty());
    close(store).await;
}

#[tokio::test]
async fn open__should_refuse_a_folder_that_is_open_and_take_it_once_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let refused = try_open(folder.path(), options()).err().unwrap();
    assert_eq!(refused.code.as_str(), "store-locked");
    store.close().await.unwrap();
    open(folder.path()).close().await.unwrap();
    let nameless = StoreOptions { origin: String::new(), ..options() };
    assert_eq!(try_open(folder.path(), nameless).err().unwrap().code.as_str(), "log-key-malformed");
}

#[tokio::test]
async fn open__should_refuse_a_log_that_another_key_signed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(entry(0)).await.unwrap();
    store.close().await.unwrap();
    let before = fs::read(folder.path().join("log/checkpoint")).unwrap();
    let refused = Store::open(folder.path(), keys(2), options()).err().unwrap();
    assert_eq!(refused.code.as_str(), "store-key");
    assert!(refused.found.contains("log/checkpoint"), "{refused}");
    assert_eq!(fs::read(folder.path().join("log/checkpoint")).unwrap(), before);
    assert_eq!(try_open(folder.path(), options()).unwrap().1.size, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn append__should_wait_for_publication_when_too_much_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let bound = 8 * 1024;
    let seldom = Duration::from_hours(1);
    let options = StoreOptions { publish_every: seldom, backlog_bytes: bound, ..options() };
    let (store, _) = try_open(folder.path(), options).unwrap();
    // The thread publishes once when it starts: the bound is what publishes from here on.
    store.publish().await.unwrap();
    for number in 0..100 {
        store.append(entry(number)).await.unwrap();
        assert!(store.state().backlog_bytes < bound + 1024, "{:?}", store.state());
    }
    assert!(store.state().published > 50, "{:?}", store.state());
    store.close().await.unwrap();
}

/// A file that a host changes while the store runs, with the whole of it as it was.
fn change_journal(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (PathBuf, Vec<u8>) {
    let path = folder.join("journal/0000000000000000");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    (path, whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn append__should_be_refused_once_the_journal_was_changed_and_go_on_when_it_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { publish_every: Duration::from_hours(1), ..options() };
    let (store, _) = try_open(folder.path(), options).unwrap();
    store.publish().await.unwrap();
    store.append(entry(0)).await.unwrap();
    let (path, whole) = change_journal(folder.path(), |bytes| bytes[150] ^= 1);
    assert_eq!(store.publish().await.unwrap_err().code.as_str(), "store-damaged");
    assert_eq!(store.append(entry(1)).await.unwrap_err().code.as_str(), "store-damaged");
    fs::write(path, whole).unwrap();
    store.publish().await.unwrap();
    assert_eq!(store.append(entry(1)).await.unwrap().index, 1);
    store.close().await.unwrap();
}
