//! Handing over a contract, in two steps: an offer, which may still be taken back, and its acceptance.
//!
//! Threat: ownership that goes where nobody can use it. An offer to a contract, or to an account that has never done
//! anything, asks for a word more.

use alloy::primitives::{Address, Bytes, U64};
use kms_chain::bindings::DstackApp;
use kms_chain::rpc::RpcCall;
use serde_json::json;

use super::args::WriteArgs;
use super::change::{self, Change, Goal};
use super::error::{Fault, OwnerError};
use super::provider::{self, At, Provider};
use super::report::WriteReport;
use super::write::{self, Means};
use crate::error::CtlError;

/// Whether the person has confirmed what would be warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmed {
    Yes,
    No,
}

impl Confirmed {
    /// What `--yes` says.
    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// An offer of ownership.
pub(crate) struct Offer {
    pub(crate) contract: Address,
    pub(crate) new_owner: Address,
    pub(crate) confirmed: Confirmed,
}

/// Offers a contract to a new owner.
pub(crate) fn transfer(
    provider: &Provider,
    command: &'static str,
    offer: &Offer,
    args: &WriteArgs,
) -> Result<WriteReport, CtlError> {
    let Offer { contract, new_owner, confirmed } = *offer;
    let (ownership, _) = write::look(provider, contract, None)?;
    let doubt = doubt(provider, new_owner)?;
    if let (Some(doubt), Confirmed::No) = (&doubt, confirmed) {
        let expected = "an account with a history";
        return Err(OwnerError::new(
            Fault::ConfirmationNeeded,
            format_args!("{new_owner} {doubt}"),
            expected,
        )
        .into());
    }
    let means = Means::open(args)?;
    let two_steps = ownership.pending.is_some();
    let mut change = change::transfer_ownership(contract, ownership.owner, new_owner);
    if !two_steps {
        change = at_once(change, contract, ownership.owner, new_owner);
    }
    let (mut report, _) = write::run(provider, command, &change, &means, args)?;
    report.notes.extend(doubt.map(|doubt| format!("the new owner {doubt}")));
    report.notes.push(if two_steps {
        "the owner stays the same until the new one runs accept-ownership".to_owned()
    } else {
        "this contract is of an older version: ownership changes at once".to_owned()
    });
    Ok(report)
}

/// The same on a contract of an older version, which has no second step.
fn at_once(change: Change, contract: Address, owner: Address, new_owner: Address) -> Change {
    let goal = Goal::returns(contract, &DstackApp::ownerCall {}, &new_owner);
    let event = DstackApp::OwnershipTransferred { previousOwner: owner, newOwner: new_owner };
    let title = format!("hand ownership to {new_owner}");
    Change { title, goal: Some(goal), ..change }.emits(&event)
}

/// What speaks against a new owner.
pub(crate) fn doubt(provider: &Provider, account: Address) -> Result<Option<&'static str>, OwnerError> {
    let count = RpcCall { method: "eth_getTransactionCount", params: json!([account, "latest"]) };
    let mut answers = provider.ask(&[provider::code(account, At::Latest), count])?;
    let is_contract = !answers.value::<Bytes>("eth_getCode")?.is_empty();
    let is_new = answers.value::<U64>("eth_getTransactionCount")?.is_zero();
    Ok(match (is_contract, is_new) {
        (true, _) => Some("is a contract: it must be able to call acceptOwnership, and then all else"),
        (false, true) => Some("has never sent a transaction: is its key there?"),
        (false, false) => None,
    })
}

/// Accepts an offered contract.
pub(crate) fn accept(
    provider: &Provider,
    command: &'static str,
    contract: Address,
    args: &WriteArgs,
) -> Result<WriteReport, CtlError> {
    let means = Means::open(args)?;
    let (ownership, _) = write::look(provider, contract, None)?;
    let new_owner = means.actor(args).or(ownership.pending.filter(|pending| !pending.is_zero()));
    let change = change::accept_ownership(contract, ownership.owner, new_owner.unwrap_or_default());
    Ok(write::run(provider, command, &change, &means, args)?.0)
}
