//! How a change gets onto the chain, whichever way: looked at first, then sent, scheduled or handed over.
//!
//! Idempotent: what already is as asked is left alone. Whoever may not make the change hears who may, before anything is
//! sent.

use std::path::PathBuf;

use alloy::primitives::{Address, Bytes};
use kms_chain::bindings::DstackApp;

use super::args::{SignerArgs, TimelockStep, WriteArgs};
use super::change::{Change, Goal, Who};
use super::error::{Fault, OwnerError};
use super::proposal::Call;
use super::proposal::safe::{self, Mode};
use super::proposal::timelock::Operation;
use super::provider::{self, At, Provider};
use super::report::{WriteReport, WriteResult};
use super::signer::{KeySource, Signer};
use super::transact::{self, Outgoing, Receipt};
use crate::error::CtlError;

/// Who does it.
pub(crate) enum Means {
    /// A key, now.
    Signer(Signer),
    /// Somebody else, to whom the calls are printed.
    Calldata,
    /// A Safe, which is given a batch file.
    SafeBatch(PathBuf, Mode),
}

impl Means {
    /// What the arguments name; asks for a keystore's password where it must.
    pub(crate) fn open(args: &WriteArgs) -> Result<Self, CtlError> {
        let password_file = args.sending.password_file.as_deref();
        if let Some(path) = &args.means.safe_batch {
            return Ok(Self::SafeBatch(path.clone(), Mode::of(&args.proposal)));
        }
        let (file, keystore) = (&args.means.private_key_file, &args.means.keystore);
        let source = match (file, keystore) {
            (Some(path), _) => KeySource::PrivateKeyFile(path),
            (None, Some(path)) => KeySource::Keystore { path, password_file },
            (None, None) => return Ok(Self::Calldata),
        };
        Signer::open(source).map(Self::Signer)
    }

    /// Who sends the transaction, as far as it is known.
    pub(crate) fn sender(&self, args: &WriteArgs) -> Option<Address> {
        match self {
            Self::Signer(signer) => Some(signer.address()),
            Self::Calldata | Self::SafeBatch(..) => args.proposal.safe,
        }
    }

    /// As whom the change is made: the timelock, or whoever sends.
    pub(crate) fn actor(&self, args: &WriteArgs) -> Option<Address> {
        args.proposal.timelock.or_else(|| self.sender(args))
    }
}

/// The signer for what only a key can do.
pub(crate) fn open_signer(args: &SignerArgs, password_file: Option<&PathBuf>) -> Result<Signer, CtlError> {
    let password_file = password_file.map(PathBuf::as_path);
    let keystore = args.keystore.as_deref().map(|path| KeySource::Keystore { path, password_file });
    let source = args.private_key_file.as_deref().map(KeySource::PrivateKeyFile).or(keystore);
    source.map_or_else(
        || Err(OwnerError::new(Fault::KeyUnusable, "no key", "--private-key-file or --keystore").into()),
        Signer::open,
    )
}

/// Who owns a contract.
pub(crate) struct Ownership {
    pub(crate) chain_id: u64,
    pub(crate) owner: Address,
    /// None where the contract hands over in one step.
    pub(crate) pending: Option<Address>,
}

/// Asks who owns a contract, and, in the same round trip, whether the goal is met.
pub(crate) fn look(
    provider: &Provider,
    contract: Address,
    goal: Option<&Goal>,
) -> Result<(Ownership, bool), OwnerError> {
    let mut calls = vec![
        provider::chain_id(),
        provider::code(contract, At::Latest),
        provider::view(contract, &DstackApp::ownerCall {}, At::Latest),
        provider::view(contract, &DstackApp::pendingOwnerCall {}, At::Latest),
    ];
    calls.extend(goal.map(|goal| provider::view_raw(goal.contract, &goal.call, At::Latest)));
    let mut answers = provider.ask(&calls)?;
    let chain_id = provider.expect_chain(&mut answers)?;
    if answers.value::<Bytes>("eth_getCode")?.is_empty() {
        let found = format!("no code at {contract} on chain {chain_id}");
        return Err(OwnerError::new(Fault::NotAContract, found, "a contract"));
    }
    let owner = answers.view::<DstackApp::ownerCall>()?;
    let pending = answers.view_if_any::<DstackApp::pendingOwnerCall>()?;
    let done = match goal {
        None => false,
        Some(goal) => goal.is_shown_by(&answers.returned()?.map_err(|_| older(contract))?),
    };
    Ok((Ownership { chain_id, owner, pending }, done))
}

fn older(contract: Address) -> OwnerError {
    OwnerError::new(
        Fault::OlderContract,
        format_args!("{contract} without such a setting"),
        "a later version",
    )
}

/// A call by its place: `direct`, `schedule` or `execute`.
type Step<'a> = (&'static str, &'a Change);

/// A change that is under way: where it stands, and by whom it is made.
struct Errand<'a> {
    provider: &'a Provider,
    args: &'a WriteArgs,
    means: &'a Means,
    chain_id: u64,
}

