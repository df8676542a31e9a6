//! `[policy]`: the decision policy of `kms-verdict`, in the very keys of its type.
//!
//! The keys are those that the type itself writes, so that there is no second list of them. Each is judged by the type's
//! own reader, alone, so that all faults are found. Lists are sets: they are kept sorted, without repetition, so that
//! the order in a file does not change the policy digest.

use kms_attestation::Policy;
use kms_verdict::DecisionPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fault::FaultCode;
use super::reader::Section;

/// The section of the platform's policy.
const PLATFORM: &str = "platform";

pub(super) fn read(section: &mut Section<'_>) -> Option<DecisionPolicy> {
    let mut policy = read_keys::<DecisionPolicy>(section, PLATFORM);
    let platform = section.section(PLATFORM, |section| {
        let platform = read_keys::<Policy>(section, "");
        let policy: Policy = serde_json::from_value(Value::Object(platform)).ok()?;
        check(section, &policy);
        Some(normal(policy))
    })?;
    policy.insert(PLATFORM.to_owned(), serde_json::to_value(platform).ok()?);
    serde_json::from_value(Value::Object(policy)).ok()
}

/// Reads every key that the type has, but for one that is a section of its own.
fn read_keys<T: Default + Serialize + DeserializeOwned>(
    section: &mut Section<'_>,
    except: &str,
) -> Map<String, Value> {
    let defaults = match serde_json::to_value(T::default()) {
        Ok(Value::Object(defaults)) => defaults,
        _ => Map::new(),
    };
    let read = |(key, default): (String, Value)| {
        let value = section.json(&key, &default, |value| accepts::<T>(&key, value));
        (key, value)
    };
    defaults.into_iter().filter(|(key, _)| key != except).map(read).collect()
}

/// Whether the type takes this value for this key.
fn accepts<T: DeserializeOwned>(key: &str, value: &Value) -> Result<(), String> {
    let one = Map::from_iter([(key.to_owned(), value.clone())]);
    serde_json::from_value::<T>(Value::Object(one)).map(drop).map_err(|error| error.to_string())
}

fn check(section: &mut Section<'_>, policy: &Policy) {
    let revoked = |status: &&_| status_name(*status) == "Revoked";
    if policy.accepted_tcb_statuses.iter().any(|status| revoked(&status)) {
        let expected = "other statuses: no policy accepts a revoked platform";
        section.fault(FaultCode::InvalidValue, "accepted_tcb_statuses", "Revoked", expected);
    }
    if policy.accepted_tcb_statuses.is_empty() {
        section.fault(
            FaultCode::InvalidValue,
            "accepted_tcb_statuses",
            "an empty list",
            "at least one status",
        );
    }
    if policy.allowed_fmspcs.as_ref().is_some_and(Vec::is_empty) {
        let expected = "at least one; without this key any kind of platform is accepted";
        section.fault(FaultCode::InvalidValue, "allowed_fmspcs", "an empty list", expected);
    }
}

fn status_name(status: &impl ToString) -> String {
    status.to_string()
}

/// The policy with its lists as sets.
fn normal(mut policy: Policy) -> Policy {
    policy.accepted_tcb_statuses.sort_by_key(status_name);
    policy.accepted_tcb_statuses.dedup();
    for advisory in &mut policy.denied_advisories {
        advisory.make_ascii_uppercase();
    }
    policy.denied_advisories.sort();
    policy.denied_advisories.dedup();
    if let Some(fmspcs) = &mut policy.allowed_fmspcs {
        fmspcs.sort();
        fmspcs.dedup();
    }
    policy
}
