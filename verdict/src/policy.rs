//! What a node's operator may decide, beside what the contracts decide. Unknown keys are errors.

use kms_attestation::Policy;
use serde::{Deserialize, Serialize};

/// The version of the rules: those in this crate and below it, and what replay demands of what was issued. A record names
/// it: newer software must reproduce what an older version decided, or say which rule changed.
pub const RULES_VERSION: u32 = 2;

/// The operator's part of a decision. Its canonical form is hashed into every record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionPolicy {
    /// Which platforms are accepted.
    pub platform: Policy,
    /// Whether keys are released to a guest that has finished booting, and whose application may have extended the event
    /// log since. Default: never.
    pub boot_phase: PhaseRule,
}

/// Up to when a guest may ask for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseRule {
    /// Only before its log holds `system-ready`.
    #[default]
    Booting,
    /// At any time.
    Any,
}
