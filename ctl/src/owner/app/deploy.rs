//! `kmsctl app deploy`: a new app through the KMS contract's factory, and its id, read from the event and checked.

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::{SolCall, SolEvent};
use kms_chain::bindings::{DstackApp, DstackKms};

use super::args::DeployArgs;
use crate::error::CtlError;
use crate::owner::change::{Change, Input, Who};
use crate::owner::error::{Fault, OwnerError};
use crate::owner::ownership;
use crate::owner::provider::{self, At, Provider};
use crate::owner::report::{Deployed, WriteReport};
use crate::owner::transact::{self, Receipt};
use crate::owner::write::{self, Means};

/// Deploys an app, or hands the call over.
pub(super) fn deploy(provider: &Provider, args: &DeployArgs) -> Result<WriteReport, CtlError> {
    let means = Means::open(&args.write)?;
    let owner = args.owner.or_else(|| means.actor(&args.write));
    let owner = owner.ok_or_else(|| OwnerError::new(Fault::OwnerNeeded, "no owner", "--owner"))?;
    let change = supported(provider, args, owner)?;
    let (mut report, receipt) = write::run(provider, "app deploy", &change, &means, &args.write)?;
    let deployed = receipt.map(|receipt| inspect(provider, args, owner, &receipt)).transpose()?;
    report.deployed = deployed.flatten();
    if let Some(doubt) = ownership::doubt(provider, owner)? {
        report.notes.push(format!("the owner {doubt}"));
    }
    if args.device.is_none() && !args.allow_any_device {
        report.notes.push("no device is allowed yet: app add-device".to_owned());
    }
    if args.compose_hash.is_none() {
        report.notes.push("no code is allowed yet: app add-compose-hash".to_owned());
    }
    Ok(report)
}

/// The factory's call, in the form that this KMS contract knows.
fn supported(provider: &Provider, args: &DeployArgs, owner: Address) -> Result<Change, OwnerError> {
    let (newer, older) = (newer(args, owner), older(args, owner));
    let [newer_call, older_call] =
        [&newer, &older].map(|change| provider::simulate(owner, Some(args.kms), &change.data));
    let mut answers = provider.ask(&[provider::chain_id(), newer_call, older_call])?;
    provider.expect_chain(&mut answers)?;
    let Err(revert) = answers.returned()? else { return Ok(newer) };
    // Without a reason: there is no such function.
    match answers.returned()? {
        Ok(_) if revert.data.is_empty() && args.require_tcb => {
            Err(OwnerError::new(Fault::OlderContract, args.kms, "a factory that takes requireTcbUpToDate"))
        }
        Ok(_) if revert.data.is_empty() => Ok(older),
        _ => Err(transact::reverts(&revert)),
    }
}

fn newer(args: &DeployArgs, owner: Address) -> Change {
    let call = DstackKms::deployAndRegisterApp_1Call {
        initialOwner: owner,
        disableUpgrades: args.disable_upgrades,
        requireTcbUpToDate: args.require_tcb,
        allowAnyDevice: args.allow_any_device,
        initialDeviceId: device(args),
        initialComposeHash: compose_hash(args),
    };
    let mut inputs = inputs(args, owner);
    inputs.insert(2, Input::new("requireTcbUpToDate", "bool", &args.require_tcb));
    change(args, owner, &call, inputs)
}

fn older(args: &DeployArgs, owner: Address) -> Change {
    let call = DstackKms::deployAndRegisterApp_0Call {
        initialOwner: owner,
        disableUpgrades: args.disable_upgrades,
        allowAnyDevice: args.allow_any_device,
        initialDeviceId: device(args),
        initialComposeHash: compose_hash(args),
    };
    change(args, owner, &call, inputs(args, owner))
}

fn change<C: SolCall>(args: &DeployArgs, owner: Address, call: &C, inputs: Vec<Input>) -> Change {
    Change::by_owner(format!("deploy an app of {owner}"), args.kms, call, inputs).by(Who::Anyone)
}

/// The inputs of the older form; zero stands for none.
fn inputs(args: &DeployArgs, owner: Address) -> Vec<Input> {
    vec![
        Input::new("initialOwner", "address", &owner),
        Input::new("disableUpgrades", "bool", &args.disable_upgrades),
        Input::new("allowAnyDevice", "bool", &args.allow_any_device),
        Input::word("initialDeviceId", device(args)),
        Input::word("initialComposeHash", compose_hash(args)),
    ]
}

fn device(args: &DeployArgs) -> B256 {
    args.device.map(|device| B256::from(device.0)).unwrap_or_default()
}

fn compose_hash(args: &DeployArgs) -> B256 {
    args.compose_hash.map(|hash| B256::from(hash.0)).unwrap_or_default()
}

/// What was deployed; none where a timelock's operation was only scheduled.
fn inspect(
    provider: &Provider,
    args: &DeployArgs,
    owner: Address,
    receipt: &Receipt,
) -> Result<Option<Deployed>, OwnerError> {
    let mut logs = receipt.logs.iter().filter(|log| log.address == args.kms);
    let event = logs.find_map(|log| DstackKms::AppDeployedViaFactory::decode_log_data(&log.event()).ok());
    let Some(app) = event.map(|event| event.appId) else { return Ok(None) };
    let at = At::Block(receipt.block_number.to());
    let (device, compose) = (device(args), compose_hash(args));
    let mut answers = provider.ask(&[
        provider::code(app, at),
        provider::view(args.kms, &DstackKms::registeredAppsCall { appId: app }, at),
        provider::view(app, &DstackApp::ownerCall {}, at),
        provider::view(app, &DstackApp::allowAnyDeviceCall {}, at),
        provider::view(app, &DstackApp::allowedDeviceIdsCall { deviceId: device }, at),
        provider::view(app, &DstackApp::allowedComposeHashesCall { composeHash: compose }, at),
    ])?;
    let has_code = !answers.value::<Bytes>("eth_getCode")?.is_empty();
    let registered = answers.view::<DstackKms::registeredAppsCall>()?;
    let as_asked = answers.view::<DstackApp::ownerCall>()? == owner
        && answers.view::<DstackApp::allowAnyDeviceCall>()? == args.allow_any_device
        && answers.view::<DstackApp::allowedDeviceIdsCall>()? != device.is_zero()
        && answers.view::<DstackApp::allowedComposeHashesCall>()? != compose.is_zero();
    if has_code && registered && as_asked {
        return Ok(Some(Deployed { app_id: Some(app), kms: Some(args.kms), owner, ..Deployed::default() }));
    }
    let found = format!("{app}: code {has_code}, registered {registered}, set up as asked {as_asked}");
    Err(OwnerError::new(Fault::EffectMissing, found, "all of them"))
}
