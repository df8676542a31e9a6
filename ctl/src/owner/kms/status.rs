//! `kmsctl kms status`: who governs and what is allowed, with the transactions that made it so.

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::{SolCall, SolEvent};
use kms_chain::bindings::DstackKms;
use serde::Serialize;

use super::args::StatusArgs;
use crate::layout::printable;
use crate::owner::error::OwnerError;
use crate::owner::examine::{Base, Examination};
use crate::owner::history::{Entry, List};
use crate::owner::proposal::checksummed;
use crate::owner::provider::{self, Provider};
use crate::owner::report::line;
use crate::owner::status_text::{base_text, list_text};
use crate::style::Style;

const OS_IMAGES: List = List {
    name: "OS image",
    added: DstackKms::OsImageHashAdded::SIGNATURE_HASH,
    removed: Some(DstackKms::OsImageHashRemoved::SIGNATURE_HASH),
    getter: DstackKms::allowedOsImagesCall::SELECTOR,
};

const MEASUREMENTS: List = List {
    name: "measurement",
    added: DstackKms::KmsAggregatedMrAdded::SIGNATURE_HASH,
    removed: Some(DstackKms::KmsAggregatedMrRemoved::SIGNATURE_HASH),
    getter: DstackKms::kmsAllowedAggregatedMrsCall::SELECTOR,
};

const DEVICES: List = List {
    name: "device",
    added: DstackKms::KmsDeviceAdded::SIGNATURE_HASH,
    removed: Some(DstackKms::KmsDeviceRemoved::SIGNATURE_HASH),
    getter: DstackKms::kmsAllowedDeviceIdsCall::SELECTOR,
};

/// Addresses, each in a word.
const APPS: List = List {
    name: "app",
    added: DstackKms::AppRegistered::SIGNATURE_HASH,
    removed: None,
    getter: DstackKms::registeredAppsCall::SELECTOR,
};

/// The JSON output of `kms status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusReport {
    #[serde(flatten)]
    base: Base,
    /// The code behind new apps' proxies; the zero address if none is set.
    #[serde(serialize_with = "checksummed")]
    app_implementation: Address,
    gateway_app_id: String,
    k256_pubkey: Bytes,
    ca_pubkey: Bytes,
    /// The sizes of the evidence for the keys, in bytes.
    quote_bytes: usize,
    eventlog_bytes: usize,
    os_images: Vec<Entry>,
    aggregated_mrs: Vec<Entry>,
    devices: Vec<Entry>,
    apps: Vec<Entry<Address>>,
}

/// Reads it all as of one block; a contradiction is an error.
pub(super) fn status(provider: &Provider, args: &StatusArgs) -> Result<StatusReport, OwnerError> {
    let mut examination = Examination::of(provider, args.kms, args.from_block)?;
    let at = examination.at();
    let mut answers = provider.ask(&[
        provider::view(args.kms, &DstackKms::appImplementationCall {}, at),
        provider::view(args.kms, &DstackKms::gatewayAppIdCall {}, at),
        provider::view(args.kms, &DstackKms::kmsInfoCall {}, at),
    ])?;
    let app_implementation = answers.view::<DstackKms::appImplementationCall>()?;
    let gateway_app_id = answers.view::<DstackKms::gatewayAppIdCall>()?;
    let info = answers.view::<DstackKms::kmsInfoCall>()?;

    let code = examination.last::<DstackKms::AppImplementationSet>().map(|event| event.implementation);
    examination.compare("the apps' code", code, &app_implementation);
    let gateway = examination.last::<DstackKms::GatewayAppIdSet>().map(|event| event.gatewayAppId);
    examination.compare("the gateway", gateway, &gateway_app_id);
    let key = examination.last::<DstackKms::KmsInfoSet>().map(|event| event.k256Pubkey);
    examination.compare("the root key", key, &info.k256Pubkey);
    let [os_images, aggregated_mrs, devices] = [
        examination.list(&OS_IMAGES)?.entries,
        examination.list(&MEASUREMENTS)?.entries,
        examination.list(&DEVICES)?.entries,
    ];
    let apps = examination.list(&APPS)?.entries.into_iter().map(Entry::into_address).collect();
    Ok(StatusReport {
        base: examination.conclude()?,
        app_implementation,
        gateway_app_id,
        quote_bytes: info.quote.len(),
        eventlog_bytes: info.eventlog.len(),
        k256_pubkey: info.k256Pubkey,
        ca_pubkey: info.caPubkey,
        os_images,
        aggregated_mrs,
        devices,
        apps,
    })
}

impl StatusReport {
    /// The report for people.
    pub(super) fn text(&self, style: Style) -> String {
        let bytes = |bytes: &Bytes| if bytes.is_empty() { "not set".to_owned() } else { bytes.to_string() };
        let evidence = format!("quote {} bytes, event log {} bytes", self.quote_bytes, self.eventlog_bytes);
        let mut text = base_text(&self.base, style);
        text += &line("apps' code", &self.app_implementation.to_string());
        let gateway = Some(printable(&self.gateway_app_id)).filter(|id| !id.is_empty());
        text += &line("gateway", gateway.as_deref().unwrap_or("not set"));
        text += &line("k256 key", &bytes(&self.k256_pubkey));
        text += &line("CA key", &bytes(&self.ca_pubkey));
        text += &line("evidence", &evidence);
        text += &list_text("OS images", &self.os_images, style);
        text += &list_text("Aggregated measurements of nodes", &self.aggregated_mrs, style);
        text += &list_text("Devices of nodes", &self.devices, style);
        text + &list_text("Apps", &self.apps, style)
    }
}
