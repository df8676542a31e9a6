//! What must hold for any bytes: a changed quote, event log or manifest is refused or means the same.
#![allow(non_snake_case, missing_docs, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use kms_attestation::collateral::{CheckedCollateral, Collateral};
use kms_attestation::deny::DenyReason;
use kms_attestation::event_log::{EventLog, RuntimeEvent};
use kms_attestation::history::TcbHistory;
use kms_attestation::identity::BootIdentity;
use kms_attestation::image::OsImageManifest;
use kms_attestation::policy::Policy;
use kms_attestation::quote::Quote;
use kms_attestation::root::RootOfTrust;
use kms_attestation::td::TdReport;
use kms_attestation::verify::{AuthenticQuote, Verifier};
use kms_simulator::platform::Platform;
use kms_simulator::quote::{QuoteSpec, ReportKind};
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

struct Setup {
    verifier: Verifier,
    collateral: CheckedCollateral,
    quote: Vec<u8>,
    log: String,
    manifest: String,
}

/// What the evidence proves of the one who presents it.
#[derive(Debug, PartialEq)]
struct Proven {
    td: TdReport,
    identity: BootIdentity,
    image: kms_attestation::ids::OsImageHash,
}

impl Setup {
    fn new(kind: ReportKind) -> Self {
        let platform = Platform::from_seed(7, NOW).unwrap();
        let verifier = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
        let host = platform.host(0).unwrap();
        let collateral = Collateral::new(platform.collateral_of(host.fmspc()).unwrap());
        let log = EventLog::new(vec![
            RuntimeEvent::new("system-preparing", []),
            RuntimeEvent::new("app-id", [1; 20]),
            RuntimeEvent::new("compose-hash", [2; 32]),
            RuntimeEvent::new("instance-id", [3; 20]),
            RuntimeEvent::new("boot-mr-done", []),
        ]);
        let mut spec = QuoteSpec::of_kind(kind);
        spec.rtmrs[3] = log.replay();
        let [rtmr0, rtmr1, rtmr2, _] = spec.rtmrs;
        Self {
            quote: host.quote(&spec).unwrap(),
            collateral: verifier.check_collateral(collateral, NOW).unwrap(),
            manifest: OsImageManifest::write("image", spec.mr_td, &[rtmr0], rtmr1, rtmr2),
            log: log.to_json(),
            verifier,
        }
    }

    fn authenticate(&self, quote: &[u8]) -> Result<AuthenticQuote, DenyReason> {
        // The genuine quote comes first, so that every other meets a verifier that remembers the platform.
        self.verifier.authenticate(&self.verifier.parse(quote)?, &self.collateral, NOW)
    }

    fn prove(&self, quote: &[u8], log: &[u8], manifest: &[u8]) -> Result<Proven, DenyReason> {
        let quote = self.authenticate(quote)?.appraise(&Policy::default(), NOW, None)?;
        let identity = BootIdentity::extract(&quote, &EventLog::parse(log)?)?;
        let manifest = OsImageManifest::parse(manifest)?;
        manifest.check_runs(quote.td())?;
        Ok(Proven { td: quote.td().clone(), identity, image: manifest.hash() })
    }

    fn proven(&self) -> Proven {
        self.prove(&self.quote, self.log.as_bytes(), self.manifest.as_bytes()).unwrap()
    }
}

/// Every single-byte change of `bytes`, at each place with one other value that depends on the place.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        changed
    })
}

#[test]
fn flipped_quote__should_be_refused_or_prove_the_same() {
    for kind in [ReportKind::Td10, ReportKind::Td15Ex] {
        let setup = Setup::new(kind);
        let proven = setup.proven();
        let mut accepted = 0;
        for quote in flips(&setup.quote) {
            if let Ok(other) = setup.prove(&quote, setup.log.as_bytes(), setup.manifest.as_bytes()) {
                assert_eq!(other, proven);
                accepted += 1;
            }
        }
        // Only the root certificate that ends the PEM text is neither signed over nor used.
        assert!(accepted < 1000, "{accepted}");
    }
}

#[test]
fn flipped_event_log__should_be_refused_or_prove_the_same() {
    let setup = Setup::new(ReportKind::Td10);
    let proven = setup.proven();
    for log in flips(setup.log.as_bytes()) {
        if let Ok(other) = setup.prove(&setup.quote, &log, setup.manifest.as_bytes()) {
            assert_eq!(other, proven);
        }
    }
}

