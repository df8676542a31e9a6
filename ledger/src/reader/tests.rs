//! A log in a folder, read whole, at an older size, and with every file of it damaged.

use std::fs;
use std::path::Path;

use super::*;
use crate::blob::{Blob, Part};
use crate::blob_file;
use crate::testing::{LogFolder, Signer, noise};

const NAME: &str = "log.example/a";

fn key() -> LogKey {
    Signer::new(1).log_key(NAME)
}

fn entry(index: u64) -> Vec<u8> {
    LogFolder::entry(index)
}

async fn read_all(folder: &Path) -> Result<LogReader, LedgerRefusal> {
    let reader = LogReader::open(Source::folder(folder), &key()).await?;
    for bundle in 0..reader.size().div_ceil(256) {
        for (place, found) in reader.bundle(bundle).await?.iter().enumerate() {
            assert_eq!(*found, entry(bundle * 256 + place as u64));
        }
    }
    Ok(reader)
}

#[tokio::test]
async fn reader__should_read_every_entry_of_logs_of_any_size() {
    for size in [0, 1, 255, 256, 257, 700] {
        let log = LogFolder::new(NAME, size);
        let reader = read_all(log.path()).await.unwrap();
        assert_eq!(reader.size(), size);
        assert_eq!(reader.entry(size).await.unwrap_err().code, LedgerCode::LogRange);
        assert_eq!(reader.bundle(u64::MAX).await.unwrap_err().code, LedgerCode::LogRange);
    }
}

#[tokio::test]
async fn reader__should_follow_a_tree_of_three_levels() {
    let log = LogFolder::new(NAME, 65_536 + 300);
    let reader = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    for index in [0, 255, 256, 65_535, 65_536, 65_835] {
        assert_eq!(reader.entry(index).await.unwrap(), entry(index));
    }
}

#[tokio::test]
async fn reader__should_refuse_a_log_with_any_file_damaged_or_missing() {
    let log = LogFolder::new(NAME, 600);
    let files = log.files();
    assert_eq!(files.len(), 1 + 3 + 3 + 1);
    // A full tile of leaves is not read for entries: they give its hashes themselves.
    let needless = [log.path().join("tile/0/000"), log.path().join("tile/0/001")];
    assert!(needless.iter().all(|file| files.contains(file)));
    for file in files.into_iter().filter(|file| !needless.contains(file)) {
        let bytes = fs::read(&file).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&file, changed).unwrap();
            assert!(read_all(log.path()).await.is_err(), "{} at {at}", file.display());
        }
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read_all(log.path()).await.is_err(), "{} cut", file.display());
        fs::remove_file(&file).unwrap();
        let refusal = read_all(log.path()).await.err().unwrap();
        assert_eq!(refusal.code, LedgerCode::LogFileMissing, "{} removed", file.display());
        fs::write(&file, bytes).unwrap();
    }
    read_all(log.path()).await.unwrap();
}

#[tokio::test]
async fn reader__should_take_full_tiles_where_partial_ones_are_gone() {
    let log = LogFolder::new(NAME, 600);
    let old = LogReader::open(Source::folder(log.path()), &key()).await.unwrap().head().clone();
    let grown = LogFolder::new(NAME, 1024);
    let reader = LogReader::at(Source::folder(grown.path()), old.clone());
    // At 1024 entries the partial tile of level 1 is another one, and no full one has taken its place yet.
    assert_eq!(reader.check_edge().await.unwrap_err().code, LedgerCode::LogFileMissing);
    let partial = grown.path().join("tile/1/000.p/2");
    fs::write(partial, &fs::read(grown.path().join("tile/1/000.p/4")).unwrap()[..64]).unwrap();
    let reader = LogReader::at(Source::folder(grown.path()), old);
    assert_eq!(reader.bundle(2).await.unwrap().len(), 600 - 512);
    assert_eq!(reader.entry(599).await.unwrap(), entry(599));
}

#[tokio::test]
async fn reader__should_tell_a_continued_log_from_a_forked_and_a_shrunk_one() {
    let reader = LogReader::open(Source::folder(LogFolder::new(NAME, 300).path()), &key()).await;
    let log = LogFolder::new(NAME, 700);
    let grown = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    let old = reader.unwrap().head().checkpoint().clone();
    grown.check_continues(&old).await.unwrap();
    grown.check_continues(grown.head().checkpoint()).await.unwrap();
    grown.check_continues(&Checkpoint { size: 0, root: TreeHash::empty(), ..old.clone() }).await.unwrap();
    let forked = Checkpoint { root: TreeHash([9; 32]), ..old.clone() };
    assert_eq!(grown.check_continues(&forked).await.unwrap_err().code, LedgerCode::LogForked);
    let same = Checkpoint { root: TreeHash([9; 32]), ..grown.head().checkpoint().clone() };
    assert_eq!(grown.check_continues(&same).await.unwrap_err().code, LedgerCode::LogForked);
    let longer = Checkpoint { size: 701, ..old.clone() };
    assert_eq!(grown.check_continues(&longer).await.unwrap_err().code, LedgerCode::LogShrunk);
    let foreign = Checkpoint { origin: "log.example/b".parse().unwrap(), ..old };
    assert_eq!(grown.check_continues(&foreign).await.unwrap_err().code, LedgerCode::CheckpointForeign);
}

