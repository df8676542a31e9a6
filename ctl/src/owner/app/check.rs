//! `kmsctl app check`: whether an app may boot some code on some device, in one HTTP request.
//!
//! It believes the provider, which a node never does: it is for people, before they deploy.

use alloy::primitives::{Address, B256, Bytes, U64};
use kms_chain::bindings::{DstackApp, DstackKms};
use kms_chain::rpc::RpcCall;
use serde::Serialize;
use serde_json::json;

use super::args::CheckArgs;
use crate::owner::error::{Fault, OwnerError};
use crate::owner::proposal::checksummed;
use crate::owner::provider::{self, At, Provider};
use crate::owner::report::line;
use crate::style::{Style, Tone};

/// The JSON output of `app check`.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is an answer of the chain, printed under its name")]
pub(super) struct CheckReport {
    pub(super) allowed: bool,
    chain_id: u64,
    block_number: u64,
    #[serde(serialize_with = "checksummed")]
    app: Address,
    #[serde(serialize_with = "checksummed")]
    kms: Address,
    compose_hash: B256,
    device_id: B256,
    registered: bool,
    compose_hash_allowed: bool,
    device_allowed: bool,
    any_device_allowed: bool,
    /// Null for a contract of an older version, which has no such rule.
    requires_tcb_up_to_date: Option<bool>,
    /// Commands that would allow what is not allowed.
    fixes: Vec<String>,
}

/// Asks, and judges.
pub(super) fn check(provider: &Provider, args: &CheckArgs) -> Result<CheckReport, OwnerError> {
    let (compose_hash, device_id) = (B256::from(args.compose_hash.0), B256::from(args.device_id.0));
    let (app, at) = (args.app, At::Latest);
    let mut answers = provider.ask(&[
        provider::chain_id(),
        RpcCall { method: "eth_blockNumber", params: json!([]) },
        provider::code(app, at),
        provider::view(args.kms, &DstackKms::registeredAppsCall { appId: app }, at),
        provider::view(app, &DstackApp::allowedComposeHashesCall { composeHash: compose_hash }, at),
        provider::view(app, &DstackApp::allowedDeviceIdsCall { deviceId: device_id }, at),
        provider::view(app, &DstackApp::allowAnyDeviceCall {}, at),
        provider::view(app, &DstackApp::requireTcbUpToDateCall {}, at),
    ])?;
    let chain_id = provider.expect_chain(&mut answers)?;
    let block_number = answers.value::<U64>("eth_blockNumber")?.to();
    if answers.value::<Bytes>("eth_getCode")?.is_empty() {
        let found = format!("no code at {app} on chain {chain_id}");
        return Err(OwnerError::new(Fault::NotAContract, found, "an app's contract"));
    }
    let registered = answers.view::<DstackKms::registeredAppsCall>()?;
    let compose_hash_allowed = answers.view::<DstackApp::allowedComposeHashesCall>()?;
    let device_allowed = answers.view::<DstackApp::allowedDeviceIdsCall>()?;
    let any_device_allowed = answers.view::<DstackApp::allowAnyDeviceCall>()?;
    let report = CheckReport {
        allowed: registered && compose_hash_allowed && (device_allowed || any_device_allowed),
        chain_id,
        block_number,
        app,
        kms: args.kms,
        compose_hash,
        device_id,
        registered,
        compose_hash_allowed,
        device_allowed,
        any_device_allowed,
        requires_tcb_up_to_date: answers.view_if_any::<DstackApp::requireTcbUpToDateCall>()?,
        fixes: Vec::new(),
    };
    Ok(CheckReport { fixes: report.missing(), ..report })
}

impl CheckReport {
    fn missing(&self) -> Vec<String> {
        let (app, kms) = (self.app, self.kms);
        let fixes = [
            (self.registered, format!("kmsctl kms register-app --kms {kms} {app}")),
            (
                self.compose_hash_allowed,
                format!("kmsctl app add-compose-hash --app {app} {}", self.compose_hash),
            ),
            (
                self.device_allowed || self.any_device_allowed,
                format!("kmsctl app add-device --app {app} {}", self.device_id),
            ),
        ];
        fixes.into_iter().filter(|(fine, _)| !fine).map(|(_, fix)| fix).collect()
    }

    /// The report for people. Commands stand on lines of their own and whole, to be copied.
    pub(super) fn text(&self, style: Style) -> String {
        let (tone, word) = if self.allowed { (Tone::Good, "ALLOWED") } else { (Tone::Bad, "NOT ALLOWED") };
        let headline = style.paint(tone, word);
        let device = match (self.device_allowed, self.any_device_allowed) {
            (_, true) => "any device is allowed",
            (true, false) => "allowed",
            (false, false) => "NOT allowed",
        };
        let tcb = match self.requires_tcb_up_to_date {
            Some(true) => "must be UpToDate",
            Some(false) => "left to the KMS",
            None => "no such rule: a contract of an older version",
        };
        let yes = |fine: bool, no| if fine { "allowed" } else { no };
        let mut text = format!("{headline} at block {} of chain {}\n", self.block_number, self.chain_id);
        text += &line("app", &self.app.to_string());
        text += &line("registered", if self.registered { "yes" } else { "NO" });
        text += &line("code", yes(self.compose_hash_allowed, "NOT allowed"));
        text += &line("device", device);
        text += &line("platform", tcb);
        text.extend(self.fixes.iter().map(|fix| ["\nto allow it\n", fix, "\n"].concat()));
        text
    }
}
