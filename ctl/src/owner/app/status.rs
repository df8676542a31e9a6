//! `kmsctl app status`: who owns an app and what it allows, with the transactions that made it so.

use alloy::primitives::Bytes;
use alloy::sol_types::{SolCall, SolEvent};
use kms_chain::bindings::{DstackApp, DstackKms};
use serde::Serialize;

use super::args::StatusArgs;
use crate::owner::error::OwnerError;
use crate::owner::examine::{Base, Examination};
use crate::owner::history::{Entry, List};
use crate::owner::provider::{self, Provider};
use crate::owner::report::line;
use crate::owner::status_text::{base_text, list_text};
use crate::style::Style;

/// What the contract reverts with once its code is fixed.
const UPGRADES_DISABLED: &str = "\"Upgrades are permanently disabled\"";

/// Allowed code.
const COMPOSE_HASHES: List = List {
    name: "compose hash",
    added: DstackApp::ComposeHashAdded::SIGNATURE_HASH,
    removed: Some(DstackApp::ComposeHashRemoved::SIGNATURE_HASH),
    getter: DstackApp::allowedComposeHashesCall::SELECTOR,
};

/// Allowed devices.
const DEVICES: List = List {
    name: "device",
    added: DstackApp::DeviceAdded::SIGNATURE_HASH,
    removed: Some(DstackApp::DeviceRemoved::SIGNATURE_HASH),
    getter: DstackApp::allowedDeviceIdsCall::SELECTOR,
};

/// The JSON output of `app status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusReport {
    #[serde(flatten)]
    base: Base,
    upgrades_disabled: bool,
    /// Null where no KMS contract was named.
    registered: Option<bool>,
    allow_any_device: bool,
    /// Null for a contract of an older version, which has no such rule.
    require_tcb_up_to_date: Option<bool>,
    compose_hashes: Vec<Entry>,
    devices: Vec<Entry>,
}

/// Reads it all as of one block; a contradiction is an error.
pub(super) fn status(provider: &Provider, args: &StatusArgs) -> Result<StatusReport, OwnerError> {
    let mut examination = Examination::of(provider, args.app, args.from_block)?;
    let at = examination.at();
    let mut calls = vec![
        provider::view(args.app, &DstackApp::allowAnyDeviceCall {}, at),
        provider::view(args.app, &DstackApp::requireTcbUpToDateCall {}, at),
    ];
    let registered = |kms| provider::view(kms, &DstackKms::registeredAppsCall { appId: args.app }, at);
    calls.extend(args.kms.map(registered));
    let mut answers = provider.ask(&calls)?;
    let allow_any_device = answers.view::<DstackApp::allowAnyDeviceCall>()?;
    let require_tcb_up_to_date = answers.view_if_any::<DstackApp::requireTcbUpToDateCall>()?;
    let registered = args.kms.map(|_| answers.view::<DstackKms::registeredAppsCall>()).transpose()?;

    let any = examination.last::<DstackApp::AllowAnyDeviceSet>().map(|event| event.allowAny);
    examination.compare("any device", any, &allow_any_device);
    if let Some(rule) = require_tcb_up_to_date {
        let event = examination.last::<DstackApp::RequireTcbUpToDateSet>();
        examination.compare("the TCB rule", event.map(|event| event.requireUpToDate), &rule);
    }
    let upgrades_disabled = upgrades_disabled(&examination)?;
    let event = examination.last::<DstackApp::UpgradesDisabled>().map(|_| true);
    examination.compare("upgrades disabled", event, &upgrades_disabled);
    let compose_hashes = examination.list(&COMPOSE_HASHES)?.entries;
    let devices = examination.list(&DEVICES)?.entries;
    let base = examination.conclude()?;
    Ok(StatusReport {
        base,
        upgrades_disabled,
        registered,
        allow_any_device,
        require_tcb_up_to_date,
        compose_hashes,
        devices,
    })
}

/// There is no getter for it: the owner's upgrade to the code that is there already is tried, and says why not.
fn upgrades_disabled(examination: &Examination<'_>) -> Result<bool, OwnerError> {
    let Some(implementation) = examination.base.implementation else { return Ok(false) };
    let upgrade = DstackApp::upgradeToAndCallCall { newImplementation: implementation, data: Bytes::new() };
    let (owner, contract) = (examination.base.owner, examination.base.contract);
    let call = provider::simulate_at(owner, contract, &upgrade.abi_encode().into(), examination.at());
    let returned = examination.provider.ask(&[call])?.returned()?;
    Ok(returned.is_err_and(|revert| revert.reason() == UPGRADES_DISABLED))
}

impl StatusReport {
    /// The report for people.
    pub(super) fn text(&self, style: Style) -> String {
        let mut text = base_text(&self.base, style);
        text += &line("upgrades", if self.upgrades_disabled { "disabled for ever" } else { "by the owner" });
        text += &line(
            "registered",
            match self.registered {
                Some(true) => "yes",
                Some(false) => "NO: kms register-app",
                None => "not asked (--kms)",
            },
        );
        text += &line("any device", if self.allow_any_device { "ALLOWED" } else { "no: only those below" });
        text += &line(
            "platform",
            match self.require_tcb_up_to_date {
                Some(true) => "must be UpToDate",
                Some(false) => "left to the KMS",
                None => "no such rule: a contract of an older version",
            },
        );
        text += &list_text("Compose hashes", &self.compose_hashes, style);
        text + &list_text("Devices", &self.devices, style)
    }
}
