//! `kms-client` that trusts a contract on chain instead of a file of keys: what it believes, whom it refuses, and that no
//! provider can change either.

use std::process::{Command, Output};
use std::time::Duration;

use kms_attestation::ids::MrAggregated;
use kms_attestation::ratls::subject_public_key_info;
use kms_tests::node::Node;
use kms_tests::process::program;
use kms_tests::world::{World, info};
use serde_json::json;

use crate::client::Guest;
use proxy_support::{Lie, Proxy, Reply, always, honest, results_of};

#[path = "../../../chain/tests/proxy_support/mod.rs"]
mod proxy_support;

/// A pins file that is not used.
const NO_PINS: &str = "{}";

/// A world of its own, in which the contract names the root of the node.
async fn published() -> (World, Node) {
    let world = World::new();
    let node = world.node(&[]).await;
    publish(&world, &node, &node).await;
    (world, node)
}

/// Governance publishes the root CA of one node and the root signer of another, and the chain goes on for two blocks.
async fn publish(world: &World, ca: &Node, signer: &Node) {
    let (ca, signer) = (info(ca).await.root.unwrap(), info(signer).await.root.unwrap());
    let spki = subject_public_key_info(&ca.ca_certificate).unwrap();
    world.chain.publish_root(&signer.k256_public_key, &spki);
    let block = world.chain.block();
    while world.chain.block() < block + 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs the client without a pins file.
fn ask(world: &World, guest: &Guest, node: &Node, more: &[&str]) -> Output {
    let mut command = Command::new(program("kms-client"));
    command.args(["--node", &node.address().to_string(), "--give-up-after", "0"]);
    command.args(["--kms-contract", &world.chain.kms().to_string()]);
    command.arg("--out").arg(guest.keys());
    command.arg("--agent-socket").arg(guest.socket());
    command.arg("--os-image-manifest").arg(world.simulated.manifest());
    command.arg("--insecure-root-certificate").arg(world.simulated.root_certificate());
    command.args(more).output().unwrap()
}

fn expect_keys(guest: &Guest, output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(guest.keys().join("disk.key")).unwrap().len(), 32);
}

/// The words for one provider of the development chain.
fn dev(url: &str) -> [&str; 5] {
    ["--chain-id", "31337", "--insecure-dev-chain", "--rpc", url]
}

async fn proxy(world: &World, lie: Lie) -> Proxy {
    let url = world.chain.url();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    Proxy::start(port, lie).await
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_pins__should_bring_keys_without_a_file_of_keys() {
    let (world, node) = published().await;
    let guest = |app: &str| Guest::new(&world, app, NO_PINS);
    let (alone, several, both) = (guest("one provider"), guest("several providers"), guest("both"));
    world.seen_by(&node).await;
    let url = world.chain.url();
    expect_keys(&alone, &ask(&world, &alone, &node, &dev(&url)));

    let [a, b] = [proxy(&world, honest()).await, proxy(&world, honest()).await];
    let (a, b) = (a.url_of_host(1), b.url_of_host(2));
    let quorum = ["--chain-id", "31337", "--quorum", "2", "--rpc", &a, "--rpc", &b];
    expect_keys(&several, &ask(&world, &several, &node, &quorum));

    // With a file of pins both must hold.
    let file = both.keys().with_extension("json");
    let with_file = [&dev(&url)[..], &["--pins", file.to_str().unwrap()]].concat();
    let other = world.node(&[]).await;
    std::fs::write(&file, world.pins(&other, &[world.measurement]).await).unwrap();
    both.expect(&ask(&world, &both, &node, &with_file), 10, "pins-contradicted: found the root CA key");
    std::fs::write(&file, world.pins(&node, &[MrAggregated([0x42; 32])]).await).unwrap();
    both.expect(&ask(&world, &both, &node, &with_file), 10, "node-not-pinned: found the measurement");
    std::fs::write(&file, world.pins(&node, &[world.measurement]).await).unwrap();
    expect_keys(&both, &ask(&world, &both, &node, &with_file));
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_pins__should_refuse_a_node_that_the_contract_does_not_name() {
    let world = World::new();
    let (node, other) = (world.node(&[]).await, world.node(&[]).await);
    let guest = Guest::new(&world, "of another root", NO_PINS);
    world.seen_by(&node).await;
    let url = world.chain.url();
    let refused = |text: &str| guest.expect(&ask(&world, &guest, &node, &dev(&url)), 10, text);
    refused("kms-info-unusable");
    publish(&world, &other, &other).await;
    refused("node-not-pinned: found another root CA");
    publish(&world, &node, &other).await;
    refused("node-not-pinned: found signature-wrong-signer");
    let asked = node.records().len();

    // The right root, on a device that governance has revoked: refused by the guest, which shows it nothing.
    publish(&world, &node, &node).await;
    world.chain.revoke_node(world.simulated.node_device());
    refused("node-not-allowed: the KMS contract does not allow this node: contract-denied");
    assert_eq!(node.records().len(), asked, "the guest went on");
    world.chain.allow_node(world.measurement, world.simulated.node_device());
    world.seen_by(&node).await;
    node.await_serving().await;
    expect_keys(&guest, &ask(&world, &guest, &node, &dev(&url)));
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_pins__should_believe_no_provider() {
    let (world, node) = published().await;
    let guest = Guest::new(&world, "lied to", NO_PINS);
    world.seen_by(&node).await;
    let changed = || {
        results_of("eth_getProof", |_, proof| {
            let slots = proof["storageProof"].as_array_mut().unwrap();
            for slot in slots {
                slot["value"] = json!("0x43");
            }
        })
    };
    let forged = results_of("eth_getBlockByNumber", |_, block| {
        block["stateRoot"] = json!(format!("0x{}", "11".repeat(32)));
    });
    for (lie, code) in [
        (changed(), "proof-value-mismatch"),
        (results_of("eth_getCode", |_, code| *code = json!("0x600160005260206000f3")), "code-mismatch"),
        (forged, "header-hash-mismatch"),
        (results_of("eth_chainId", |_, id| *id = json!("0x1")), "chain-id-mismatch"),
        (always(|| Reply::Status(503)), "rpc-status"),
    ] {
        let liar = proxy(&world, lie).await;
        guest.expect(&ask(&world, &guest, &node, &dev(&liar.url())), 3, code);
    }
    guest.expect(&ask(&world, &guest, &node, &dev("http://127.0.0.1:1")), 3, "rpc-unreachable");
    assert!(node.records().is_empty(), "the guest went on");

    // A trust that authenticates nothing is wrong usage; the node is not even asked.
    let (honest, liar) = (proxy(&world, honest()).await, proxy(&world, changed()).await);
    let (a, b) = (honest.url_of_host(2), liar.url_of_host(1));
    let usage = |words: &[&str], text: &str| guest.expect(&ask(&world, &guest, &node, words), 2, text);
    usage(&["--chain-id", "1", "--insecure-dev-chain", "--rpc", &a], "dev-chain-only");
    usage(&["--chain-id", "31337", "--quorum", "1", "--rpc", &a], "head-unauthenticated");
    usage(&["--chain-id", "31337", "--quorum", "1", "--rpc", &a, "--rpc", &b], "head-unauthenticated");
    usage(&["--chain-id", "31337", "--rpc", &a, "--rpc", &b], "--quorum");

    // Two that agree on the block, one of which lies about what stands in it: the other is asked.
    let quorum = ["--chain-id", "31337", "--quorum", "2", "--rpc", &b, "--rpc", &a];
    expect_keys(&guest, &ask(&world, &guest, &node, &quorum));
}
