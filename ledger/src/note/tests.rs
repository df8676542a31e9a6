//! Notes against `signed_note`, an independent implementation, and against the vector of Go's documentation.

use signed_note::{Note, StandardVerifier, VerifierList};

use super::*;
use crate::testing::{Signer, changed_bytes, name};

const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signed() -> SignedNote {
    SignedNote::sign("one\n\ntwo\n".to_owned(), &name("log.example/a"), &Signer::new(1)).unwrap()
}

#[test]
fn note__should_verify_the_vector_of_gos_documentation() {
    let key: LogKey = GO_KEY.parse().unwrap();
    let note = SignedNote::decode(GO_NOTE.as_bytes()).unwrap();
    note.verify(&key).unwrap();
    assert_eq!((note.encode().as_str(), key.to_string().as_str()), (GO_NOTE, GO_KEY));
}

#[test]
fn note__should_be_accepted_by_an_independent_implementation() {
    let key = Signer::new(1).log_key("log.example/a");
    let peer_key = StandardVerifier::new(&key.to_string()).unwrap();
    let peer = Note::from_bytes(signed().encode().as_bytes()).unwrap();
    let (verified, unknown) = peer.verify(&VerifierList::new(vec![Box::new(peer_key)])).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    assert_eq!(SignedNote::decode(&peer.to_bytes()).unwrap(), signed());
}

#[test]
fn note__should_be_refused_with_any_byte_changed() {
    let key = Signer::new(1).log_key("log.example/a");
    let bytes = signed().encode().into_bytes();
    let open = |bytes: &[u8]| SignedNote::decode(bytes).and_then(|note| note.verify(&key));
    open(&bytes).unwrap();
    for changed in changed_bytes(&bytes) {
        open(&changed).unwrap_err();
    }
}

#[test]
fn note__should_ignore_the_signatures_of_other_keys() {
    let mut note = signed();
    let other = SignedNote::sign(note.text().to_owned(), &name("log.example/a"), &Signer::new(2)).unwrap();
    other.signatures().iter().for_each(|signature| note.add(signature.clone()));
    note.add(note.signatures()[0].clone());
    let note = SignedNote::decode(note.encode().as_bytes()).unwrap();
    assert_eq!(note.signatures().len(), 2);
    note.verify(&Signer::new(1).log_key("log.example/a")).unwrap();
    let stranger = note.verify(&Signer::new(3).log_key("log.example/a")).unwrap_err();
    assert_eq!(stranger.code, LedgerCode::NoteUnsigned);
    let renamed = note.verify(&Signer::new(1).log_key("log.example/b")).unwrap_err();
    assert_eq!(renamed.code, LedgerCode::NoteUnsigned);
}

#[test]
fn note__should_be_refused_when_one_of_two_signatures_of_a_key_is_wrong() {
    let mut note = signed();
    let mut wrong = note.signatures()[0].clone();
    wrong.bytes[0] ^= 1;
    note.add(wrong);
    let refusal = note.verify(&Signer::new(1).log_key("log.example/a")).unwrap_err();
    assert_eq!(refusal.code, LedgerCode::NoteSignature);
}

#[test]
fn note__should_be_refused_when_it_has_not_the_form() {
    let line = "\u{2014} a AAAAAAA=\n";
    let many = format!("a\n\n{}", line.repeat(MAX_SIGNATURES + 1));
    let huge = format!("{}\n\n{line}", "a".repeat(MAX_NOTE_BYTES));
    let bad = |text: &str| SignedNote::decode(text.as_bytes()).unwrap_err().code;
    for note in [
        "",
        "\n",
        "a\n",
        "a\n\n",
        "\n\n",
        line,
        "a\n\n- a AAAAAAA=\n",
        "a\n\n\u{2014} a AAAAAAA=",
        "a\n\n\u{2014} a AAAA\n",
        "a\n\n\u{2014} a AAAAAA==\n",
        "a\n\n\u{2014} a AAAAAAA\n",
        "a\n\n\u{2014} a+b AAAAAAA=\n",
        "a\n\n\u{2014}  AAAAAAA=\n",
        "a\tb\n\n\u{2014} a AAAAAAA=\n",
        "a\r\n\n\u{2014} a AAAAAAA=\n",
        "a\n\n\u{2014} a AAAAAAA=\nb\n",
        &many,
        &huge,
    ] {
        assert_eq!(bad(note), LedgerCode::Note, "{}", &note[..note.len().min(60)]);
    }
    assert_eq!(SignedNote::decode(b"a\n\n\xff\n").unwrap_err().code, LedgerCode::Note);
    let sixteen = format!("a\n\n{}", "\u{2014} a AAAAAAA=\n".repeat(16));
    assert_eq!(SignedNote::decode(sixteen.as_bytes()).unwrap().signatures().len(), 16);
    SignedNote::sign("no end".to_owned(), &name("a"), &Signer::new(1)).unwrap_err();
}

#[test]
fn key__should_have_one_text_and_one_kind() {
    let key = Signer::new(1).witness_key("witness.example/w1");
    assert_eq!(key.to_string().parse::<WitnessKey>().unwrap(), key);
    key.to_string().parse::<LogKey>().unwrap_err();
    GO_KEY.parse::<WitnessKey>().unwrap_err();
    for changed in changed_bytes(GO_KEY.as_bytes()) {
        let parsed = String::from_utf8(changed).unwrap().parse::<LogKey>();
        assert_eq!(parsed.unwrap_err().code, LedgerCode::LogKey);
    }
    for text in ["", "+", "a", "a+00000000", "a+00000000+AQ==", &"a".repeat(400)] {
        assert_eq!(text.parse::<LogKey>().unwrap_err().code, LedgerCode::LogKey);
    }
    for text in ["", "a b", "a+b", "a\u{a0}b", "a\nb", &"a".repeat(256)] {
        assert_eq!(text.parse::<KeyName>().unwrap_err().code, LedgerCode::LogKey);
    }
}
