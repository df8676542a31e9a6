//! Forecasts: against the quote verifier, against the simulated platform's early TCB info, and against history.
#![cfg(feature = "pccs")]
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;
mod pccs_support;

use std::sync::Arc;

use common::Fixture;
use dcap_qvl::TcbStatus;
use kms_attestation::collateral::{CheckedCollateral, Collateral, PckCa};
use kms_attestation::deny::DenyCode;
use kms_attestation::pccs::{CollateralCache, CollateralClient, CollateralKey, EarlyCollateral, Forecast};
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use kms_attestation::tcb::PlatformSvns;
use kms_attestation::time::rfc3339;
use kms_attestation::verify::Verifier;
use kms_simulator::platform::Platform;
use kms_simulator::quote::QuoteSpec;
use pccs_support::{NOW, OddServer, TestClock, cache, key, limits, pccs, platform, policy, source};

#[tokio::test]
async fn forecast__should_foresee_the_simulated_recovery() {
    let platform = platform();
    let server = pccs(&platform).await;
    let cache = cache(&platform, &[&server.url()], policy(), None, &TestClock::at(NOW));
    let CollateralKey { fmspc, ca } = key(&platform, 0);
    let current = cache.get(fmspc, ca, NOW).await.unwrap();
    let early = cache.early(fmspc, ca, NOW).await.unwrap();
    let quote = Quote::parse(&platform.hosts()[0].quote(&QuoteSpec::default()).unwrap()).unwrap();
    let svns = PlatformSvns::of(quote.platform(), quote.td());
    let forecast = early.forecast(&current, &svns);
    assert!(forecast.will_be_out_of_date(), "{forecast}");
    assert_eq!((forecast.enforced_number, forecast.evaluation_number), (20, 21));
    assert_eq!(forecast.advisories, ["INTEL-SA-01367"]);
    let text = forecast.to_string();
    assert!(text.contains("SGX component 0 (early microcode update) 4 < 5"), "{text}");

    let ready = PlatformSvns { cpu_svn: [u8::MAX; 16], ..svns };
    assert!(!early.forecast(&current, &ready).will_be_out_of_date());
}

#[tokio::test]
async fn forecast__should_agree_with_the_quote_verifier_on_every_level() {
    let platform = platform();
    let server = pccs(&platform).await;
    let cache = cache(&platform, &[&server.url()], policy(), None, &TestClock::at(NOW));
    let CollateralKey { fmspc, ca } = key(&platform, 0);
    let current = cache.get(fmspc, ca, NOW).await.unwrap();
    let early = cache.early(fmspc, ca, NOW).await.unwrap();
    let verifier = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
    let mut seen = Vec::new();
    for step in 0..5 {
        for module in [0, 2, 4, 6, 11] {
            let quote = quote(platform.clone(), step, module);
            let svns = PlatformSvns::of(quote.platform(), quote.td());
            let today = early.forecast(&current, &svns).today;
            let verdict = match verifier.authenticate(&quote, &current, NOW) {
                Ok(authentic) => Some(authentic.tcb().status),
                Err(reason) if reason.code == DenyCode::TcbRevoked => Some(TcbStatus::Revoked),
                Err(reason) => {
                    assert!(
                        matches!(reason.code, DenyCode::TcbUnknown | DenyCode::TdxModuleUnknown),
                        "{reason}"
                    );
                    None
                }
            };
            assert_eq!(today, verdict, "step {step}, module {module}");
            seen.push(verdict);
        }
    }
    for status in [Some(TcbStatus::UpToDate), Some(TcbStatus::OutOfDate), None] {
        assert!(seen.contains(&status), "no case of {status:?}");
    }
}

/// A quote of a platform whose microcode is so many steps behind, with a TDX module of the given ISVSVN.
fn quote(mut platform: Platform, step: u8, module: u8) -> Quote {
    let host = platform.host_mut(0).unwrap();
    host.pck.cpu_svn[0] = host.pck.cpu_svn[0].saturating_sub(step);
    let mut spec = QuoteSpec::default();
    spec.tee_tcb_svn[0] = module;
    Quote::parse(&host.quote(&spec).unwrap()).unwrap()
}

/// In July 2025 number 17 decided. Number 20 was published on 2025-08-13 and enforced on 2026-08-13, when platforms
/// like the one of this quote were refused from one day to the next.
#[tokio::test]
async fn forecast__should_name_what_intel_did_then_do() {
    let (Some(before), Some(after)) = (Fixture::open("01"), Fixture::open("02")) else { return };
    let root = Arc::new(RootOfTrust::intel());
    let quote = before.quote();
    let key = CollateralKey { fmspc: quote.platform().fmspc, ca: PckCa::Platform };
    let current = CheckedCollateral::check(&root, before.collateral(), before.now).unwrap();
    let early = early(root, after.collateral(), key, after.now).await;
    let forecast: Forecast = early.forecast(&current, &PlatformSvns::of(quote.platform(), quote.td()));
    assert_eq!((forecast.enforced_number, forecast.evaluation_number), (17, 20));
    assert_eq!((forecast.today, forecast.status), (Some(TcbStatus::UpToDate), Some(TcbStatus::OutOfDate)));
    assert_eq!(forecast.advisories.len(), 4);
    let expected = forecast.enforcement.unwrap().expected_from;
    assert_eq!(rfc3339(expected), "2026-08-13T00:00:00Z", "{forecast}");
}

/// Genuine collateral, come by as early collateral.
async fn early(
    root: Arc<RootOfTrust>,
    collateral: Collateral,
    key: CollateralKey,
    now: u64,
) -> EarlyCollateral {
    let server = OddServer::serving(collateral).await;
    let client = CollateralClient::new(root, vec![source(&server.url)], &[], limits()).unwrap();
    let cache = CollateralCache::open(client, policy(), None, Box::new(TestClock::at(now)));
    cache.early(key.fmspc, key.ca, now).await.unwrap()
}
