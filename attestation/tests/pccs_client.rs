//! The collateral client against servers on loopback: what it takes, what it refuses, and how it says so.
#![cfg(feature = "pccs")]
#![allow(non_snake_case, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;
mod pccs_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Fixture;
use kms_attestation::collateral::{CollateralMarks, PckCa};
use kms_attestation::pccs::{
    Ask, CollateralClient, CollateralKey, CollateralUnavailable, ConfigError, Endpoint, EvaluationSet, Fault,
    FetchLimits, Fetched, Pack, Source, SourceConfig, SourceKind,
};
use kms_attestation::root::RootOfTrust;
use kms_simulator::pccs::{Clock as SimClock, Endpoint as SimEndpoint, Fault as SimFault, FaultPlan, Pccs};
use kms_simulator::platform::Platform;
use pccs_support::{
    DAY, NOW, Odd, OddServer, any_port, ask, client, closed_url, limits, pccs, platform, root, source,
};
use rustls_pki_types::CertificateDer;

async fn fetch(client: &CollateralClient, ask: &Ask) -> Result<Fetched, CollateralUnavailable> {
    client.fetch(ask, &|| NOW).await
}

/// The fault of the only source.
async fn fault_at(platform: &Platform, url: &str) -> (Option<Endpoint>, Fault) {
    let error = fetch(&client(platform, &[url]), &ask(platform)).await.unwrap_err();
    assert_eq!(error.attempts.len(), 1, "{error}");
    assert_eq!(error.attempts[0].source.as_str(), url);
    (error.attempts[0].endpoint, error.attempts[0].fault.clone())
}

fn code_of(plan: &SimFault) -> &'static str {
    match plan {
        SimFault::None => "ok",
        SimFault::Expired => "collateral-expired",
        SimFault::Future => "collateral-not-yet-valid",
        SimFault::RevokedPckCa => "pck-ca-revoked",
        SimFault::RevokedTcbSigner => "collateral-signer-revoked",
        SimFault::WrongFmspc => "fmspc-mismatch",
        SimFault::RolledBack => "collateral-rolled-back",
        SimFault::Slow { .. } => "timeout",
        SimFault::Status { .. } | SimFault::Redirect { .. } | SimFault::RedirectLoop => "status",
        SimFault::HugeBody { .. } => "too-large",
        SimFault::Truncated | SimFault::ConnectionClosed => "closed",
        // The simulator's garbage comes without the headers of a document.
        SimFault::MissingHeader | SimFault::Garbage => "missing-header",
        other => panic!("{other:?} is nothing that collateral shows"),
    }
}

#[tokio::test]
async fn client__should_fetch_from_a_pccs() {
    let platform = platform();
    let server = pccs(&platform).await;
    let fetched = fetch(&client(&platform, &[&server.url()]), &ask(&platform)).await.unwrap();
    assert_eq!(CollateralKey::of(&fetched.collateral), ask(&platform).key);
    assert_eq!(fetched.source.as_str(), server.url());
    assert!(fetched.attempts.is_empty());
    for endpoint in [SimEndpoint::RootCrl, SimEndpoint::PckCrl, SimEndpoint::TcbInfo, SimEndpoint::QeIdentity]
    {
        assert_eq!(server.count(endpoint), 1);
    }
}

#[tokio::test]
async fn client__should_name_each_fault_and_use_the_next_source() {
    let platform = platform();
    let (bad, good) = (pccs(&platform).await, pccs(&platform).await);
    let client = client(&platform, &[&bad.url(), &good.url()]);
    let good_ask = ask(&platform);
    let seen = fetch(&client, &good_ask).await.unwrap().collateral.marks();
    for plan in [
        SimFault::Expired,
        SimFault::Future,
        SimFault::RevokedPckCa,
        SimFault::RevokedTcbSigner,
        SimFault::WrongFmspc,
        SimFault::RolledBack,
        SimFault::Slow { delay_ms: 60_000 },
        SimFault::Status { code: 500 },
        SimFault::Status { code: 404 },
        SimFault::Status { code: 204 },
        SimFault::HugeBody { megabytes: 64 },
        SimFault::Garbage,
        SimFault::Truncated,
        SimFault::MissingHeader,
        SimFault::ConnectionClosed,
        SimFault::Redirect { location: good.url() },
        SimFault::RedirectLoop,
    ] {
        bad.set_fault(plan.clone());
        let fetched = fetch(&client, &Ask { seen, ..good_ask }).await.unwrap();
        assert_eq!(fetched.source.as_str(), good.url(), "{plan:?}");
        let [attempt] = &fetched.attempts[..] else { panic!("{plan:?}: {:?}", fetched.attempts) };
        assert_eq!(attempt.source.as_str(), bad.url());
        assert_eq!(attempt.fault.code(), code_of(&plan), "{plan:?}: {attempt}");
    }
}

