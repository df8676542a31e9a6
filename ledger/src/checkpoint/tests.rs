//! Checkpoints and cosignatures: the vectors of their specifications, and what is refused.

use super::*;
use crate::note::NoteSignature;
use crate::testing::{MemoryLog, Signer, changed_bytes, name};

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: name("log.example/a"), size: 20_852_163, root: TreeHash([7; 32]) }
}

fn signed() -> SignedCheckpoint {
    SignedCheckpoint::sign(checkpoint(), &Signer::new(1)).unwrap()
}

#[test]
fn checkpoint__should_read_the_specifications_example() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let checkpoint = Checkpoint::decode(text).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_string(), text);
}

#[test]
fn checkpoint__should_be_refused_in_any_other_form() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for text in [
        format!("a\n01\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n\n{root}\n"),
        format!("\n1\n{root}\n"),
        format!("a\n1\n{root}"),
        format!("a\n1\n{root}\nextension\n"),
        format!("a b\n1\n{root}\n"),
        "a\n1\nAAAA\n".to_owned(),
        format!("a\n9223372036854775808\n{root}\n"),
        format!("a\r\n1\n{root}\n"),
        String::new(),
        format!("a\n1\n{}\n", root.replace("I=", "J=")),
    ] {
        assert_eq!(Checkpoint::decode(&text).unwrap_err().code, LedgerCode::Checkpoint, "{text}");
    }
}

#[test]
fn checkpoint__should_open_with_the_key_of_its_log_only() {
    let key = Signer::new(1).log_key("log.example/a");
    let bytes = signed().encode().into_bytes();
    assert_eq!(SignedCheckpoint::open(&bytes, &key).unwrap().checkpoint(), &checkpoint());
    for changed in changed_bytes(&bytes) {
        SignedCheckpoint::open(&changed, &key).unwrap_err();
    }
    let other = SignedNote::sign(checkpoint().to_string(), &name("log.example/b"), &Signer::new(1)).unwrap();
    let foreign = SignedCheckpoint::open(other.encode().as_bytes(), &Signer::new(1).log_key("log.example/b"));
    assert_eq!(foreign.unwrap_err().code, LedgerCode::CheckpointForeign);
}

#[test]
fn cosignature__should_verify_with_its_witness_and_say_when() {
    let (witness, key) = (Signer::new(2), Signer::new(2).witness_key("witness.example/w1"));
    let mut signed = signed();
    let lines = [1_679_315_147, 1_679_315_140].map(|time| signed.cosign(time, key.name(), &witness));
    for line in &lines {
        signed.add_cosignature(line.clone(), &key).unwrap();
    }
    let read =
        SignedCheckpoint::open(signed.encode().as_bytes(), &Signer::new(1).log_key("log.example/a")).unwrap();
    assert_eq!(read.cosigned_at(&key).unwrap(), 1_679_315_147);
    let stranger = Signer::new(3).witness_key("witness.example/w1");
    assert_eq!(read.cosigned_at(&stranger).unwrap_err().code, LedgerCode::NoteUnsigned);
    let refused = signed.add_cosignature(lines[0].clone(), &stranger).unwrap_err();
    assert_eq!(refused.code, LedgerCode::NoteUnsigned);
}

#[test]
fn cosignature__should_be_refused_with_any_byte_changed_and_for_another_checkpoint() {
    let key = Signer::new(2).witness_key("witness.example/w1");
    let line = signed().cosign(1_679_315_147, key.name(), &Signer::new(2));
    for bytes in changed_bytes(&line.bytes) {
        let forged = NoteSignature { bytes, ..line.clone() };
        assert_eq!(signed().add_cosignature(forged, &key).unwrap_err().code, LedgerCode::NoteSignature);
    }
    let other = Checkpoint { size: 20_852_164, ..checkpoint() };
    let mut other = SignedCheckpoint::sign(other, &Signer::new(1)).unwrap();
    assert_eq!(other.add_cosignature(line, &key).unwrap_err().code, LedgerCode::NoteSignature);
    let late = signed().cosign(1 << 63, key.name(), &Signer::new(2));
    assert_eq!(signed().add_cosignature(late, &key).unwrap_err().code, LedgerCode::NoteSignature);
}

#[test]
fn cosignature__should_sign_the_message_of_the_specification() {
    let line = signed().cosign(1_679_315_147, &name("w"), &Signer::new(2));
    let text = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint());
    let expected =
        [1_679_315_147_u64.to_be_bytes().as_slice(), &Signer::new(2).sign(text.as_bytes())].concat();
    assert_eq!(line.bytes, expected);
}

#[test]
fn checkpoint__should_be_that_of_the_documentations_vector() {
    let page = include_str!("../../../docs/LEDGER.md");
    let (log, witness) =
        (Signer::new(1).log_key("log.example/a"), Signer::new(2).witness_key("witness.example/w1"));
    let mut signed = MemoryLog::new(700).checkpoint("log.example/a");
    let line = signed.cosign(1_800_000_000, witness.name(), &Signer::new(2));
    signed.add_cosignature(line, &witness).unwrap();
    for written in [format!("{log}\n{witness}\n"), signed.encode()] {
        assert!(page.contains(&format!("```text\n{written}```\n")), "docs/LEDGER.md lacks\n{written}");
    }
}
