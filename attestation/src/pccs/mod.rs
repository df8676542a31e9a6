//! Fetching and keeping Intel's collateral. The only part of this crate that talks to the network or reads a clock.
//!
//! A PCCS is hostile: it may refuse, lag, stall, flood and serve old files. What it cannot do is make an
//! out-of-date platform look current, because every signature is checked under the root of trust and nothing
//! older than what was seen before is accepted.
mod cache;
mod client;
mod clock;
mod early;
mod fault;
mod files;
mod flight;
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
pub use key::CollateralKey;
pub use limits::FetchLimits;
pub use pack::{Pack, PackError};
pub use policy::CachePolicy;
pub use source::{ConfigError, Source, SourceConfig, SourceKind};
pub use state::CacheMetrics;
pub use store::{CollateralStore, StoreNote, StoreProblem};
pub use wire::{Endpoint, EvaluationSet};