#[tokio::test]
async fn client__should_name_the_endpoint_at_fault() {
    let platform = platform();
    let server = pccs(&platform).await;
    for (sim, endpoint) in [
        (SimEndpoint::RootCrl, Endpoint::RootCrl),
        (SimEndpoint::PckCrl, Endpoint::PckCrl),
        (SimEndpoint::TcbInfo, Endpoint::TcbInfo),
        (SimEndpoint::QeIdentity, Endpoint::QeIdentity),
    ] {
        for fault in [SimFault::Status { code: 418 }, SimFault::Garbage, SimFault::HugeBody { megabytes: 2 }]
        {
            server.set_fault(FaultPlan::only(sim, fault.clone()));
            let (found, found_fault) = fault_at(&platform, &server.url()).await;
            assert_eq!(found, Some(endpoint), "{fault:?}: {found_fault}");
        }
    }
}

#[tokio::test]
async fn client__should_refuse_older_parts_than_were_seen() {
    let platform = platform();
    let server = pccs(&platform).await;
    let client = client(&platform, &[&server.url()]);
    let now = fetch(&client, &ask(&platform)).await.unwrap().collateral.marks();
    let refused = async |seen: CollateralMarks| {
        let error = fetch(&client, &Ask { seen, ..ask(&platform) }).await.unwrap_err();
        error.attempts[0].fault.code()
    };
    assert!(fetch(&client, &Ask { seen: now, ..ask(&platform) }).await.is_ok());
    for seen in [
        CollateralMarks { tcb_info_issued: now.tcb_info_issued + 1, ..now },
        CollateralMarks { tcb_info_number: now.tcb_info_number + 1, ..now },
        CollateralMarks { qe_identity_issued: now.qe_identity_issued + 1, ..now },
        CollateralMarks { qe_identity_number: now.qe_identity_number + 1, ..now },
        CollateralMarks { pck_crl_issued: now.pck_crl_issued + 1, ..now },
        CollateralMarks { root_crl_issued: now.root_crl_issued + 1, ..now },
    ] {
        assert_eq!(refused(seen).await, "collateral-rolled-back");
    }
}

