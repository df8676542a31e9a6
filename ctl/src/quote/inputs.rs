//! What a quote is judged by, read from the files that the command line names.
//!
//! Here only what the person at the keyboard is answerable for can fail: files that are not there, a policy or a
//! root that is none. Evidence is taken as bytes; what is wrong with it is for the examination to find.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kms_attestation::policy::Policy;
use kms_attestation::root::RootOfTrust;
use serde_json::{Map, Value};

use crate::cli::EvidenceArgs;
use crate::error::CtlError;
use crate::input;

/// A quote and what it is judged by, but for the collateral.
pub(crate) struct Inputs {
    pub(crate) quote: Vec<u8>,
    pub(crate) event_log: Option<Vec<u8>>,
    pub(crate) root: RootOfTrust,
    pub(crate) policy: Policy,
    /// Unix seconds.
    pub(crate) at: u64,
}

impl Inputs {
    /// Reads all that the arguments name.
    pub(crate) fn load(args: &EvidenceArgs) -> Result<Self, CtlError> {
        Ok(Self {
            quote: input::bytes_or_hex(input::read(&args.quote)?),
            event_log: args.event_log.as_deref().map(input::read).transpose()?,
            root: root(args)?,
            policy: args.policy.as_deref().map_or_else(|| Ok(Policy::default()), read_policy)?,
            at: args.at.unwrap_or_else(now),
        })
    }
}

/// The root of trust: Intel's, or the one that the arguments name.
pub(crate) fn root(args: &EvidenceArgs) -> Result<RootOfTrust, CtlError> {
    let Some(path) = &args.root else { return Ok(RootOfTrust::intel()) };
    let root = RootOfTrust::configured(&input::read(path)?);
    root.map_err(|source| CtlError::Root { path: path.clone(), source })
}

fn read_policy(path: &Path) -> Result<Policy, CtlError> {
    let content = input::read(path)?;
    // serde also reads a struct from an array of its values, which is no form that a person means.
    let object = serde_json::from_slice::<Map<String, Value>>(&content);
    let policy = object.and_then(|_| serde_json::from_slice(&content));
    policy.map_err(|source| CtlError::Policy { path: path.to_owned(), source })
}

/// The system's clock. One before 1970 gives 0, at which no collateral is valid yet.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