#[tokio::test]
async fn proof__should_verify_offline_and_not_with_any_byte_changed() {
    let log = LogFolder::new(NAME, 700);
    let reader = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    let proof = reader.prove(513).await.unwrap();
    let text = proof.encode();
    let read = LogProof::decode(text.as_bytes()).unwrap();
    assert_eq!((&read, read.index(), read.entry()), (&proof, 513, Some(entry(513).as_slice())));
    let open = |bytes: &[u8]| {
        LogProof::decode(bytes).and_then(|proof| proof.verify(proof.entry().unwrap_or(b"none"), &key()))
    };
    assert_eq!(open(text.as_bytes()).unwrap().checkpoint().size, 700);
    for changed in crate::testing::changed_bytes(text.as_bytes()) {
        assert!(open(&changed).is_err());
    }
    assert_eq!(read.verify(&entry(512), &key()).unwrap_err().code, LedgerCode::LogProof);
    let other = Signer::new(2).log_key(NAME);
    assert_eq!(read.verify(&entry(513), &other).unwrap_err().code, LedgerCode::NoteUnsigned);
    let extra = text.lines().nth(1).unwrap();
    let without = text.replace(&format!("{extra}\n"), "");
    LogProof::decode(without.as_bytes()).unwrap().verify(&entry(513), &key()).unwrap();
    let endless =
        text.replace("index 513\n", &format!("index 513\n{}", format!("{BASE64_ZERO}\n").repeat(64)));
    for other in [
        text.replace("index 513", "index 0513"),
        text.replace("@v1", "@v2"),
        endless,
        String::new(),
        text.replace("\n\n", "\n"),
    ] {
        assert!(LogProof::decode(other.as_bytes()).is_err());
    }
}

const BASE64_ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[tokio::test]
async fn reader__should_read_blobs_by_their_names_only() {
    let log = LogFolder::new(NAME, 1);
    let shared = Part::shared(noise(4096));
    let blob = Blob::of_parts(vec![Part::own("a"), shared.clone(), Part::own("b")]);
    log.put(LogPath::Blob(blob.id()), &blob_file::encode(&blob).unwrap());
    let reader = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    assert_eq!(reader.blob(blob.id()).await.unwrap_err().code, LedgerCode::LogFileMissing);
    let part = BlobId::of(shared.bytes());
    log.put(LogPath::Blob(part), &blob_file::encode_whole(shared.bytes()));
    let whole = [b"a", shared.bytes(), b"b"].concat();
    assert_eq!(*reader.blob(blob.id()).await.unwrap(), whole[..]);
    // What was read is kept, and not asked for again.
    let fresh = async || LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    log.put(LogPath::Blob(part), &blob_file::encode_whole(b"other"));
    assert_eq!(*reader.blob(blob.id()).await.unwrap(), whole[..]);
    let reader = fresh().await;
    assert_eq!(reader.blob(blob.id()).await.unwrap_err().code, LedgerCode::BlobForeign);
    assert_eq!(reader.blob(part).await.unwrap_err().code, LedgerCode::BlobForeign);
    log.put(LogPath::Blob(part), &vec![0; 9 * 1024 * 1024]);
    assert_eq!(reader.blob(part).await.unwrap_err().code, LedgerCode::LogFileTooLarge);
}

#[tokio::test]
async fn reader__should_say_which_entry_of_a_bundle_is_another() {
    let log = LogFolder::new(NAME, 600);
    for (bundle, at, index) in [("tile/entries/001", 3, 256), ("tile/entries/002.p/88", 3, 512)] {
        let file = log.path().join(bundle);
        let genuine = fs::read(&file).unwrap();
        let mut changed = genuine.clone();
        changed[at] ^= 1;
        fs::write(&file, changed).unwrap();
        let reader = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
        let refusal = reader.entry(index).await.unwrap_err();
        assert!(refusal.found.contains(&format!("another entry {index} in {bundle}")), "{refusal}");
        fs::write(&file, genuine).unwrap();
    }
}

#[tokio::test]
async fn proofs__should_need_every_tile_on_their_way() {
    let log = LogFolder::new(NAME, 600);
    let tile = log.path().join("tile/0/000");
    let genuine = fs::read(&tile).unwrap();
    let mut changed = genuine.clone();
    changed[40] ^= 1;
    fs::write(&tile, changed).unwrap();
    let reader = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    assert_eq!(reader.inclusion_path(7).await.unwrap_err().code, LedgerCode::LogFiles);
    // The entries give the same hashes, and those are the tree's.
    assert_eq!(reader.prove(7).await.unwrap().index(), 7);
    let old = LogReader::open(Source::folder(LogFolder::new(NAME, 5).path()), &key()).await.unwrap();
    let reader = LogReader::open(Source::folder(log.path()), &key()).await.unwrap();
    let refusal = reader.check_continues(old.head().checkpoint()).await.unwrap_err();
    assert_eq!(refusal.code, LedgerCode::LogFiles, "a damaged tile is no fork");
    fs::write(&tile, genuine).unwrap();
    reader.check_continues(old.head().checkpoint()).await.unwrap();
}

#[tokio::test]
async fn pruned__should_be_an_index_in_its_one_form() {
    let log = LogFolder::new(NAME, 3);
    let files = LogFiles::new(Source::folder(log.path()), 3);
    assert_eq!(files.pruned().await.unwrap(), 0);
    for (text, expected) in [("0\n", Some(0)), ("17\n", Some(17)), ("18446744073709551615\n", Some(u64::MAX))]
    {
        log.put(LogPath::Pruned, text.as_bytes());
        assert_eq!(files.pruned().await.ok(), expected);
    }
    for text in ["", "17", "+1\n", "01\n", " 1\n", "1\n\n", "-1\n", "\u{ff}\n", "18446744073709551616\n"] {
        log.put(LogPath::Pruned, text.as_bytes());
        assert_eq!(files.pruned().await.unwrap_err().code, LedgerCode::LogPruned, "{text:?}");
    }
    log.put(LogPath::Pruned, &[b'1'; 100]);
    assert_eq!(files.pruned().await.unwrap_err().code, LedgerCode::LogFileTooLarge);
}
