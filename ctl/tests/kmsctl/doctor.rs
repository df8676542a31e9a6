//! `kmsctl doctor` against a real chain, and against nobody.

use crate::anvil_support::Anvil;
use crate::run::kmsctl;

const KMS: &str = "0x00000000000000000000000000000000000000aa";

#[test]
fn doctor__should_say_what_is_wrong_and_end_with_10() {
    let anvil = Anvil::start();
    let args = ["doctor", "--chain-id", "31337", "--kms", KMS, "--rpc", &anvil.url()];
    let run = kmsctl(args).exits(10);
    assert!(run.stdout.contains("FAIL proven read") && run.stdout.contains("ok   chain"), "{}", run.stdout);
    assert!(
        run.stdout.contains("contract-missing") && run.stdout.contains("does NOT work"),
        "{}",
        run.stdout
    );
    let json = kmsctl([&args[..], &["--json"]].concat()).json();
    assert_eq!(json["providers"][0]["findings"][0]["health"], "good");
}

#[test]
fn doctor__should_examine_a_quorum_and_refuse_one_host_twice() {
    let anvil = Anvil::start();
    let url = anvil.url();
    let run =
        kmsctl(["doctor", "--chain-id", "1", "--kms", KMS, "--rpc", &url, "--rpc", "http://127.0.0.2:1"])
            .exits(10);
    for text in ["chain-id-mismatch", "rpc-unreachable", "quorum", "head-unauthenticated"] {
        assert!(run.stdout.contains(text), "{text}: {}", run.stdout);
    }
    let run = kmsctl(["doctor", "--chain-id", "1", "--kms", KMS, "--rpc", &url, "--rpc", &url]).exits(2);
    assert!(run.stderr.contains("majority"), "{}", run.stderr);
}

#[test]
fn doctor__should_refuse_a_provider_on_another_machine_without_tls() {
    let run = kmsctl(["doctor", "--chain-id", "1", "--kms", KMS, "--rpc", "http://rpc.example.org"]).exits(2);
    assert!(run.stderr.contains("rpc-config") && run.stderr.contains("https"), "{}", run.stderr);
}
