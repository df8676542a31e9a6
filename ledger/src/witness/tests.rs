//! A witness and a log: growth is cosigned, and every other story is refused, across restarts too.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::TreeHash;
use crate::http::Trust;
use crate::refusal::LedgerCode;
use crate::testing::{MemoryLog, Signer, changed_bytes, name};
use crate::tree::Plan;

const LOG: &str = "log.example/a";
const WITNESS: &str = "witness.example/w1";
const NOW: u64 = 1_800_000_000;

fn witness(folder: &Path) -> Witness<Signer> {
    Witness::open(folder, [Signer::new(1).log_key(LOG)], name(WITNESS), Signer::new(2)).unwrap()
}

fn request(log: &MemoryLog, old: u64) -> AddCheckpoint {
    let proof = Plan::consistency(old, log.size()).unwrap().hashes(log).unwrap();
    AddCheckpoint { old, proof, note: log.checkpoint(LOG).encode() }
}

fn ask(witness: &Witness<Signer>, request: &AddCheckpoint) -> Verdict {
    witness.add_checkpoint(request.encode().as_bytes(), NOW)
}

#[test]
fn witness__should_cosign_what_continues_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let witness = witness(folder.path());
    let mut old = 0;
    for size in [0, 1, 2, 255, 256, 600, 600] {
        let log = MemoryLog::new(size);
        let Verdict::Cosigned(line) = ask(&witness, &request(&log, old)) else { panic!("at {size}") };
        assert_eq!(log.checkpoint(LOG).add_cosignature(line, &witness.key()).unwrap(), NOW);
        old = size;
    }
}

#[test]
fn witness__should_refuse_forks_and_rollbacks_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = MemoryLog::new(600);
    assert!(matches!(ask(&witness(folder.path()), &request(&log, 0)), Verdict::Cosigned(_)));
    let witness = witness(folder.path());
    // Rolled back; another log of the same size; another that is longer, from any size.
    assert_eq!(ask(&witness, &request(&MemoryLog::new(599), 0)), Verdict::Conflict(600));
    assert_eq!(ask(&witness, &request(&MemoryLog::forked(600), 600)), Verdict::Conflict(600));
    assert_eq!(ask(&witness, &request(&MemoryLog::forked(700), 600)), Verdict::Inconsistent);
    assert_eq!(ask(&witness, &request(&MemoryLog::forked(700), 0)), Verdict::Conflict(600));
    let conflicts = std::fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".conflict"));
    assert_eq!(conflicts.count(), 1);
    assert!(matches!(ask(&witness, &request(&MemoryLog::new(700), 600)), Verdict::Cosigned(_)));
}

#[test]
fn witness__should_refuse_each_fault_with_its_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let witness = witness(folder.path());
    let good = request(&MemoryLog::new(5), 0);
    assert_eq!(witness.add_checkpoint(b"old 0\n", NOW), Verdict::Malformed);
    assert_eq!(ask(&witness, &AddCheckpoint { old: 6, ..good.clone() }), Verdict::Malformed);
    assert_eq!(ask(&witness, &AddCheckpoint { old: 1, ..good.clone() }), Verdict::Conflict(0));
    assert_eq!(
        ask(&witness, &AddCheckpoint { proof: vec![TreeHash::empty()], ..good.clone() }),
        Verdict::Inconsistent
    );
    let other = Checkpoint { origin: name("log.example/b"), size: 1, root: TreeHash::empty() };
    let other = SignedCheckpoint::sign(other, &Signer::new(1)).unwrap().encode();
    assert_eq!(ask(&witness, &AddCheckpoint { note: other, ..good.clone() }), Verdict::UnknownLog);
    let checkpoint = MemoryLog::new(5).checkpoint(LOG).checkpoint().clone();
    let forged = SignedCheckpoint::sign(checkpoint, &Signer::new(3)).unwrap().encode();
    assert_eq!(ask(&witness, &AddCheckpoint { note: forged, ..good.clone() }), Verdict::Unsigned);
    for changed in changed_bytes(good.encode().as_bytes()) {
        assert!(!matches!(witness.add_checkpoint(&changed, NOW), Verdict::Cosigned(_)));
    }
    assert!(matches!(ask(&witness, &good), Verdict::Cosigned(_)));
}

#[test]
fn request__should_have_one_form() {
    let good = request(&MemoryLog::new(600), 300);
    let text = good.encode();
    assert_eq!(AddCheckpoint::decode(text.as_bytes()).unwrap(), good);
    let hash = text.lines().nth(1).unwrap();
    let long = text.replace(hash, &[hash; 64].join("\n"));
    for bad in [
        text.replace("old 300", "old 0300"),
        text.replace("old ", "old  "),
        long,
        text.replace("\n\n", "\n"),
        String::new(),
    ] {
        assert_eq!(AddCheckpoint::decode(bad.as_bytes()).unwrap_err().code, LedgerCode::WitnessRequest);
    }
    let huge = vec![b'a'; MAX_REQUEST_BYTES + 1];
    assert_eq!(AddCheckpoint::decode(&huge).unwrap_err().code, LedgerCode::WitnessRequest);
}

