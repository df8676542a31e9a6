//! The one pure function that decides whether keys are released.
//!
//! ```text
//! BootEvidence, collateral, now ─▶ GenuineQuote ─▶ AuthenticApp ─▶ AttestedApp ─▶ Verdict
//!                                  made for this    who asks, from   on accepted     │ ▲
//!                                  session          log and image    hardware        │ └ witness
//!                                                                                    └▶ question, asked of the chain
//! ```
//!
//! The node walks these steps, because between them it looks into its memory and asks the chain. The auditor calls
//! [`Judge::decide`], which takes the same steps with what the record holds. No I/O, no clock, no randomness: time is
//! an argument, and the same bytes give the same verdict years later.
//!
//! Called by `kms-node` before a release and by `kmsctl audit` after it. Threats: evidence of another session, another
//! boot, another time, presented together as if it belonged together.
#![cfg_attr(test, allow(non_snake_case))]

pub mod evidence;
pub mod judge;
pub mod policy;
pub mod policy_document;
pub mod reason;
pub mod verdict;

pub use evidence::{BootEvidence, Circumstances, NodeEvidence, SessionQuote};
pub use judge::{AttestedApp, AttestedNode, AuthenticApp, GenuineQuote, Judge, Unattested};
pub use policy::{DecisionPolicy, RULES_VERSION};
pub use policy_document::{PolicyDigest, PolicyDocument};
pub use reason::{Code, Denial};
pub use verdict::{Allowed, Verdict};