/// Makes a change, or hands it over. The receipt is there where something was executed.
pub(crate) fn run(
    provider: &Provider,
    command: &'static str,
    change: &Change,
    means: &Means,
    args: &WriteArgs,
) -> Result<(WriteReport, Option<Receipt>), CtlError> {
    let (ownership, done) = look(provider, change.contract, change.goal.as_ref())?;
    let mut report = WriteReport::of(command, change, ownership.chain_id);
    report.sender = means.sender(args);
    if done {
        return Ok((report.ending(WriteResult::Already), None));
    }
    expect_permission(change, &ownership, means.actor(args))?;
    let errand = Errand { provider, args, means, chain_id: ownership.chain_id };
    let direct = args.proposal.timelock.is_none() && matches!(means, Means::Signer(_));
    if !direct {
        // The transaction of a signer is simulated as it is sent.
        let entitled = match change.who {
            Who::PendingOwner => ownership.pending.unwrap_or_default(),
            Who::Owner | Who::Anyone => ownership.owner,
        };
        errand.simulate(change, means.actor(args).unwrap_or(entitled))?;
    }
    match args.proposal.timelock {
        Some(timelock) => errand.through_timelock(timelock, change, report),
        None => errand.make(&[("direct", change)], WriteResult::Done, report),
    }
}

fn expect_permission(
    change: &Change,
    ownership: &Ownership,
    actor: Option<Address>,
) -> Result<(), OwnerError> {
    let (fault, allowed, role) = match change.who {
        Who::Anyone => return Ok(()),
        Who::Owner => (Fault::NotOwner, ownership.owner, "the owner"),
        Who::PendingOwner => {
            (Fault::NotPendingOwner, ownership.pending.unwrap_or_default(), "the pending owner")
        }
    };
    match actor {
        Some(actor) if actor != allowed => {
            Err(OwnerError::new(fault, actor, format_args!("{role} {allowed}")))
        }
        _ if allowed.is_zero() => Err(OwnerError::new(fault, "nobody", role)),
        _ => Ok(()),
    }
}

impl Errand<'_> {
    fn simulate(&self, change: &Change, from: Address) -> Result<(), OwnerError> {
        let call = provider::simulate(from, Some(change.contract), &change.data);
        let returned = self.provider.ask(&[call])?.returned()?;
        returned.map(drop).map_err(|revert| transact::reverts(&revert))
    }

    fn through_timelock(
        &self,
        timelock: Address,
        change: &Change,
        mut report: WriteReport,
    ) -> Result<(WriteReport, Option<Receipt>), CtlError> {
        let wanted = self.args.proposal.timelock_step;
        let both = wanted.is_none() && matches!(self.means, Means::Calldata);
        let step = wanted.unwrap_or(TimelockStep::Schedule);
        let operation = Operation::read(self.provider, timelock, change, &self.args.proposal)?;
        let (schedule, execute) = (operation.schedule(change), operation.execute(change));
        report.operation = Some(operation.report());
        if step == TimelockStep::Schedule && operation.is_waiting() {
            report.calls = calls(&[("execute", &execute)]);
            return Ok((report.ending(WriteResult::AlreadyScheduled), None));
        }
        operation.expect_open(step, matches!(self.means, Means::Signer(_)))?;
        operation.expect_role(self.provider, step, self.means.sender(self.args))?;
        match step {
            TimelockStep::Schedule if both => {
                let steps = [("schedule", &schedule), ("execute", &execute)];
                self.make(&steps, WriteResult::Proposed, report)
            }
            TimelockStep::Execute => self.make(&[("execute", &execute)], WriteResult::Done, report),
            TimelockStep::Schedule => {
                let steps = [("schedule", &schedule)];
                let (mut report, receipt) = self.make(&steps, WriteResult::Scheduled, report)?;
                report.calls.extend(calls(&[("execute", &execute)]));
                let operation = Operation::read(self.provider, timelock, change, &self.args.proposal)?;
                report.operation = Some(operation.report());
                Ok((report, receipt))
            }
        }
    }

    /// Sends the first call, or hands all of them over.
    fn make(
        &self,
        steps: &[Step<'_>],
        result: WriteResult,
        mut report: WriteReport,
    ) -> Result<(WriteReport, Option<Receipt>), CtlError> {
        if let (Means::Signer(signer), Some((_, change))) = (self.means, steps.first()) {
            let receipt = carry_out(self.provider, signer, change, self.args)?;
            report.transactions.push((&receipt).into());
            return Ok((report.ending(result), Some(receipt)));
        }
        report.calls = calls(steps);
        if let Means::SafeBatch(path, mode) = self.means {
            let batch = safe::Batch { chain_id: self.chain_id, safe: self.args.proposal.safe };
            batch.write(path, *mode, &report.change, &report.calls)?;
            report.safe_batch = Some(path.display().to_string());
        }
        Ok((report.ending(WriteResult::Proposed), None))
    }
}

fn calls(steps: &[Step<'_>]) -> Vec<Call> {
    steps.iter().map(|(step, change)| Call::of(step, change)).collect()
}

/// Sends a change and checks that it has happened, at the block that it is in.
fn carry_out(
    provider: &Provider,
    signer: &Signer,
    change: &Change,
    args: &WriteArgs,
) -> Result<Receipt, OwnerError> {
    let outgoing = Outgoing { to: Some(change.contract), data: change.data.clone() };
    let receipt = transact::send(provider, signer, &outgoing, &args.sending)?;
    let missing = |what: &str| {
        let found = format!("transaction {} without {what}", receipt.transaction_hash);
        OwnerError::new(Fault::EffectMissing, found, &change.title)
    };
    if change.event.as_ref().is_some_and(|event| !receipt.has(change.contract, event)) {
        return Err(missing("its event"));
    }
    let Some(goal) = &change.goal else { return Ok(receipt) };
    let at = At::Block(receipt.block_number.to());
    let answer = provider.ask(&[provider::view_raw(goal.contract, &goal.call, at)])?.returned()?;
    if answer.is_ok_and(|answer| goal.is_shown_by(&answer)) {
        Ok(receipt)
    } else {
        Err(missing("its effect"))
    }
}
