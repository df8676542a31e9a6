//! What a TDX quote proves: hostile bytes become a verified boot identity, or a typed refusal.
//!
//! ```text
//!  Quote::parse ───────────┐                                        Policy, now, history
//!  (form)                  ▼                                             ▼
//!  Collateral ─▶ CheckedCollateral ─▶ Verifier::authenticate ─▶ AuthenticQuote::appraise ─▶ VerifiedQuote
//!                (signatures)         (genuine, and in what state)                              │
//!  EventLog::parse ────────────── replay to RTMR3 ───────────────────────▶ BootIdentity ◀───────┘
//! ```
//!
//! Who calls this: the node before it decides, the guest's client before it trusts a node, the auditor who replays
//! decisions, `kmsctl`. What they hand in may come from anyone; what they get out can be relied on or is refused with a
//! [`DenyReason`].
//!
//! Everything is pure except two modules behind features: [`pccs`] fetches and keeps collateral, [`platform`] obtains
//! quotes inside a guest. Only these read a clock, the network or a disk. Elsewhere time is an argument, in Unix seconds,
//! so that the same bytes give the same answer on an auditor's laptop years later.
//!
//! ```
//! use kms_attestation::{
//!     BootIdentity, Collateral, DenyReason, EventLog, Policy, Quote, RootOfTrust, Verifier,
//! };
//!
//! /// Who sent this quote and event log?
//! fn who(quote: &[u8], collateral: &[u8], log: &[u8], now: u64) -> Result<BootIdentity, DenyReason> {
//!     let verifier = Verifier::new(RootOfTrust::intel());
//!     let collateral = verifier.check_collateral(Collateral::parse(collateral)?, now)?; // once, for many quotes
//!     let quote = verifier.authenticate(&Quote::parse(quote)?, &collateral, now)?;
//!     let quote = quote.appraise(&Policy::default(), now, None)?;
//!     BootIdentity::extract(&quote, &EventLog::parse(log)?)
//! }
//! # assert_eq!(who(b"", b"{}", b"", 0).unwrap_err().code.as_str(), "collateral-malformed");
//! ```
#![cfg_attr(test, allow(non_snake_case))]

pub mod binding;
pub mod collateral;
pub mod compose;
pub mod deny;
pub mod event_log;
pub mod hash;
pub mod history;
pub mod identity;
pub mod ids;
pub mod image;
mod json;
mod memo;
pub mod mr_config;
#[cfg(feature = "pccs")]
pub mod pccs;
mod pki;
#[cfg(feature = "platform")]
pub mod platform;
mod platforms;
pub mod policy;
pub mod quote;
pub mod ratls;
pub mod refusal;
pub mod root;
pub mod tcb;
pub mod td;
pub mod time;
pub mod verify;

pub use binding::{Role, SessionBinding, bound_quote};
pub use collateral::{CheckedCollateral, Collateral, CollateralMarks, PckCa};
pub use deny::{DenyClass, DenyCode, DenyReason};
pub use event_log::EventLog;
pub use history::TcbHistory;
pub use identity::{BootIdentity, BootPhase};
pub use image::OsImageManifest;
pub use policy::Policy;
pub use quote::Quote;
pub use root::RootOfTrust;
pub use verify::{AuthenticQuote, VerifiedQuote, Verifier};
