//! Who may read the log and its evidence: what goes together, and what contradicts itself.

use std::path::Path;

use kms_ledger::record::Identities;
use kms_ledger::serve::Blobs;
use kms_node::config::{Config, ConfigErrors, FaultCode};

use crate::support::{MINIMAL, faults, with_flags};

const ADDRESS: &str = "ledger.auditors.address=0.0.0.0:8443";
const CA_FILE: &str = "ledger.auditors.client_ca_file=/etc/auditors.pem";
const SEALED: &str = "ledger.identities=sealed";
const SERVED: &str = "ledger.serve_evidence=served";

fn given(flags: &[&str]) -> Result<Config, ConfigErrors> {
    with_flags(MINIMAL, flags)
}

#[test]
fn auditors__should_need_an_address_and_a_ca() {
    assert_eq!(given(&[]).unwrap().ledger.auditors, None);
    let auditors = given(&[ADDRESS, CA_FILE]).unwrap().ledger.auditors.unwrap();
    assert_eq!(auditors.address, "0.0.0.0:8443".parse().unwrap());
    assert_eq!(auditors.client_ca_file, Path::new("/etc/auditors.pem"));
    for (flag, code, key) in [
        (ADDRESS, FaultCode::MissingKey, "ledger.auditors.client_ca_file"),
        (CA_FILE, FaultCode::MissingKey, "ledger.auditors.address"),
        ("ledger.auditors.client_ca=/etc/auditors.pem", FaultCode::UnknownKey, "ledger.auditors.client_ca"),
    ] {
        assert_eq!(faults(given(&[flag])), [(code, key.to_owned())], "{flag}");
    }
    let wrong = given(&["ledger.auditors.address=localhost", CA_FILE]);
    assert_eq!(faults(wrong), [(FaultCode::InvalidValue, "ledger.auditors.address".to_owned())]);
}

#[test]
fn sealed_identities__should_not_be_served_to_everybody_with_the_evidence() {
    let conflict = [(FaultCode::Conflict, "ledger.serve_evidence".to_owned())];
    assert_eq!(faults(given(&[SEALED, SERVED])), conflict);
    // Auditors beside it change nothing: the public listener would still say who asked.
    assert_eq!(faults(given(&[SEALED, SERVED, ADDRESS, CA_FILE])), conflict);
    let sealed = given(&[SEALED, ADDRESS, CA_FILE]).unwrap().ledger;
    assert_eq!((sealed.identities, sealed.serve_evidence), (Identities::Sealed, Blobs::Withheld));
    assert_eq!(given(&[SERVED]).unwrap().ledger.identities, Identities::Open);
}