#[test]
fn flipped_manifest__should_never_keep_the_images_name() {
    // A manifest is named by its own hash, which the chain allows or not: a changed one is another image.
    let setup = Setup::new(ReportKind::Td10);
    let proven = setup.proven();
    for manifest in flips(setup.manifest.as_bytes()) {
        if let Ok(other) = setup.prove(&setup.quote, setup.log.as_bytes(), &manifest) {
            assert_ne!(other.image, proven.image);
            assert_eq!((other.td, other.identity), (proven.td.clone(), proven.identity.clone()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn changed_quote__should_be_refused_or_prove_the_same(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let setup = Setup::new(ReportKind::Td15);
        let mut quote = setup.quote.clone();
        for (at, value) in edits {
            let at = at.index(quote.len());
            quote[at] = value;
        }
        if let Ok(other) = setup.prove(&quote, setup.log.as_bytes(), setup.manifest.as_bytes()) {
            prop_assert_eq!(other, setup.proven());
        }
    }

    #[test]
    fn any_bytes__should_be_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Quote::parse(&bytes).is_err());
        prop_assert!(Collateral::parse(&bytes).is_err());
        prop_assert!(OsImageManifest::parse(&bytes).is_err());
        let _ = EventLog::parse(&bytes);
        prop_assert!(RootOfTrust::configured(&bytes).is_err());
    }
}

#[test]
fn checked_collateral__should_serve_many_quotes_and_still_expire() {
    let setup = Setup::new(ReportKind::Td10);
    assert!(setup.authenticate(&setup.quote).is_ok());
    let quote = Quote::parse(&setup.quote).unwrap();
    let expires = setup.collateral.dates().expires;
    assert!(setup.verifier.authenticate(&quote, &setup.collateral, expires).is_ok());
    let refusal = setup.verifier.authenticate(&quote, &setup.collateral, expires + 1).unwrap_err();
    assert_eq!(refusal.code.as_str(), "collateral-expired");
}

#[test]
fn marks__should_refuse_any_part_that_goes_back() {
    let setup = Setup::new(ReportKind::Td10);
    let seen = setup.collateral.marks();
    assert!(seen.check_not_before(&seen).is_ok());
    let fields: [fn(&mut kms_attestation::collateral::CollateralMarks); 6] = [
        |marks| marks.tcb_info_issued += 1,
        |marks| marks.tcb_info_number += 1,
        |marks| marks.qe_identity_issued += 1,
        |marks| marks.qe_identity_number += 1,
        |marks| marks.pck_crl_issued += 1,
        |marks| marks.root_crl_issued += 1,
    ];
    for advance in fields {
        let mut newer = seen;
        advance(&mut newer);
        assert!(newer.check_not_before(&seen).is_ok());
        assert_eq!(seen.check_not_before(&newer).unwrap_err().code.as_str(), "collateral-rolled-back");
        assert_eq!(seen.max(&newer), newer);
    }
}

/// The quote of a platform at a time, under collateral whose best level asks for a microcode SVN.
fn quote_under(platform: &mut Platform, required: u8, now: u64) -> AuthenticQuote {
    platform.reissue_collateral(now);
    platform.collateral.tcb_info.tcb_levels[0].tcb.sgx[0] = required;
    let host = platform.host(0).unwrap();
    let verifier = Verifier::new(RootOfTrust::configured(&platform.root_der()).unwrap());
    let collateral = Collateral::new(platform.collateral_of(host.fmspc()).unwrap());
    let collateral = verifier.check_collateral(collateral, now).unwrap();
    let quote = Quote::parse(&host.quote(&QuoteSpec::default()).unwrap()).unwrap();
    verifier.authenticate(&quote, &collateral, now).unwrap()
}

#[test]
fn grace__should_run_from_when_the_platform_was_seen_to_fall_out_of_date() {
    let mut platform = Platform::from_seed(7, NOW).unwrap();
    let mut history = TcbHistory::default();
    let policy = Policy { grace_secs: 10 * DAY, ..Policy::default() };
    assert_eq!(history.observe(&quote_under(&mut platform, 4, NOW), NOW), None);
    // The TCB level's own date is months ago, and does not count.
    for (day, accepted) in [(20, true), (30, true), (31, false)] {
        let now = NOW + day * DAY;
        let quote = quote_under(&mut platform, 5, now);
        let since = history.observe(&quote, now);
        assert_eq!(since, Some(NOW + 20 * DAY));
        assert_eq!(quote.appraise(&policy, now, since).is_ok(), accepted, "day {day}");
        // It survives a restart.
        history = serde_json::from_str(&serde_json::to_string(&history).unwrap()).unwrap();
    }
}

#[test]
fn grace__should_not_be_given_to_a_platform_that_never_was_up_to_date() {
    let mut platform = Platform::from_seed(7, NOW).unwrap();
    let mut history = TcbHistory::default();
    assert_eq!(history.observe(&quote_under(&mut platform, 5, NOW), NOW), None);
    // Nor to one that was, but came back with older firmware: that did not fall out of date by itself.
    history.observe(&quote_under(&mut platform, 4, NOW), NOW);
    platform.host_mut(0).unwrap().pck.cpu_svn[0] = 3;
    assert_eq!(history.observe(&quote_under(&mut platform, 4, NOW), NOW), None);
}
