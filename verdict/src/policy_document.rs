//! The policy document: what a node decides by, in one canonical text that anyone can hash again, and read again.
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
//!   "log": { "quorum": 2, "stop_without_witnesses_s": 600, "witnesses": ["<name>+<key id>+<base64>", ...] },
//!   "decision": { "boot_phase": "booting", "platform": { "every key of the platform's policy": "null if it has none" } }
//! }
//! ```
//!
//! On a development chain `heads` is `{"mode":"dev"}`. `log` is there only where the node asks witnesses, and
//! `stop_without_witnesses_s` is null where it releases without them. Lists are sets, sorted by their text. In Python, the digest is
//! `sha256(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())`.
//!
//! What only says how the node is run (addresses, paths, limits, logging, timing, URLs but for their hosts) is not in it.
//! Written by the node, read by the auditor, who decides again by it. Threat: an operator who widens what is accepted
//! without anyone seeing it; a document that reads differently to different readers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use alloy::primitives::Address;
use kms_attestation::hash::sha256;
use kms_attestation::ids::RootKeyId;
use kms_attestation::refusal::Refusal;
use kms_chain::{Anchor, ChainDeny, Freshness, GrantAt, HeadTrust};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::policy::DecisionPolicy;

/// The version of the document.
pub const POLICY_VERSION: &str = "onchain-kms/policy/v1";
/// The largest document that is read, in bytes. One with every list filled has some 10 KiB.
pub const MAX_POLICY_BYTES: usize = 64 * 1024;
/// The largest number in a document: what every reader of JSON reads exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A refusal of a policy document.
pub type PolicyRefusal = Refusal<PolicyCode>;

kms_attestation::deny_codes! {
    /// Why bytes are no policy document.
    pub enum PolicyCode {
        TooLarge = "policy-too-large", Evidence,
            "The policy document is larger than any genuine one.",
            "Get the document from the node's operator again.";
        Malformed = "policy-malformed", Evidence,
            "The bytes are no policy document of version 1.",
            "Get the document from the node's operator again, or use a newer release.";
        NotCanonical = "policy-not-canonical", Evidence,
            "The policy document is not in its one canonical form.",
            "Get the document from the node's operator again; the node writes no other form.";
        Anchor = "policy-anchor-invalid", Evidence,
            "By this policy document any chain would be believed.",
            "Ask the node's operator: a node does not start with such a configuration.";
    }
}

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

/// What a node decides by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// What quotes are verified by.
    pub attestation: AttestationTerms,
    /// What certificates may say.
    pub certificates: CertificateTerms,
    /// Which contract is asked, and what is believed of its chain.
    pub chain: ChainTerms,
    /// The operator's part of a decision.
    pub decision: DecisionPolicy,
    /// What the node promises of its log. Absent where no witness is asked, as in every document before there was this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogTerms>,
    /// The form of the document.
    pub version: PolicyVersion,
}

/// The form of a policy document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PolicyVersion {
    /// [`POLICY_VERSION`].
    #[default]
    #[serde(rename = "onchain-kms/policy/v1")]
    V1,
}

/// What quotes are verified by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationTerms {
    /// Which of Intel's published requirements count.
    pub collateral_set: CollateralSet,
    /// The root of trust's key.
    pub root_key_id: RootKeyId,
}

/// Which of Intel's published requirements count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollateralSet {
    /// Those that Intel enforces.
    Standard,
    /// Those that it will enforce.
    Early,
    /// Those of a TCB evaluation data number.
    Number(u32),
}

impl fmt::Display for CollateralSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::Early => f.write_str("early"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl Serialize for CollateralSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CollateralSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "standard" => Ok(Self::Standard),
            "early" => Ok(Self::Early),
            number => number.parse().map(Self::Number).map_err(de::Error::custom),
        }
    }
}

/// What certificates may say, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateTerms {
    /// The life of an app's CA certificate, in seconds.
    pub app_ca_lifetime_s: u64,
    /// The longest life of an app's leaf certificate, in seconds.
    pub leaf_max_lifetime_s: u64,
    /// The life of the node's own certificate, in seconds.
    pub node_lifetime_s: u64,
    /// The suffix of the names in apps' certificates.
    pub zone: String,
}

/// Which contract is asked, and what is believed of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainTerms {
    /// The chain.
    pub chain_id: u64,
    /// The blocks on top of the latest head that counts.
    pub confirmations: u64,
    /// `DstackKms`.
    pub contract: Address,
    /// How old heads may be.
    pub freshness: Freshness,
    /// At which heads a grant must hold.
    pub grant_at: GrantAt,
    /// Who vouches for heads.
    pub heads: HeadTrust,
}

