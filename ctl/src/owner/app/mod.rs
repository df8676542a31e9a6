//! `kmsctl app`: what the owner of an app does, alone or through governance.

pub(crate) mod args;
mod changes;
mod check;
mod deploy;
mod status;

use kms_chain::bindings::DstackApp;

use self::args::{AcceptArgs, AppCommand, AppTarget, ComposeHashArgs, DeviceArgs, SwitchArgs, TransferArgs};
use super::args::ChainArgs;
use super::change::Change;
use super::ownership::{self, Confirmed, Offer};
use super::provider::Provider;
use super::write::{self, Means};
use super::{finish, written};
use crate::error::CtlError;
use crate::outcome::{Exit, Outcome};

impl AppCommand {
    /// Which chain it is about.
    pub(super) fn chain(&self) -> &ChainArgs {
        match self {
            Self::Deploy(args) => &args.chain,
            Self::Status(args) => &args.chain,
            Self::Check(args) => &args.chain,
            Self::AddComposeHash(args) | Self::RemoveComposeHash(args) => &args.target.chain,
            Self::AddDevice(args) | Self::RemoveDevice(args) => &args.target.chain,
            Self::SetAllowAnyDevice(args) | Self::SetRequireTcb(args) => &args.target.chain,
            Self::TransferOwnership(args) => &args.target.chain,
            Self::AcceptOwnership(args) => &args.target.chain,
        }
    }
}

/// Does what the command says.
pub(super) fn run(command: &AppCommand) -> Result<Outcome, CtlError> {
    let chain = command.chain();
    let provider = &Provider::new(chain)?;
    let make = |name, target: &AppTarget, change: Change| make(provider, name, target, &change);
    match command {
        AppCommand::Deploy(args) => written(chain, &deploy::deploy(provider, args)?),
        AppCommand::Status(args) => {
            let report = status::status(provider, args)?;
            finish(chain, Exit::Done, &report, |style| report.text(style))
        }
        AppCommand::Check(args) => {
            let report = check::check(provider, args)?;
            let exit = if report.allowed { Exit::Done } else { Exit::Refused };
            finish(chain, exit, &report, |style| report.text(style))
        }
        AppCommand::AddComposeHash(ComposeHashArgs { compose_hash, target }) => {
            make("app add-compose-hash", target, changes::add_compose_hash(target.app, *compose_hash))
        }
        AppCommand::RemoveComposeHash(ComposeHashArgs { compose_hash, target }) => {
            make("app remove-compose-hash", target, changes::remove_compose_hash(target.app, *compose_hash))
        }
        AppCommand::AddDevice(DeviceArgs { device, target }) => {
            make("app add-device", target, changes::add_device(target.app, *device))
        }
        AppCommand::RemoveDevice(DeviceArgs { device, target }) => {
            make("app remove-device", target, changes::remove_device(target.app, *device))
        }
        AppCommand::SetAllowAnyDevice(SwitchArgs { value, target }) => {
            let call = DstackApp::setAllowAnyDeviceCall { allowAny: *value };
            make("app set-allow-any-device", target, changes::set_allow_any_device(target.app, &call))
        }
        AppCommand::SetRequireTcb(SwitchArgs { value, target }) => {
            let call = DstackApp::setRequireTcbUpToDateCall { requireUpToDate: *value };
            make("app set-require-tcb", target, changes::set_require_tcb(target.app, &call))
        }
        AppCommand::TransferOwnership(TransferArgs { new_owner, yes, target }) => {
            let offer = Offer { contract: target.app, new_owner: *new_owner, confirmed: Confirmed::of(*yes) };
            let report = ownership::transfer(provider, "app transfer-ownership", &offer, &target.write)?;
            written(chain, &report)
        }
        AppCommand::AcceptOwnership(AcceptArgs { target }) => {
            let report = ownership::accept(provider, "app accept-ownership", target.app, &target.write)?;
            written(chain, &report)
        }
    }
}

fn make(
    provider: &Provider,
    name: &'static str,
    target: &AppTarget,
    change: &Change,
) -> Result<Outcome, CtlError> {
    let means = Means::open(&target.write)?;
    let (report, _) = write::run(provider, name, change, &means, &target.write)?;
    written(&target.chain, &report)
}
