//! The policy document and its digest: what a node decides by, in one canonical text that anyone can hash again.
//!
//! The document is JSON (RFC 8785): keys sorted, no white space, whole numbers in decimal, UTF-8. Its SHA-256 is the
//! policy digest of the node's info and of every record. Hexadecimal is in lower case; addresses begin with `0x`.
//!
//! ```json
//! {
//!   "version": "onchain-kms/policy/v1",
//!   "attestation": { "collateral_set": "standard", "root_key_id": "<48 bytes>" },
//!   "certificates": { "app_ca_lifetime_s": 7776000, "leaf_max_lifetime_s": 86400, "node_lifetime_s": 3600,
//!                     "zone": "kms.internal" },
//!   "chain": { "chain_id": 1, "confirmations": 1, "contract": "0x...", "grant_at": "latest",
//!              "freshness": { "finalized_max_age": 1800, "latest_max_age": 90, "max_future": 15 },
//!              "heads": { "mode": "quorum", "hosts": ["a.example", "b.example"], "threshold": 2 } },
//!   "decision": { "boot_phase": "booting", "platform": { "every key of the platform's policy": "null if it has none" } }
//! }
//! ```
//!
//! On a development chain `heads` is `{"mode":"dev"}`. Lists are sets, sorted by their text. In Python, the digest is
//! `sha256(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())`.
//!
//! What only says how the node is run (addresses, paths, limits, logging, timing, URLs but for their hosts) is not in it.
//! Threat: an operator who widens what is accepted without anyone seeing it.

use std::collections::BTreeMap;
use std::fmt;

use kms_attestation::hash::sha256;
use kms_attestation::pccs::EvaluationSet;
use kms_chain::HeadTrust;
use kms_verdict::DecisionPolicy;
use serde_json::{Value, json};

use super::attestation::Attestation;
use super::certificates::Certificates;
use super::chain::Chain;

/// The version of the document.
pub const POLICY_VERSION: &str = "onchain-kms/policy/v1";

/// SHA-256 of the policy document.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyDigest(pub [u8; 32]);

impl PolicyDigest {
    /// The digest of a document.
    #[must_use]
    pub fn of(document: &str) -> Self {
        Self(sha256(&[document.as_bytes()]))
    }
}

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyDigest({self})")
    }
}

/// The document of a configuration's parts.
pub(super) fn document(
    decision: &DecisionPolicy,
    attestation: &Attestation,
    chain: &Chain,
    certificates: &Certificates,
) -> String {
    canonical(&json!({
        "version": POLICY_VERSION,
        "attestation": {
            "collateral_set": match attestation.collateral_set {
                EvaluationSet::Standard => "standard".to_owned(),
                EvaluationSet::Early => "early".to_owned(),
                EvaluationSet::Number(number) => number.to_string(),
            },
            "root_key_id": attestation.root_key_id,
        },
        "certificates": {
            "app_ca_lifetime_s": certificates.app_ca_lifetime.secs(),
            "leaf_max_lifetime_s": certificates.leaf_max_lifetime.secs(),
            "node_lifetime_s": certificates.node_lifetime.secs(),
            "zone": certificates.zone.as_str(),
        },
        "chain": {
            "chain_id": chain.chain_id,
            "confirmations": chain.confirmations,
            "contract": format!("{:#x}", chain.contract),
            "freshness": chain.freshness,
            "grant_at": chain.grant_at,
            "heads": heads(&chain.providers.trust()),
        },
        "decision": decision,
    }))
}

fn heads(trust: &HeadTrust) -> Value {
    match trust {
        HeadTrust::Dev => json!({ "mode": "dev" }),
        HeadTrust::Quorum { hosts, threshold } => {
            json!({ "mode": "quorum", "hosts": hosts, "threshold": threshold })
        }
    }
}

/// JSON with sorted keys. Written here, because whether `serde_json` sorts is a feature that any crate may turn off.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            let members = sorted.into_iter().map(|(key, value)| {
                let key = Value::String(key.clone());
                format!("{key}:{}", canonical(value))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical__should_sort_keys_at_every_level() {
        let value = serde_json::from_str(r#"{ "b": [ { "d": 1, "c": null } ], "a": "x\"\n" }"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":"x\"\n","b":[{"c":null,"d":1}]}"#);
    }
}
