//! Who watches the log: what is taken, what is refused, and what the policy promises of it.

use std::time::Duration;

use kms_ledger::note::WitnessKey;
use kms_node::config::{Config, ConfigErrors, FaultCode, PolicyDocument, check_report};

use crate::support::{MINIMAL, faults, with_flags};

fn key(name: &str, n: u8) -> WitnessKey {
    WitnessKey::new(name.parse().unwrap(), [n; 32])
}

fn witness(url: &str, key: &WitnessKey) -> String {
    format!(r#"{{ url = "{url}", key = "{key}" }}"#)
}

/// Witnesses w0, w1, ... at hosts of their own.
fn list(count: u8) -> String {
    let one = |n: u8| witness(&format!("https://w{n}.example/SECRET"), &key(&format!("w{n}"), n));
    format!("ledger.witnesses=[{}]", (0..count).map(one).collect::<Vec<_>>().join(", "))
}

fn given(flags: &[&str]) -> Result<Config, ConfigErrors> {
    with_flags(MINIMAL, flags)
}

#[test]
fn witnesses__should_all_have_to_cosign_unless_fewer_are_chosen() {
    assert_eq!(given(&[]).unwrap().ledger.witnesses, None);
    let all = given(&[&list(3)]).unwrap();
    let watched = all.ledger.witnesses.clone().unwrap();
    assert_eq!((watched.each.len(), watched.quorum, watched.stop_after), (3, 3, None));
    assert!(all.widened_settings().is_empty());
    let flags = [&list(3), "ledger.witness_quorum=2", "ledger.stop_without_witnesses_s=600"];
    let fewer = given(&flags).unwrap();
    let watched = fewer.ledger.witnesses.clone().unwrap();
    assert_eq!((watched.quorum, watched.stop_after), (2, Some(Duration::from_mins(10))));
    assert_eq!(fewer.widened_settings(), ["ledger.witness_quorum"]);
    assert!(watched.each.iter().all(|witness| witness.client().is_ok()));
}

#[test]
fn witnesses__should_stand_in_the_policy_by_key_and_quorum_and_not_by_place() {
    let digest = |flags: &[&str]| given(flags).unwrap().policy_digest();
    let base = digest(&[&list(3)]);
    assert_ne!(base, digest(&[]));
    assert_eq!(base, digest(&[&list(3).replace("/SECRET", ":444/other")]));
    assert_eq!(base, digest(&[&list(3), "ledger.witness_quorum=3"]));
    for other in ["ledger.witness_quorum=2", "ledger.stop_without_witnesses_s=600"] {
        assert_ne!(base, digest(&[&list(3), other]), "{other}");
    }
    let document = given(&[&list(3), "ledger.witness_quorum=2"]).unwrap().policy_document();
    let read = PolicyDocument::parse(document.to_json().as_bytes()).unwrap();
    let log = read.log.unwrap();
    assert_eq!((log.quorum, log.witnesses.len()), (2, 3));
    assert!(log.witnesses.contains(&key("w1", 1).to_string()));
}

#[test]
fn witnesses__should_be_refused_where_they_are_fewer_than_they_look() {
    let one = |url: &str| format!("ledger.witnesses=[{}]", witness(url, &key("w", 1)));
    let two = |a: &WitnessKey, b: &WitnessKey| {
        format!("ledger.witnesses=[{}, {}]", witness("https://a.example", a), witness("https://b.example", b))
    };
    let url = "ledger.witnesses[0].url";
    for (flags, code, place) in [
        (vec!["ledger.witnesses=[]".to_owned()], FaultCode::OutOfRange, "ledger.witnesses"),
        (vec![list(17)], FaultCode::OutOfRange, "ledger.witnesses"),
        (vec![two(&key("w", 1), &key("w", 2))], FaultCode::Conflict, "ledger.witnesses"),
        (vec![two(&key("v", 1), &key("w", 1))], FaultCode::Conflict, "ledger.witnesses"),
        (vec![one("http://w.example")], FaultCode::InvalidValue, url),
        (vec![one("ftp://127.0.0.1")], FaultCode::InvalidValue, url),
        (vec![one("https://user@w.example")], FaultCode::InvalidValue, url),
        (vec![one("https://w.example/?key=1")], FaultCode::InvalidValue, url),
        (vec![one("w.example")], FaultCode::InvalidValue, url),
        (vec![list(1).replace("+BA", "+AA")], FaultCode::InvalidValue, "ledger.witnesses[0].key"),
        (vec!["ledger.witness_quorum=1".to_owned()], FaultCode::Conflict, "ledger.witness_quorum"),
        (
            vec!["ledger.stop_without_witnesses_s=60".to_owned()],
            FaultCode::Conflict,
            "ledger.stop_without_witnesses_s",
        ),
        (vec![list(4), "ledger.witness_quorum=2".to_owned()], FaultCode::Conflict, "ledger.witness_quorum"),
        (vec![list(2), "ledger.witness_quorum=3".to_owned()], FaultCode::Conflict, "ledger.witness_quorum"),
        (vec![list(2), "ledger.witness_quorum=0".to_owned()], FaultCode::OutOfRange, "ledger.witness_quorum"),
        (
            vec![list(2), "ledger.stop_without_witnesses_s=4".to_owned()],
            FaultCode::OutOfRange,
            "ledger.stop_without_witnesses_s",
        ),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        assert_eq!(faults(given(&flags)), [(code, place.to_owned())], "{flags:?}");
    }
    for url in ["http://127.0.0.1:8080", "http://[::1]/x", "http://localhost/", "https://w.example/prefix/"] {
        given(&[&one(url)]).unwrap_or_else(|errors| panic!("{url}: {errors}"));
    }
}

#[test]
fn report__should_show_no_path_of_a_witnesss_url() {
    let config = given(&[&list(2)]).unwrap();
    assert!(!check_report(&config).contains("SECRET"));
    assert!(!format!("{config:?}").contains("SECRET"));
    let refused = given(&[&list(2).replace("https", "ftp")]).unwrap_err();
    assert!(!refused.to_string().contains("SECRET"), "{refused}");
}
