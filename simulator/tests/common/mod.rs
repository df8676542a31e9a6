//! What the simulator's tests share: the production verifier, and where genuine data is.

#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;

use dcap_qvl::policy::QuoteClaims;
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteCollateralV3, QuotePolicy};
use kms_simulator::platform::Platform;
use kms_simulator::quote::QuoteSpec;

/// The time of the simulated platforms: 2027-01-15.
pub const NOW: u64 = 1_800_000_000;

/// Verifies as production does, with the platform's root, requiring `UpToDate`.
pub fn verify(
    platform: &Platform,
    quote: &[u8],
    collateral: QuoteCollateralV3,
) -> anyhow::Result<QuoteClaims> {
    let now = platform.now();
    let policy =
        QuotePolicy::strict(now).allow_dynamic_platform(true).allow_smt(true).allow_cached_keys(true);
    QuoteVerifier::new(platform.root_der()).verify_with_policy(quote, collateral, now, &policy)
}

/// Verifies a quote of the first host under the platform's collateral.
pub fn verify_first(platform: &Platform, spec: &QuoteSpec) -> anyhow::Result<QuoteClaims> {
    let host = platform.host(0)?;
    verify(platform, &host.quote(spec)?, platform.collateral_of(host.fmspc())?)
}

/// The folder of a genuine quote, or `None` where the fixtures are not at hand.
pub fn fixture(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let fixtures = std::env::var_os("KMS_FIXTURES").map_or(beside, PathBuf::from);
    let folder = fixtures.join("quotes").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no fixture {}", folder.display());
    None
}