#[tokio::test]
async fn client__should_survive_servers_that_do_not_speak_http() {
    let platform = platform();
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (bytes, code) in [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(), "bad-head"),
        (b"\x15\x03\x03\x00\x02\x02\x46".to_vec(), "bad-head"),
        (long.into_bytes(), "bad-head"),
        (many.into_bytes(), "bad-head"),
        (Vec::new(), "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec(), "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_vec(), "too-large"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(), "malformed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_vec(), "malformed"),
    ] {
        let server = OddServer::start(Odd::Bytes(bytes.clone())).await;
        let (_, fault) = fault_at(&platform, &server.url).await;
        assert_eq!(
            fault.code(),
            code,
            "{:?}: {fault}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
    }
    let (_, fault) = fault_at(&platform, &closed_url().await).await;
    assert_eq!(fault.code(), "connect", "{fault}");
}

#[tokio::test]
async fn client__should_give_up_on_servers_that_stall() {
    let platform = platform();
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n".to_vec();
    for odd in [Odd::Silence, Odd::Drip(head), Odd::Drip(b"HTTP/1.1 200 OK\r\nx: ".to_vec())] {
        let server = OddServer::start(odd).await;
        let limits = FetchLimits { request: Duration::from_millis(200), ..limits() };
        let client = CollateralClient::new(root(&platform), vec![source(&server.url)], &[], limits).unwrap();
        let begun = Instant::now();
        let error = fetch(&client, &ask(&platform)).await.unwrap_err();
        assert_eq!(error.attempts[0].fault, Fault::Timeout);
        assert!(error.attempts[0].endpoint.is_some());
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn client__should_keep_the_total_deadline_and_leave_time_for_later_sources() {
    let platform = platform();
    let silent = OddServer::start(Odd::Silence).await;
    let good = pccs(&platform).await;
    let limits = FetchLimits {
        request: Duration::from_mins(1),
        total: Duration::from_millis(900),
        retries: 5,
        ..limits()
    };
    let with = |urls: &[&str]| {
        let sources = urls.iter().map(|url| source(url)).collect();
        CollateralClient::new(root(&platform), sources, &[], limits).unwrap()
    };
    let begun = Instant::now();
    let error = fetch(&with(&[&silent.url, &silent.url, &silent.url]), &ask(&platform)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let faults: Vec<_> = error.attempts.iter().map(|attempt| attempt.fault.code()).collect();
    assert_eq!(faults, ["timeout", "timeout", "timeout"]);

    let fetched = fetch(&with(&[&silent.url, &silent.url, &good.url()]), &ask(&platform)).await.unwrap();
    assert_eq!(fetched.source.as_str(), good.url());
    assert_eq!(fetched.attempts.len(), 2);
}

#[tokio::test]
async fn client__should_try_again_only_what_may_pass() {
    let platform = platform();
    let limits = FetchLimits { retries: 2, ..limits() };
    let requests = async |head: &str| {
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
        let server = OddServer::start(Odd::Bytes(answer.into_bytes())).await;
        // Only one endpoint is at that server, so that its requests are those of one endpoint.
        let good = pccs(&platform).await;
        let config = SourceConfig {
            root_crl_url: Some(format!("{}/crl", server.url)),
            ..SourceConfig::pccs(good.url())
        };
        let client =
            CollateralClient::new(root(&platform), vec![Source::http(&config).unwrap()], &[], limits)
                .unwrap();
        let error = fetch(&client, &ask(&platform)).await.unwrap_err();
        assert_eq!(error.attempts[0].endpoint, Some(Endpoint::RootCrl));
        server.count()
    };
    assert_eq!(requests("503 Busy").await, 3);
    assert_eq!(requests("429 Slow Down\r\nretry-after: 0").await, 3);
    assert_eq!(
        requests("503 Busy\r\nretry-after: 3600").await,
        1,
        "longer than the cap: the next source's turn"
    );
    assert_eq!(requests("404 Not Found").await, 1);
    assert_eq!(requests("302 Found\r\nlocation: /").await, 1);
    assert_eq!(requests("200 OK").await, 1, "a malformed answer does not get better");
}

#[tokio::test]
async fn client__should_recover_from_a_fault_that_passes() {
    let platform = platform();
    let server = pccs(&platform).await;
    server.set_fault(SimFault::Status { code: 503 });
    let limits = FetchLimits { retries: 20, retry_base: Duration::from_millis(100), ..limits() };
    let client = CollateralClient::new(root(&platform), vec![source(&server.url())], &[], limits).unwrap();
    let ask = ask(&platform);
    let repair = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.set_fault(SimFault::None);
    };
    let (fetched, ()) = tokio::join!(fetch(&client, &ask), repair);
    assert!(fetched.unwrap().attempts.is_empty());
    assert!(server.count(SimEndpoint::TcbInfo) > 1);
}

#[tokio::test]
async fn client__should_take_https_only_under_a_root_that_was_given() {
    let platform = platform();
    let server = Pccs::start_tls(any_port(), platform.clone()).await.unwrap();
    let certificate = CertificateDer::from(server.tls_certificate().unwrap().to_vec());
    let with = |roots: &[CertificateDer<'static>]| {
        CollateralClient::new(root(&platform), vec![source(&server.url())], roots, limits()).unwrap()
    };
    assert!(fetch(&with(&[certificate]), &ask(&platform)).await.is_ok());
    let error = fetch(&with(&[]), &ask(&platform)).await.unwrap_err();
    assert!(
        matches!(&error.attempts[0].fault, Fault::Tls(detail) if detail.contains("UnknownIssuer")),
        "{error}"
    );

    let plain = pccs(&platform).await;
    let url = plain.url().replace("http:", "https:");
    let (_, fault) = fault_at(&platform, &url).await;
    assert_eq!(fault.code(), "tls", "{fault}");
    let junk = [CertificateDer::from(vec![1, 2, 3])];
    let refused = CollateralClient::new(root(&platform), Vec::new(), &junk, limits());
    assert_eq!(refused.err(), Some(ConfigError::TlsRoot(0)));
}

#[tokio::test]
async fn client__should_find_the_root_list_of_intels_service_elsewhere() {
    let platform = platform();
    let server = pccs(&platform).await;
    let config = SourceConfig { kind: SourceKind::Intel, ..SourceConfig::pccs(server.url()) };
    let with = |config: &SourceConfig| {
        CollateralClient::new(root(&platform), vec![Source::http(config)?], &[], limits())
    };
    let elsewhere = format!("{}/IntelSGXRootCA.der", server.url());
    let config = SourceConfig { root_crl_url: Some(elsewhere), ..config };
    assert!(fetch(&with(&config).unwrap(), &ask(&platform)).await.is_ok());
    server.set_fault(FaultPlan::only(SimEndpoint::RootCrl, SimFault::Status { code: 404 }));
    let error = fetch(&with(&config).unwrap(), &ask(&platform)).await.unwrap_err();
    assert_eq!(error.attempts[0].endpoint, Some(Endpoint::RootCrl));
}

#[tokio::test]
async fn client__should_ask_for_the_set_that_is_wanted() {
    let platform = platform();
    let server = pccs(&platform).await;
    let client = client(&platform, &[&server.url()]);
    let number = async |set| match fetch(&client, &Ask { set, ..ask(&platform) }).await {
        Ok(fetched) => Ok(fetched.collateral.marks().tcb_info_number),
        Err(error) => Err(error.attempts[0].fault.clone()),
    };
    let standard = number(EvaluationSet::Standard).await.unwrap();
    assert_eq!(number(EvaluationSet::Early).await, Ok(standard + 1));
    assert_eq!(number(EvaluationSet::Number(standard)).await, Ok(standard));
    assert_eq!(number(EvaluationSet::Number(standard - 1)).await, Err(Fault::Status(410)));
    assert_eq!(number(EvaluationSet::Number(standard + 1)).await, Ok(standard + 1));

    let current = fetch(&client, &ask(&platform)).await.unwrap().collateral.source().clone();
    let stubborn = OddServer::serving(current).await;
    let numbered = Ask { set: EvaluationSet::Number(99), ..ask(&platform) };
    let error = fetch(&pccs_support::client(&platform, &[&stubborn.url]), &numbered).await.unwrap_err();
    assert_eq!(error.attempts[0].fault, Fault::OtherEvaluationNumber { found: standard, asked: 99 });
}

#[tokio::test]
async fn client__should_take_from_a_stuck_source_only_what_no_other_has_fresher() {
    let platform = platform();
    let (stuck, worse, fresh) = (pccs(&platform).await, pccs(&platform).await, pccs(&platform).await);
    stuck.set_clock(SimClock::Fixed(NOW - 25 * DAY));
    worse.set_clock(SimClock::Fixed(NOW - 26 * DAY));
    let ask = Ask { fresh_until: NOW + 7 * DAY, ..ask(&platform) };
    let from = async |urls: &[String]| {
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        let fetched = fetch(&client(&platform, &urls), &ask).await.unwrap();
        let codes: Vec<_> = fetched.attempts.iter().map(|attempt| attempt.fault.code()).collect();
        (fetched.source.as_str().to_owned(), codes)
    };
    assert_eq!(from(&[stuck.url(), fresh.url()]).await, (fresh.url(), vec!["lags"]));
    let all_stuck = [worse.url(), stuck.url(), worse.url(), closed_url().await];
    assert_eq!(from(&all_stuck).await, (stuck.url(), vec!["lags", "lags", "lags", "connect"]));
}

#[tokio::test]
async fn client__should_name_what_it_asked_for_when_nobody_has_it() {
    let platform = platform();
    let server = pccs(&platform).await;
    let pack = Source::pack(Pack::default());
    let client =
        CollateralClient::new(root(&platform), vec![source(&server.url()), pack], &[], limits()).unwrap();
    let unknown = CollateralKey { fmspc: "010203040506".parse().unwrap(), ca: PckCa::Processor };
    let error = fetch(&client, &Ask { key: unknown, ..ask(&platform) }).await.unwrap_err();
    let faults: Vec<_> = error.attempts.iter().map(|attempt| attempt.fault.clone()).collect();
    assert_eq!(faults, [Fault::Status(404), Fault::NotInPack]);
    assert!(error.to_string().starts_with("collateral-unavailable"), "{error}");
    assert!(
        error.to_string().contains("010203040506") && error.to_string().contains(&server.url()),
        "{error}"
    );
}

#[tokio::test]
async fn client__should_take_intels_own_collateral() {
    let Some(fixture) = Fixture::open("01") else { return };
    let server = OddServer::serving(fixture.collateral()).await;
    let root = Arc::new(RootOfTrust::intel());
    let client = CollateralClient::new(root, vec![source(&server.url)], &[], limits()).unwrap();
    let key = CollateralKey { fmspc: fixture.quote().platform().fmspc, ca: PckCa::Platform };
    let ask = Ask { key, set: EvaluationSet::Standard, seen: CollateralMarks::default(), fresh_until: 0 };
    let fetched = client.fetch(&ask, &|| fixture.now).await.unwrap();
    assert_eq!(*fetched.collateral.source(), fixture.collateral(), "the very bytes that Intel signed");
    let late = client.fetch(&ask, &|| fixture.now + 60 * DAY).await.unwrap_err();
    assert_eq!(late.attempts[0].fault.code(), "collateral-expired");
}
