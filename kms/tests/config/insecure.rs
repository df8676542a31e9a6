//! What makes a node weaker has a name that says so, is listed, and is off by default.

use std::path::PathBuf;

use kms_attestation::RootOfTrust;
use kms_chain::{HeadTrust, Transport};
use kms_node::config::{Config, FaultCode, Providers, RootSource, check_report};
use kms_node::hardening::MemoryLocking;
use kms_simulator::platform::Platform;

use crate::support::{MINIMAL, faults, parse, with_flags};

/// A folder with a simulated platform's root certificate, and the flags of a development node.
fn development(dev: &str) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.der");
    std::fs::write(&root, Platform::from_seed(7, 1_800_000_000).unwrap().root_der()).unwrap();
    let flags = vec![
        format!("attestation.insecure_root_certificate={}", root.display()),
        r#"attestation.pccs=[{ url = "http://10.0.0.1:8081", insecure_plain_http = true }]"#.to_owned(),
        format!("chain.insecure_dev_chain={dev}"),
    ];
    (folder, flags)
}

const DEV: &str = r#"
[root]
insecure_root_file = "/var/lib/kms-node/root.hex"
[node]
name = "dev"
os_image_manifest = "/etc/kms-node/os-image.json"
insecure_no_memory_lock = true
[chain]
chain_id = 31337
contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
rpc = ["http://127.0.0.1:8545"]
insecure_plain_http = true
"#;

#[test]
fn insecure_settings__should_list_all_that_are_on() {
    let (_folder, flags) = development("true");
    let config = Config::parse("kms.toml", DEV.as_bytes(), [("", ""); 0], &flags).unwrap();
    let expected = [
        "root.insecure_root_file",
        "node.insecure_no_memory_lock",
        "attestation.insecure_root_certificate",
        "attestation.pccs[0].insecure_plain_http",
        "chain.insecure_dev_chain",
        "chain.insecure_plain_http",
    ];
    assert_eq!(config.insecure_settings(), expected);
    assert!(check_report(&config).contains(&expected.join(", ")));
    assert_eq!(config.root, RootSource::InsecureFile(PathBuf::from("/var/lib/kms-node/root.hex")));
    assert_eq!(config.node.memory_lock, MemoryLocking::InsecureOff);
    assert_eq!(config.chain.transport, Transport::InsecurePlainHttp);
    assert_eq!(*config.anchor().unwrap().trust(), HeadTrust::Dev);
    assert!(matches!(config.chain.providers, Providers::InsecureDev(_)));
    assert!(!config.attestation.root_of_trust().unwrap().is_intel());
    assert_eq!(config.attestation.root_key_id, config.attestation.root_of_trust().unwrap().key_id());
    assert!(config.policy_document().to_json().contains(r#""heads":{"mode":"dev"}"#));
}

#[test]
fn insecure_settings__should_not_list_what_is_spelled_out_as_off() {
    let config = with_flags(MINIMAL, &["node.insecure_no_memory_lock=false"]).unwrap();
    assert!(config.insecure_settings().is_empty());
    assert!(config.attestation.root_of_trust().unwrap().is_intel());
}

#[test]
fn single_provider__should_need_its_own_name() {
    let single = [r#"chain.rpc=["https://a.example"]"#, "chain.quorum=1"];
    assert_eq!(faults(with_flags(MINIMAL, &single)), [(FaultCode::OutOfRange, "chain.rpc".to_owned())]);
    let named = [single[0], single[1], "chain.insecure_single_provider=true"];
    assert_eq!(with_flags(MINIMAL, &named).unwrap().insecure_settings(), ["chain.insecure_single_provider"]);
}

#[test]
fn development_chain__should_not_go_with_intels_root() {
    let conflict = vec![(FaultCode::Conflict, "chain.insecure_dev_chain".to_owned())];
    assert_eq!(faults(with_flags(DEV, &["chain.insecure_dev_chain=true"])), conflict);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("intel.der");
    std::fs::write(&root, RootOfTrust::intel().der()).unwrap();
    let flag = format!("attestation.insecure_root_certificate={}", root.display());
    let pccs = "attestation.pccs=[{ url = 'https://pccs.example' }]";
    let refused = faults(with_flags(MINIMAL, &[&flag, pccs]));
    assert_eq!(refused, [(FaultCode::Conflict, "attestation.insecure_root_certificate".to_owned())]);
}

#[test]
fn development_chain__should_be_one_chain_with_one_provider() {
    let (_folder, flags) = development("true");
    let refused = |more: &[&str]| {
        let flags: Vec<String> =
            flags.iter().cloned().chain(more.iter().map(|it| (*it).to_owned())).collect();
        faults(Config::parse("kms.toml", DEV.as_bytes(), [("", ""); 0], &flags))
    };
    let conflict = |key: &str| vec![(FaultCode::Conflict, key.to_owned())];
    assert_eq!(refused(&["chain.chain_id=1"]), conflict("chain.insecure_dev_chain"));
    assert_eq!(refused(&["chain.quorum=1"]), conflict("chain.quorum"));
    assert_eq!(refused(&["chain.confirmations=0"]), conflict("chain.confirmations"));
    assert_eq!(refused(&["chain.rpc=['http://127.0.0.1:1','http://127.0.0.2:1']"]), conflict("chain.rpc"));
}

#[test]
fn plain_http__should_be_for_this_machine_alone_unless_named() {
    let rpc = r#"chain.rpc=["http://127.0.0.1:8545", "http://10.0.0.1:8545"]"#;
    assert_eq!(faults(with_flags(MINIMAL, &[rpc])), [(FaultCode::InvalidValue, "chain.rpc".to_owned())]);
    let named = with_flags(MINIMAL, &[rpc, "chain.insecure_plain_http=true"]).unwrap();
    assert_eq!(named.insecure_settings(), ["chain.insecure_plain_http"]);
    let pccs = "attestation.pccs=[{ url = 'http://pccs.example' }]";
    let refused = faults(with_flags(MINIMAL, &[pccs]));
    assert_eq!(refused, [(FaultCode::InvalidValue, "attestation.pccs[0].url".to_owned())]);
}

#[test]
fn root_certificate__should_be_one_and_bring_its_own_pccs() {
    let (folder, flags) = development("false");
    let path = folder.path().join("junk");
    std::fs::write(&path, [b'x'; 5000]).unwrap();
    let key = "attestation.insecure_root_certificate";
    let at = |path: &str, pccs: &str| faults(with_flags(MINIMAL, &[&format!("{key}={path}"), pccs]));
    let pccs = &*flags[1];
    let one = |code| vec![(code, key.to_owned())];
    assert_eq!(at(&path.to_string_lossy(), pccs), one(FaultCode::InvalidValue));
    assert_eq!(at("/nowhere/root.der", pccs), one(FaultCode::Unreadable));
    assert_eq!(at("/dev/zero", pccs), one(FaultCode::Unreadable));
    let missing = faults(with_flags(MINIMAL, &[&flags[0]]));
    assert_eq!(missing, [(FaultCode::MissingKey, "attestation.pccs".to_owned())]);
    assert!(parse(MINIMAL).is_ok());
}
