//! Offline packs: from one machine's cache to another's, without a network.
#![cfg(feature = "pccs")]
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod pccs_support;

use kms_attestation::pccs::{
    CollateralCache, CollateralClient, CollateralKey, CollateralStore, Fault, Pack, Source,
};
use kms_simulator::pccs::Fault as SimFault;
use kms_simulator::platform::Platform;
use pccs_support::{
    DAY, NOW, TestClock, cache, closed_url, key, limits, pccs, platform, policy, root, source,
};

/// A platform of two kinds, and a pack of the collateral for both.
async fn packed(fault: SimFault) -> (Platform, Pack) {
    let mut platform = platform();
    platform.add_host().unwrap();
    let server = pccs(&platform).await;
    server.set_fault(fault);
    let cache = cache(&platform, &[&server.url()], policy(), None, &TestClock::at(NOW));
    for host in [0, 1] {
        let CollateralKey { fmspc, ca } = key(&platform, host);
        cache.get(fmspc, ca, NOW).await.unwrap();
    }
    let pack = cache.export_pack();
    assert_eq!(pack.keys().count(), 2);
    (platform, Pack::parse(&pack.to_json().unwrap()).unwrap())
}

/// A cache without any source.
fn offline(platform: &Platform, now: u64, dir: Option<&std::path::Path>) -> CollateralCache {
    let client = CollateralClient::new(root(platform), Vec::new(), &[], limits()).unwrap();
    CollateralCache::open(client, policy(), dir.map(CollateralStore::new), Box::new(TestClock::at(now)))
}

#[tokio::test]
async fn pack__should_carry_collateral_to_a_machine_without_a_network() {
    let (platform, pack) = packed(SimFault::None).await;
    let dir = tempfile::tempdir().unwrap();
    let cache = offline(&platform, NOW, Some(dir.path()));
    let CollateralKey { fmspc, ca } = key(&platform, 1);
    let error = cache.get(fmspc, ca, NOW).await.unwrap_err();
    assert!(error.found().contains("no source"), "{error}");
    let report = cache.import_pack(&pack).await;
    assert_eq!((report.imported.len(), &report.refused[..]), (2, &[][..]));
    assert!(cache.get(fmspc, ca, NOW).await.is_ok());
    assert!(cache.lower_bound() > NOW - DAY);
    // What was taken in is on disk, and can be handed on.
    let restarted = offline(&platform, NOW, Some(dir.path()));
    assert!(restarted.get(fmspc, ca, NOW).await.is_ok());
    assert_eq!(restarted.export_pack(), pack);
}

#[tokio::test]
async fn pack__should_serve_as_the_last_source() {
    let (platform, pack) = packed(SimFault::None).await;
    let sources = vec![source(&closed_url().await), Source::pack(pack)];
    let client = CollateralClient::new(root(&platform), sources, &[], limits()).unwrap();
    let cache = CollateralCache::open(client, policy(), None, Box::new(TestClock::at(NOW)));
    let CollateralKey { fmspc, ca } = key(&platform, 0);
    assert!(cache.get(fmspc, ca, NOW).await.is_ok());
    let expired = NOW + 31 * DAY;
    let error = cache.get(fmspc, ca, expired).await.unwrap_err();
    let codes: Vec<_> = error.attempts.iter().map(|attempt| attempt.fault.code()).collect();
    assert_eq!(codes, ["connect", "collateral-expired"]);
}

#[tokio::test]
async fn pack__should_be_refused_when_it_is_older_than_what_was_seen() {
    let (platform, old) = packed(SimFault::RolledBack).await;
    let (_, new) = packed(SimFault::None).await;
    let cache = offline(&platform, NOW, None);
    assert_eq!(cache.import_pack(&old).await.imported.len(), 2);
    assert_eq!(cache.import_pack(&new).await.imported.len(), 2);
    let report = cache.import_pack(&old).await;
    assert!(report.imported.is_empty());
    assert!(report.refused.iter().all(|(_, fault)| fault.code() == "collateral-rolled-back"), "{report:?}");
    assert_eq!(cache.metrics().rollbacks_refused, 2);
    assert_eq!(cache.export_pack(), new);
}

#[tokio::test]
async fn pack__should_be_refused_where_it_was_tampered_with() {
    let (platform, pack) = packed(SimFault::None).await;
    let text = String::from_utf8(pack.to_json().unwrap()).unwrap();
    let key_text = |host| key(&platform, host).fmspc.to_string();
    let import = async |text: String| {
        let pack = Pack::parse(text.as_bytes()).unwrap();
        let report = offline(&platform, NOW, None).import_pack(&pack).await;
        let codes: Vec<_> = report.refused.iter().map(|(_, fault)| fault.code()).collect();
        (report.imported.len(), codes)
    };
    assert_eq!(import(text.clone()).await, (2, vec![]));
    assert_eq!(
        import(text.replacen("OutOfDate", "UpToDate_", 1)).await,
        (1, vec!["collateral-signature-invalid"])
    );
    let renamed = text.replacen(&format!("\"fmspc\":\"{}\"", key_text(0)), "\"fmspc\":\"ffffffffffff\"", 1);
    assert_eq!(import(renamed).await, (1, vec!["fmspc-mismatch"]));
    assert_eq!(
        import(text.replacen("\"ca\":\"platform\"", "\"ca\":\"processor\"", 1)).await,
        (1, vec!["pck-crl-mismatch"])
    );

    let other = Platform::from_seed(8, NOW).unwrap();
    let report = offline(&other, NOW, None).import_pack(&pack).await;
    assert!(matches!(&report.refused[..], [(_, Fault::Refused(_)), (_, Fault::Refused(_))]), "{report:?}");
}
