//! What the node shows to whoever watches it: every metric that the documentation names, and no other.

use std::collections::BTreeSet;

use kms_tests::http::get;
use kms_tests::node::Node;
use kms_tests::wire::{Wire, granted, refusal};
use kms_tests::world::World;

/// What operators read.
const DOCUMENTATION: &str = include_str!("../../../docs/OPERATING.md");

/// The value of a sample, by its name and labels as they stand on the page.
fn sample(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

/// The names that are served, as a query has them.
fn served(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect()
}

/// The names in the documentation's table of metrics.
fn documented() -> BTreeSet<String> {
    let rows = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| `onchain_kms_"));
    let name = |row: &str| row.split(['`', '{']).next().map(|name| format!("onchain_kms_{name}"));
    rows.filter_map(name).collect()
}

fn page(node: &Node) -> String {
    let page = get(std::net::TcpStream::connect(node.metrics()).expect("the metrics' port"), "/metrics");
    assert!(page.ends_with("# EOF\n"), "{page}");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics__should_show_decisions_and_all_that_is_documented() {
    let world = World::shared();
    let node = world.node(&["metrics.address=127.0.0.1:0"]).await;
    let app = world.app("watched");
    world.seen_by(&node).await;
    let before = page(&node);
    let releases = r#"onchain_kms_releases_total{subject="app-keys"}"#;
    let denials = r#"onchain_kms_denials_total{class="contract",code="contract-denied"}"#;
    assert_eq!((sample(&before, releases), sample(&before, denials)), (Some(0.0), None));

    let mut wire = Wire::connect(node.address()).await;
    granted(wire.boot_as(&world.guest(&app)).await);
    assert_eq!(refusal(wire.boot_as(&world.guest_on(&app, 2)).await).code, "contract-denied");

    let after = page(&node);
    for (name, value) in [
        (releases, 1.0),
        (denials, 1.0),
        (r#"onchain_kms_requests_total{method="GetAppKeys",code="ok"}"#, 1.0),
        (r#"onchain_kms_requests_total{method="GetAppKeys",code="contract-denied"}"#, 1.0),
        (r#"onchain_kms_connections_refused_total{limit="handshakes_per_address"}"#, 0.0),
        (r#"onchain_kms_insecure_setting{setting="root.insecure_root_file"}"#, 1.0),
        ("onchain_kms_record_failures_total", 0.0),
        ("onchain_kms_node_allowed", 1.0),
        ("onchain_kms_verifications_running", 0.0),
    ] {
        assert_eq!(sample(&after, name), Some(value), "{name}\n{after}");
    }
    let at_least = |name, least| assert!(sample(&after, name).unwrap() >= least, "{name}\n{after}");
    at_least("onchain_kms_record_append_seconds_count", 2.0);
    at_least("onchain_kms_connections_open", 1.0);
    at_least("onchain_kms_collateral_hits_total", 1.0);
    let age = sample(&after, r#"onchain_kms_chain_head_age_seconds{head="latest"}"#);
    assert!(age.is_some_and(|age| age < 60.0), "{age:?}");

    assert_eq!(served(&after), documented());
    let app = alloy::primitives::hex::encode(app.id.0);
    assert!(!after.to_lowercase().contains(&app), "no app is named");
}
