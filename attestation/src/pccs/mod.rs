//! Fetching and keeping Intel's collateral. The only part of this crate that reads the network, a clock or the disk
//! for verification.
//!
//! A PCCS is hostile: it may refuse, lag, stall, flood and serve old files. It cannot make an out-of-date platform
//! look current, because every signature is checked under the root of trust, nothing expired is served, and nothing
//! older than what was seen before is accepted. What remains to it is to serve nothing newer than it did before:
//! that ends a week before the collateral expires where another source has newer, when it expires otherwise, or
//! sooner when policy bounds its age.
//!
//! ```text
//! CollateralCache ── asks ──> CollateralClient ── asks in order ──> Source: PCCS, Intel's service, offline Pack
//!   |  one fetch per platform, refresh ahead of expiry,               every answer: wire::assemble (form)
//!   |  marks against rollback, lower bound of the time                -> CheckedCollateral::check (signatures, dates)
//!   └─ keeps ──> CollateralStore: a copy on disk, believed no more than a PCCS
//! EarlyCollateral -> Forecast: what Intel will demand next; it cannot decide about a quote
//! ```
//!
//! "Collateral unavailable" ([`CollateralUnavailable`]) and "quote bad" ([`DenyReason`](crate::deny::DenyReason)) are
//! different types, without a conversion between them.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use kms_attestation::pccs::{
//!     CachePolicy, CollateralCache, CollateralClient, CollateralStore, FetchLimits, Source, SourceConfig, SystemClock,
//! };
//! use kms_attestation::quote::Quote;
//! use kms_attestation::root::RootOfTrust;
//! use kms_attestation::verify::Verifier;
//!
//! # async fn run(quote: Quote) -> Result<(), Box<dyn std::error::Error>> {
//! let pccs = Source::http(&SourceConfig::pccs("https://pccs.example:8081"))?;
//! let sources = vec![pccs, Source::http(&SourceConfig::intel())?];
//! let root = Arc::new(RootOfTrust::intel());
//! let client = CollateralClient::new(root, sources, &[], FetchLimits::default())?;
//! let store = Some(CollateralStore::new("collateral"));
//! let cache = CollateralCache::open(client, CachePolicy::default(), store, Box::new(SystemClock));
//!
//! let now = cache.now(); // never before what Intel's signatures prove to be over
//! let collateral = cache.get(quote.platform().fmspc, quote.platform().ca, now).await?;
//! let authentic = Verifier::new(RootOfTrust::intel()).authenticate(&quote, &collateral, now)?;
//! # Ok(()) }
//! ```

mod cache;
mod client;
mod clock;
mod early;
mod fault;
mod files;
mod flight;
pub mod forecast;
mod http;
mod key;
pub mod limits;
mod marks;
pub mod pack;
pub mod policy;
mod source;
mod state;
mod store;
pub mod wire;

pub use cache::{CollateralCache, ImportReport};
pub use client::{Ask, CollateralClient, Fetched};
pub use clock::{Clock, SystemClock};
pub use early::EarlyCollateral;
pub use fault::{CollateralUnavailable, Fault, SourceFault, SourceName};
pub use forecast::{Enforcement, Forecast};
pub use key::CollateralKey;
pub use limits::FetchLimits;
pub use pack::{Pack, PackError};
pub use policy::CachePolicy;
pub use source::{ConfigError, INTEL_PCS_URL, Source, SourceConfig, SourceKind};
pub use state::CacheMetrics;
pub use store::{CollateralStore, StoreNote, StoreProblem};
pub use wire::{Endpoint, EvaluationSet};
