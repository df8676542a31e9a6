//! The simulated PCCS before the production client, which fetches from it and believes nothing.
#![allow(non_snake_case, clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::NOW;
use kms_attestation::collateral::{CollateralMarks, PckCa};
use kms_attestation::pccs::{
    Ask, CollateralClient, CollateralKey, CollateralUnavailable, EvaluationSet, FetchLimits, Fetched, Source,
    SourceConfig,
};
use kms_attestation::root::RootOfTrust;
use kms_simulator::pccs::{Fault, Pccs};
use kms_simulator::platform::Platform;
use rustls_pki_types::CertificateDer;

/// Fetches the first host's collateral as production does.
async fn fetch(
    pccs: &Pccs,
    platform: &Platform,
    set: EvaluationSet,
) -> Result<Fetched, CollateralUnavailable> {
    let root = Arc::new(RootOfTrust::configured(&platform.root_der()).unwrap());
    let source = Source::http(&SourceConfig::pccs(pccs.url())).unwrap();
    let tls_roots: Vec<_> =
        pccs.tls_certificate().map(|der| CertificateDer::from(der.to_vec())).into_iter().collect();
    let limits = FetchLimits { retries: 0, request: Duration::from_secs(2), ..FetchLimits::default() };
    let client = CollateralClient::new(root, vec![source], &tls_roots, limits).unwrap();
    let key = CollateralKey { fmspc: platform.host(0).unwrap().fmspc(), ca: PckCa::Platform };
    client.fetch(&Ask { key, set, seen: CollateralMarks::default(), fresh_until: 0 }, &|| NOW).await
}

#[tokio::test]
async fn client__should_fetch_every_evaluation_set() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let pccs = Pccs::start("127.0.0.1:0".parse().unwrap(), platform.clone()).await.unwrap();
    for (set, number) in [
        (EvaluationSet::Standard, 20),
        (EvaluationSet::Early, 21),
        (EvaluationSet::Number(20), 20),
        (EvaluationSet::Number(21), 21),
    ] {
        let fetched = fetch(&pccs, &platform, set).await.unwrap();
        let marks = fetched.collateral.marks();
        assert_eq!((marks.tcb_info_number, marks.qe_identity_number), (number, number), "{set:?}");
    }
    assert!(fetch(&pccs, &platform, EvaluationSet::Number(19)).await.is_err());
}

#[tokio::test]
async fn client__should_fetch_over_tls() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let pccs = Pccs::start_tls("127.0.0.1:0".parse().unwrap(), platform.clone()).await.unwrap();
    fetch(&pccs, &platform, EvaluationSet::Standard).await.unwrap();
}

#[tokio::test]
async fn client__should_survive_every_fault() {
    let platform = Platform::from_seed(7, NOW).unwrap();
    let pccs = Pccs::start("127.0.0.1:0".parse().unwrap(), platform.clone()).await.unwrap();
    for fault in [
        Fault::Expired,
        Fault::Future,
        Fault::RevokedPckCa,
        Fault::RevokedTcbSigner,
        Fault::WrongFmspc,
        Fault::Slow { delay_ms: 3000 },
        Fault::Status { code: 500 },
        Fault::HugeBody { megabytes: 64 },
        Fault::Garbage,
        Fault::Truncated,
        Fault::MissingHeader,
        Fault::ConnectionClosed,
        Fault::Redirect { location: "http://127.0.0.1:1/".into() },
        Fault::RedirectLoop,
    ] {
        pccs.set_fault(fault.clone());
        let error = fetch(&pccs, &platform, EvaluationSet::Standard).await.err();
        assert_eq!(error.map(|error| error.attempts.len()), Some(1), "{fault:?}");
    }
    // What these say is well signed and current: not the client's affair.
    for fault in [Fault::RevokedPck, Fault::OutOfDate, Fault::RolledBack, Fault::None] {
        pccs.set_fault(fault);
        fetch(&pccs, &platform, EvaluationSet::Standard).await.unwrap();
    }
}