#[test]
fn witness__should_not_start_on_a_damaged_or_a_used_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Witness::open(folder.path(), [Signer::new(1).log_key(LOG)], name(WITNESS), Signer::new(2));
    let first = open().unwrap();
    ask(&first, &request(&MemoryLog::new(5), 0));
    assert_eq!(open().err().unwrap().code, LedgerCode::WitnessState);
    drop(first);
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let file = files.iter().find(|file| file.extension().is_some_and(|end| end == "checkpoint")).unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(file, bytes).unwrap();
    assert_eq!(open().err().unwrap().code, LedgerCode::WitnessState);
}

async fn start(witness: Witness<Signer>) -> WitnessClient {
    let key = witness.key();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(serve_witness(listener, None, Arc::new(witness)));
    WitnessClient::new(&url, key, Trust::default()).unwrap()
}

#[tokio::test]
async fn client__should_obtain_cosignatures_and_catch_up_with_what_the_witness_knows() {
    let folder = tempfile::tempdir().unwrap();
    let client = start(witness(folder.path())).await;
    for (size, believed) in [(5, 0), (300, 5), (700, 0), (700, 650), (700, 900)] {
        let log = Arc::new(MemoryLog::new(size));
        let mut signed = log.checkpoint(LOG);
        let time = client.cosign(&mut signed, believed, &log).await.unwrap();
        let read = SignedCheckpoint::open(signed.encode().as_bytes(), &Signer::new(1).log_key(LOG)).unwrap();
        assert_eq!(read.cosigned_at(client.key()).unwrap(), time);
    }
}

#[tokio::test]
async fn client__should_tell_a_rolled_back_log_from_a_forked_one() {
    let folder = tempfile::tempdir().unwrap();
    let client = start(witness(folder.path())).await;
    let cosign = async |log: MemoryLog, old| {
        let log = Arc::new(log);
        client.cosign(&mut log.checkpoint(LOG), old, &log).await
    };
    cosign(MemoryLog::new(600), 0).await.unwrap();
    assert_eq!(cosign(MemoryLog::new(599), 599).await.unwrap_err().code, LedgerCode::WitnessAhead);
    assert_eq!(cosign(MemoryLog::forked(600), 600).await.unwrap_err().code, LedgerCode::LogForked);
    // Longer than what the witness has seen, and no continuation of it: whatever size it is asked from.
    for believed in [600, 0] {
        let refused = cosign(MemoryLog::forked(700), believed).await.unwrap_err();
        assert_eq!(refused.code, LedgerCode::LogForked, "{refused}");
    }
    let stranger = Arc::new(MemoryLog::new(600));
    let mut foreign = stranger.checkpoint("log.example/b");
    assert_eq!(client.cosign(&mut foreign, 0, &stranger).await.unwrap_err().code, LedgerCode::WitnessRefused);
}

#[tokio::test]
async fn client__should_believe_nothing_but_the_witnesss_key() {
    let folder = tempfile::tempdir().unwrap();
    let genuine = start(witness(folder.path())).await;
    let log = Arc::new(MemoryLog::new(5));
    let mut signed = log.checkpoint(LOG);
    genuine.cosign(&mut signed, 0, &log).await.unwrap();
    let line = signed.note().signatures()[1].encode();
    let stranger = Signer::new(3).witness_key(WITNESS);
    for (status, body, key, code) in [
        ("200 OK", line.clone(), stranger.clone(), LedgerCode::WitnessRefused),
        ("200 OK", line.replace("w1 ", "w2 "), genuine.key().clone(), LedgerCode::WitnessRefused),
        ("200 OK", String::new(), genuine.key().clone(), LedgerCode::WitnessRefused),
        ("409 Conflict", "many\n".to_owned(), genuine.key().clone(), LedgerCode::WitnessRefused),
        ("409 Conflict", "3\n".to_owned(), genuine.key().clone(), LedgerCode::LogForked),
        ("302 Found", line, genuine.key().clone(), LedgerCode::WitnessRefused),
    ] {
        let url = hostile(status, &body).await;
        let client = WitnessClient::new(&url, key, Trust::default()).unwrap();
        let mut signed = log.checkpoint(LOG);
        assert_eq!(client.cosign(&mut signed, 0, &log).await.unwrap_err().code, code, "{status} {body}");
        assert_eq!(signed, log.checkpoint(LOG));
    }
}

/// A server that answers everything with this.
async fn hostile(status: &str, body: &str) -> String {
    let answer =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}