/// What the node promises of its log: who watches it, and what happens without them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTerms {
    /// How many of the witnesses must have cosigned a checkpoint.
    pub quorum: u64,
    /// How old the cosignatures of a quorum may be until releases stop, in seconds; none: they never stop for that.
    pub stop_without_witnesses_s: Option<u64>,
    /// The witnesses' keys in text, as C2SP `signed-note` has verifier keys.
    pub witnesses: BTreeSet<String>,
}

impl PolicyDocument {
    /// The canonical text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A document of these types always has a JSON form.
        serde_json::to_value(self).map(|value| canonical(&value)).unwrap_or_default()
    }

    /// SHA-256 of the canonical text.
    #[must_use]
    pub fn digest(&self) -> PolicyDigest {
        PolicyDigest::of(&self.to_json())
    }

    /// Reads a document. Refused with `policy-too-large`, `policy-malformed`, `policy-not-canonical` or
    /// `policy-anchor-invalid`.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyRefusal> {
        if bytes.len() > MAX_POLICY_BYTES {
            let expected = format!("at most {MAX_POLICY_BYTES} bytes");
            return Err(PolicyRefusal::new(PolicyCode::TooLarge, bytes.len(), expected));
        }
        let document: Self = serde_json::from_slice(bytes).map_err(|error| {
            PolicyRefusal::quoting(PolicyCode::Malformed, &error.to_string(), POLICY_VERSION)
        })?;
        document.check_numbers()?;
        document.check_log()?;
        if document.to_json().as_bytes() != bytes {
            let expected = "the bytes that the same document is written as";
            return Err(PolicyRefusal::new(PolicyCode::NotCanonical, "other bytes", expected));
        }
        document.anchor().map_err(|deny| PolicyRefusal::new(PolicyCode::Anchor, deny, "a trust anchor"))?;
        Ok(document)
    }

    /// What is believed of the chain. Never refused for a document that was parsed.
    pub fn anchor(&self) -> Result<Anchor, ChainDeny> {
        let ChainTerms { chain_id, contract, grant_at, freshness, heads, .. } = &self.chain;
        Anchor::new(*chain_id, *contract, heads.clone(), *grant_at, *freshness)
    }

    /// A quorum is a majority: of fewer, two could cosign two logs without one of them lying.
    fn check_log(&self) -> Result<(), PolicyRefusal> {
        let Some(LogTerms { quorum, witnesses, .. }) = &self.log else { return Ok(()) };
        let count = witnesses.len() as u64;
        if (count / 2 + 1..=count).contains(quorum) {
            return Ok(());
        }
        let (found, expected) = (format!("{quorum} of {count} witnesses"), "a majority of the witnesses");
        Err(PolicyRefusal::new(PolicyCode::Malformed, found, expected))
    }

    fn check_numbers(&self) -> Result<(), PolicyRefusal> {
        let (chain, certificates, platform) = (&self.chain, &self.certificates, &self.decision.platform);
        let numbers = [
            chain.chain_id,
            chain.confirmations,
            chain.freshness.latest_max_age,
            chain.freshness.finalized_max_age,
            chain.freshness.max_future,
            certificates.app_ca_lifetime_s,
            certificates.leaf_max_lifetime_s,
            certificates.node_lifetime_s,
            platform.max_collateral_age_secs,
            platform.max_root_crl_age_secs,
            platform.grace_secs,
            self.log.as_ref().and_then(|log| log.stop_without_witnesses_s).unwrap_or_default(),
        ];
        match numbers.into_iter().find(|number| *number > MAX_NUMBER) {
            None => Ok(()),
            Some(number) => {
                let expected = format!("at most {MAX_NUMBER}");
                Err(PolicyRefusal::new(PolicyCode::Malformed, number, expected))
            }
        }
    }
}

