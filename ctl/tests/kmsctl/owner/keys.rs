//! Keys: from files that only their owner may read, and nowhere in what is printed.

use super::{KEYS, OWNER, World, error_code, text, word};
use crate::run::Run;

fn add(world: &World, signer: &[String]) -> Run {
    let app = text(world.app());
    let run = world.run(&["app", "add-compose-hash", &text(word(7)), "--app", &app], signer);
    assert!(!run.stdout.contains(KEYS[OWNER]) && !run.stderr.contains(KEYS[OWNER]));
    run
}

#[test]
fn key_file__should_be_its_owners_alone() {
    let world = World::new();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        let file = world.secret("key", KEYS[OWNER], mode);
        let run = add(&world, &["--private-key-file".to_owned(), file]).exits(2);
        assert_eq!(error_code(&run), "key-file-exposed");
    }
    for content in [format!("0x{}\n", KEYS[OWNER]), KEYS[OWNER].to_uppercase()] {
        let file = world.secret("key", &content, 0o400);
        add(&world, &["--private-key-file".to_owned(), file]).exits(0);
        std::fs::remove_file(world.path("key")).unwrap();
    }
}

#[test]
fn key_file__should_hold_a_key_and_nothing_else() {
    let world = World::new();
    let zero = "00".repeat(32);
    for content in
        ["", "0x", "key", &KEYS[OWNER][..62], &format!("{}00", KEYS[OWNER]), &zero, &"0".repeat(5000)]
    {
        let file = world.secret("key", content, 0o600);
        let run = add(&world, &["--private-key-file".to_owned(), file]).exits(2);
        assert_eq!(error_code(&run), "key-file-unusable");
    }
    let gone = world.path("gone").display().to_string();
    assert!(add(&world, &["--private-key-file".to_owned(), gone]).exits(2).stderr.contains("gone"));
}

/// The keystore of the Web3 Secret Storage Definition, whose password is `testpassword`.
const KEYSTORE: &str = r#"{
  "crypto": {
    "cipher": "aes-128-ctr",
    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    "kdf": "pbkdf2",
    "kdfparams": {
      "c": 262144, "dklen": 32, "prf": "hmac-sha256",
      "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
    },
    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
  },
  "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
  "version": 3
}"#;
const KEYSTORE_ADDRESS: &str = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";

#[test]
fn keystore__should_open_with_its_password_alone() {
    let world = World::new();
    let keystore = world.secret("keystore", KEYSTORE, 0o600);
    let with = |keystore: &str, password: &str, mode: u32| {
        let _ = std::fs::remove_file(world.path("password"));
        let file = world.secret("password", password, mode);
        add(&world, &["--keystore", keystore, "--password-file", &file].map(str::to_owned))
    };
    let opened = with(&keystore, "testpassword\n", 0o600).exits(10);
    assert_eq!(error_code(&opened), "not-owner");
    assert_eq!(opened.json()["error"]["found"], KEYSTORE_ADDRESS);
    assert_eq!(error_code(&with(&keystore, "wrong", 0o600).exits(2)), "keystore-not-opened");
    assert_eq!(error_code(&with(&keystore, "testpassword", 0o644).exits(2)), "key-file-exposed");
    let none = world.secret("none", "{}", 0o600);
    assert_eq!(error_code(&with(&none, "testpassword", 0o600).exits(2)), "keystore-not-opened");
    for (healthy, broken) in [("\"dklen\": 32", "\"dklen\": 8"), ("6087dab2", ""), ("262144", "4294967295")] {
        let _ = std::fs::remove_file(world.path("broken"));
        let broken = world.secret("broken", &KEYSTORE.replace(healthy, broken), 0o600);
        assert_eq!(error_code(&with(&broken, "testpassword", 0o600).exits(2)), "keystore-not-opened");
    }
    let exposed = world.secret("exposed", KEYSTORE, 0o644);
    assert_eq!(error_code(&with(&exposed, "testpassword", 0o600).exits(2)), "key-file-exposed");
}

#[test]
fn means__should_be_exactly_one() {
    let world = World::new();
    let both = [world.key(OWNER), vec!["--calldata".to_owned()]].concat();
    for means in [&[][..], &both] {
        let run = add(&world, means).exits(2);
        assert!(run.stdout.is_empty() && !run.stderr.is_empty());
    }
}

#[test]
fn values__should_be_refused_unless_exact() {
    let world = World::new();
    let app = text(world.app());
    let mistyped = app.replacen(|c: char| c.is_ascii_lowercase() && c != 'x', "A", 1);
    let short = "11".repeat(31);
    for (app, hash) in
        [(&app, &short), (&app, &text(app.trim_start_matches("0x"))), (&mistyped, &text(word(7)))]
    {
        let run = world.run(&["app", "add-compose-hash", hash, "--app", app], &world.key(OWNER)).exits(2);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
    }
}
