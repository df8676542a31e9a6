//! `--pccs`: collateral from services that serve, lag, fail and lie.

use std::net::{Ipv4Addr, SocketAddr};

use kms_simulator::pccs::{Fault, Pccs};
use kms_simulator::quote::QuoteSpec;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::run::{Run, kmsctl};
use crate::simulated::{Evidence, platform};

/// Nothing listens there: port 9 is that of the discard service.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A PCCS of the simulated platform, and the threads that it runs on.
struct Service {
    pccs: Pccs,
    _runtime: Runtime,
}

impl Service {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let pccs = runtime.block_on(Pccs::start(address, platform())).unwrap();
        Self { pccs, _runtime: runtime }
    }

    fn failing(fault: Fault) -> Self {
        let service = Self::start();
        service.pccs.set_fault(fault);
        service
    }
}

fn verify(evidence: &Evidence, urls: &[&str]) -> Run {
    let mut args = evidence.args_without_collateral("verify");
    args.push("--json".to_owned());
    args.extend(urls.iter().flat_map(|url| ["--pccs".to_owned(), (*url).to_owned()]));
    kmsctl(args)
}

fn explain(url: &str) -> Run {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let mut args = evidence.args_without_collateral("explain");
    args.extend(["--pccs".to_owned(), url.to_owned()]);
    kmsctl(args)
}

#[test]
fn explanation__should_foresee_what_intel_will_demand() {
    let service = Service::start();
    let text = explain(&service.pccs.url()).exits(0).stdout;
    assert!(text.contains("By what Intel has published, this platform will be out of date on "), "{text}");
    let file = Evidence::of_spec(&QuoteSpec::default()).explain().exits(0).stdout;
    assert!(
        file.contains(" - What Intel will demand next of the platform: only services can tell (--pccs).")
    );
}

#[test]
fn pccs__should_give_the_same_verdict_as_a_file() {
    let service = Service::start();
    let evidence = Evidence::booted();
    let run = verify(&evidence, &[&service.pccs.url()]).exits(0);
    assert_eq!(run.stdout, evidence.verify().exits(0).stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn pccs__should_be_passed_over_when_it_has_none() {
    let (failing, service) = (Service::failing(Fault::Status { code: 404 }), Service::start());
    let evidence = Evidence::booted();
    let run = verify(&evidence, &[&failing.pccs.url(), &service.pccs.url()]).exits(0);
    assert!(run.stderr.starts_with("note: no collateral from http://127.0.0.1:"), "{}", run.stderr);
}

#[test]
fn unavailable_collateral__should_be_neither_accepted_nor_refused() {
    let stale = Service::failing(Fault::Expired);
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    let report = verify(&evidence, &[NOWHERE, &stale.pccs.url()]).exits(3).json();
    assert_eq!(report["accepted"], false);
    assert_eq!(report["verdict"], "undecided");
    assert_eq!(report["deny"]["code"], "collateral-unavailable");
    let found = report["deny"]["found"].as_str().unwrap();
    assert!(found.contains(NOWHERE) && found.contains(&stale.pccs.url()), "{found}");
    assert!(found.contains("collateral-expired"), "{found}");
    assert_eq!(report["tcb_status"], Value::Null);
    assert_eq!(report["mrtd"].as_str().unwrap().len(), 96, "what the quote claims is printed");
}

#[test]
fn unavailable_collateral__should_be_explained() {
    let text = explain(NOWHERE).exits(3).stdout;
    assert!(text.starts_with("UNDECIDED at 2027-01-15T08:00:00Z"), "{text}");
    assert!(text.contains("NO collateral-unavailable: ") && text.contains(NOWHERE), "{text}");
}

#[test]
fn malformed_quote__should_be_refused_before_anything_is_fetched() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    evidence.write("quote.bin", b"junk");
    let report = verify(&evidence, &[NOWHERE]).exits(10).json();
    assert_eq!(report["deny"]["code"], "quote-malformed");
}

#[test]
fn revoked_platform__should_be_refused_by_the_collateral_that_says_so() {
    let service = Service::failing(Fault::RevokedPck);
    let report = verify(&Evidence::of_spec(&QuoteSpec::default()), &[&service.pccs.url()]).exits(10).json();
    assert_eq!(report["deny"]["code"], "pck-revoked");
}

#[test]
fn unusable_urls__should_be_usage_errors() {
    let evidence = Evidence::of_spec(&QuoteSpec::default());
    for url in ["", "pccs", "ftp://pccs.example", "http://pccs.example", "https://user:pw@pccs.example"] {
        let run = verify(&evidence, &[url]).exits(2);
        assert!(run.stderr.contains("--pccs") && !run.stderr.contains("pw@"), "{}", run.stderr);
    }
}
