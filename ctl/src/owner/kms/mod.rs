//! `kmsctl kms`: what governance does, alone, or through a Safe or timelock.

pub(crate) mod args;
mod changes;
mod deploy;
mod status;

use kms_chain::bindings::DstackKms;

use self::args::{
    AcceptArgs, DeviceArgs, GatewayArgs, ImplementationArgs, InfoArgs, KmsCommand, KmsTarget, MrArgs,
    OsImageArgs, RegisterArgs, TransferArgs,
};
use super::args::ChainArgs;
use super::change::Change;
use super::ownership::{self, Confirmed, Offer};
use super::provider::Provider;
use super::write::{self, Means};
use super::{finish, written};
use crate::error::CtlError;
use crate::input;
use crate::outcome::{Exit, Outcome};

impl KmsCommand {
    /// Which chain it is about.
    pub(super) fn chain(&self) -> &ChainArgs {
        match self {
            Self::Deploy(args) => &args.chain,
            Self::Status(args) => &args.chain,
            Self::AddOsImage(args) | Self::RemoveOsImage(args) => &args.target.chain,
            Self::AddMr(args) | Self::RemoveMr(args) => &args.target.chain,
            Self::AddDevice(args) | Self::RemoveDevice(args) => &args.target.chain,
            Self::SetInfo(args) => &args.target.chain,
            Self::SetGatewayAppId(args) => &args.target.chain,
            Self::SetAppImplementation(args) => &args.target.chain,
            Self::RegisterApp(args) => &args.target.chain,
            Self::TransferOwnership(args) => &args.target.chain,
            Self::AcceptOwnership(args) => &args.target.chain,
        }
    }
}

/// Does what the command says.
pub(super) fn run(command: &KmsCommand) -> Result<Outcome, CtlError> {
    let chain = command.chain();
    let provider = &Provider::new(chain)?;
    let make = |name, target: &KmsTarget, change: Change| make(provider, name, target, &change);
    match command {
        KmsCommand::Deploy(args) => written(chain, &deploy::deploy(provider, args)?),
        KmsCommand::Status(args) => {
            let report = status::status(provider, args)?;
            finish(chain, Exit::Done, &report, |style| report.text(style))
        }
        KmsCommand::AddOsImage(OsImageArgs { os_image, target }) => {
            make("kms add-os-image", target, changes::add_os_image(target.kms, *os_image))
        }
        KmsCommand::RemoveOsImage(OsImageArgs { os_image, target }) => {
            make("kms remove-os-image", target, changes::remove_os_image(target.kms, *os_image))
        }
        KmsCommand::AddMr(MrArgs { mr, target }) => {
            make("kms add-mr", target, changes::add_mr(target.kms, *mr))
        }
        KmsCommand::RemoveMr(MrArgs { mr, target }) => {
            make("kms remove-mr", target, changes::remove_mr(target.kms, *mr))
        }
        KmsCommand::AddDevice(DeviceArgs { device, target }) => {
            make("kms add-device", target, changes::add_device(target.kms, *device))
        }
        KmsCommand::RemoveDevice(DeviceArgs { device, target }) => {
            make("kms remove-device", target, changes::remove_device(target.kms, *device))
        }
        KmsCommand::SetInfo(args) => {
            make("kms set-info", &args.target, changes::set_info(args.target.kms, info(args)?))
        }
        KmsCommand::SetGatewayAppId(GatewayArgs { app, target }) => {
            make("kms set-gateway-app-id", target, changes::set_gateway_app_id(target.kms, *app))
        }
        KmsCommand::SetAppImplementation(ImplementationArgs { implementation, target }) => {
            let change = changes::set_app_implementation(target.kms, *implementation);
            make("kms set-app-implementation", target, change)
        }
        KmsCommand::RegisterApp(RegisterArgs { app, target }) => {
            make("kms register-app", target, changes::register_app(target.kms, *app))
        }
        KmsCommand::TransferOwnership(TransferArgs { new_owner, yes, target }) => {
            let offer = Offer { contract: target.kms, new_owner: *new_owner, confirmed: Confirmed::of(*yes) };
            let report = ownership::transfer(provider, "kms transfer-ownership", &offer, &target.write)?;
            written(chain, &report)
        }
        KmsCommand::AcceptOwnership(AcceptArgs { target }) => {
            let report = ownership::accept(provider, "kms accept-ownership", target.kms, &target.write)?;
            written(chain, &report)
        }
    }
}

fn make(
    provider: &Provider,
    name: &'static str,
    target: &KmsTarget,
    change: &Change,
) -> Result<Outcome, CtlError> {
    let means = Means::open(&target.write)?;
    let (report, _) = write::run(provider, name, change, &means, &target.write)?;
    written(&target.chain, &report)
}

/// The root public keys and their evidence; what is not given is empty.
fn info(args: &InfoArgs) -> Result<DstackKms::KmsInfo, CtlError> {
    let quote = args.quote.as_deref().map(input::read).transpose()?.map(input::bytes_or_hex);
    let eventlog = args.eventlog.as_deref().map(input::read).transpose()?;
    Ok(DstackKms::KmsInfo {
        k256Pubkey: args.k256_pubkey.clone(),
        caPubkey: args.ca_pubkey.clone(),
        quote: quote.unwrap_or_default().into(),
        eventlog: eventlog.unwrap_or_default().into(),
    })
}