/// JSON with sorted keys and sorted lists. Written here, because whether `serde_json` sorts is a feature that any crate
/// may turn off.
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
        Value::Array(items) => {
            let mut sorted: Vec<&Value> = items.iter().collect();
            sorted.sort_by_key(|item| item.as_str());
            sorted.dedup();
            format!("[{}]", sorted.into_iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> PolicyDocument {
        PolicyDocument {
            attestation: AttestationTerms {
                collateral_set: CollateralSet::Number(17),
                root_key_id: RootKeyId([7; 48]),
            },
            certificates: CertificateTerms {
                app_ca_lifetime_s: 7_776_000,
                leaf_max_lifetime_s: 86_400,
                node_lifetime_s: 3_600,
                zone: "kms.internal".to_owned(),
            },
            chain: ChainTerms {
                chain_id: 1,
                confirmations: 1,
                contract: Address::repeat_byte(0xab),
                freshness: Freshness::default(),
                grant_at: GrantAt::LatestAndFinalized,
                heads: HeadTrust::Quorum {
                    hosts: BTreeSet::from(["b.example".to_owned(), "a.example".to_owned()]),
                    threshold: 2,
                },
            },
            decision: DecisionPolicy::default(),
            log: None,
            version: PolicyVersion::V1,
        }
    }

    fn watched(stop: Option<u64>) -> PolicyDocument {
        let witnesses = ["w2+00000002+BA==", "w1+00000001+BA=="].map(str::to_owned).into();
        PolicyDocument {
            log: Some(LogTerms { quorum: 2, stop_without_witnesses_s: stop, witnesses }),
            ..document()
        }
    }

    fn code(text: &str) -> PolicyCode {
        PolicyDocument::parse(text.as_bytes()).unwrap_err().code
    }

    #[test]
    fn canonical__should_sort_keys_at_every_level_and_lists_as_sets() {
        let value =
            serde_json::from_str(r#"{ "b": [ { "d": 1, "c": null } ], "a": "x\"\n", "e": ["z", "y", "z"] }"#);
        assert_eq!(canonical(&value.unwrap()), r#"{"a":"x\"\n","b":[{"c":null,"d":1}],"e":["y","z"]}"#);
    }

    #[test]
    fn parse__should_give_back_what_was_written() {
        let dev = ChainTerms { chain_id: 31337, heads: HeadTrust::Dev, ..document().chain };
        let all =
            [document(), PolicyDocument { chain: dev, ..document() }, watched(None), watched(Some(600))];
        for document in all {
            let text = document.to_json();
            let read = PolicyDocument::parse(text.as_bytes()).unwrap();
            assert_eq!((read.to_json(), read.digest()), (text.clone(), PolicyDigest::of(&text)));
            assert_eq!(read.anchor().unwrap().digest(), document.anchor().unwrap().digest());
            assert_eq!(read, document);
        }
    }

    #[test]
    fn document__should_be_the_same_as_before_there_were_witnesses_where_there_are_none() {
        let text = document().to_json();
        assert!(!text.contains("\"log\""), "{text}");
        let promised = r#""log":{"quorum":2,"stop_without_witnesses_s":null,"witnesses":["w1+00000001+BA==","w2+00000002+BA=="]}"#;
        assert!(watched(None).to_json().contains(promised), "{}", watched(None).to_json());
        // No witness is an absent promise, and nothing else is.
        let null = text.replacen("\"version\"", "\"log\":null,\"version\"", 1);
        assert_eq!(code(&null), PolicyCode::NotCanonical);
        for quorum in [0, 1, 3] {
            let log = watched(None).log.map(|log| LogTerms { quorum, ..log });
            assert_eq!(
                code(&PolicyDocument { log, ..document() }.to_json()),
                PolicyCode::Malformed,
                "{quorum}"
            );
        }
        assert_eq!(code(&watched(Some(MAX_NUMBER + 1)).to_json()), PolicyCode::Malformed);
    }

    #[test]
    fn parse__should_refuse_what_the_node_does_not_write() {
        let text = document().to_json();
        let with = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        };
        for (from, to) in [
            ("{\"attestation\"", "{ \"attestation\""),
            ("\"confirmations\":1", "\"confirmations\":1,\"confirmations_\":1"),
            ("\"zone\":", "\"extra\":1,\"zone\":"),
            ("policy/v1", "policy/v2"),
            ("\"chain_id\":1", "\"chain_id\":1.0"),
            ("\"chain_id\":1", "\"chain_id\":9007199254740992"),
            ("\"threshold\":2", "\"threshold\":-2"),
        ] {
            let code = code(&with(from, to));
            assert!(matches!(code, PolicyCode::Malformed | PolicyCode::NotCanonical), "{to}: {code}");
        }
        for (from, to) in [
            ("[\"a.example\",\"b.example\"]", "[\"b.example\",\"a.example\"]"),
            ("\"17\"", "\"017\""),
            ("\"boot_phase\":\"booting\",", ""),
            ("\"0xabab", "\"0xABab"),
        ] {
            assert_eq!(code(&with(from, to)), PolicyCode::NotCanonical, "{to}");
        }
        assert_eq!(code(&with("\"threshold\":2", "\"threshold\":1")), PolicyCode::Anchor);
        assert_eq!(code(&" ".repeat(MAX_POLICY_BYTES + 1)), PolicyCode::TooLarge);
        assert_eq!(code(""), PolicyCode::Malformed);
    }
}
