//! A change through an OpenZeppelin `TimelockController`: its operation id, its two calls, where it stands.
//!
//! The id is computed here, as the contract computes it: what is scheduled and what is executed cannot differ.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use kms_attestation::time::rfc3339;
use kms_chain::bindings::TimelockController;
use serde::Serialize;

use super::checksummed;
use crate::owner::args::{ProposalArgs, TimelockStep};
use crate::owner::change::{Change, Goal, Input, Shows, Who};
use crate::owner::error::{Fault, OwnerError};
use crate::owner::provider::{self, At, Block, Provider};

/// The timestamp of an operation that was executed.
const DONE: u64 = 1;

/// An operation.
pub(crate) struct Operation {
    timelock: Address,
    target: Address,
    data: Bytes,
    title: String,
    predecessor: B256,
    salt: B256,
    id: B256,
    /// Seconds.
    delay: u64,
    shortest_delay: u64,
    /// When it may be executed, Unix seconds; 0 if it is not scheduled, 1 if it was executed.
    ready_at: u64,
    /// The chain's clock, Unix seconds.
    now: u64,
}

/// The `operation` of the JSON output.
#[derive(Debug, Serialize)]
pub(crate) struct OperationReport {
    #[serde(serialize_with = "checksummed")]
    pub(crate) timelock: Address,
    pub(crate) id: B256,
    pub(crate) predecessor: B256,
    pub(crate) salt: B256,
    pub(crate) delay_secs: u64,
    /// Not before which it may be executed, RFC 3339; null while it is not scheduled.
    pub(crate) ready_at: Option<String>,
}

impl Operation {
    /// Where the operation of this change stands.
    pub(crate) fn read(
        provider: &Provider,
        timelock: Address,
        change: &Change,
        args: &ProposalArgs,
    ) -> Result<Self, OwnerError> {
        let (target, data) = (change.contract, change.data.clone());
        let (predecessor, salt) = (args.predecessor.unwrap_or_default(), args.salt.unwrap_or_default());
        let id = keccak256((target, U256::ZERO, data.clone(), predecessor, salt).abi_encode_params());
        let mut answers = provider.ask(&[
            provider::view(timelock, &TimelockController::getMinDelayCall {}, At::Latest),
            provider::view(timelock, &TimelockController::getTimestampCall { id }, At::Latest),
            provider::block(At::Latest),
        ])?;
        let shortest_delay = answers.view::<TimelockController::getMinDelayCall>()?.saturating_to();
        let ready_at = answers.view::<TimelockController::getTimestampCall>()?.saturating_to();
        let now = answers.value::<Block>("eth_getBlockByNumber")?.timestamp.to();
        let delay = args.delay.unwrap_or(shortest_delay);
        let title = change.title.clone();
        Ok(Self {
            timelock,
            target,
            data,
            title,
            predecessor,
            salt,
            id,
            delay,
            shortest_delay,
            ready_at,
            now,
        })
    }

    /// The operation for programs.
    pub(crate) fn report(&self) -> OperationReport {
        OperationReport {
            timelock: self.timelock,
            id: self.id,
            predecessor: self.predecessor,
            salt: self.salt,
            delay_secs: self.delay,
            ready_at: self.is_waiting().then(|| rfc3339(self.ready_at)),
        }
    }

    /// Whether it is scheduled and not yet executed.
    pub(crate) fn is_waiting(&self) -> bool {
        self.ready_at > DONE
    }

    /// That this step can be taken. Others may take the second one later; a signer takes it now.
    pub(crate) fn expect_open(&self, step: TimelockStep, signer_acts_now: bool) -> Result<(), OwnerError> {
        let found = format!("operation {}", self.id);
        if self.ready_at == DONE {
            return Err(OwnerError::new(Fault::OperationDone, found, "an operation that was not executed"));
        }
        match step {
            TimelockStep::Schedule if self.delay < self.shortest_delay => {
                let expected = format!("at least {} s", self.shortest_delay);
                Err(OwnerError::new(Fault::DelayTooShort, format_args!("{} s", self.delay), expected))
            }
            TimelockStep::Execute if signer_acts_now && self.ready_at == 0 => {
                Err(OwnerError::new(Fault::NotScheduled, found, "a scheduled operation"))
            }
            TimelockStep::Execute if signer_acts_now && self.ready_at > self.now => {
                let found = format!("{} by the chain's clock", rfc3339(self.now));
                Err(OwnerError::new(
                    Fault::TooEarly,
                    found,
                    format_args!("{} or later", rfc3339(self.ready_at)),
                ))
            }
            _ => Ok(()),
        }
    }

    /// That the sender, where it is known, has the role for this step.
    pub(crate) fn expect_role(
        &self,
        provider: &Provider,
        step: TimelockStep,
        sender: Option<Address>,
    ) -> Result<(), OwnerError> {
        let Some(sender) = sender else { return Ok(()) };
        let (name, role) = match step {
            TimelockStep::Schedule => ("PROPOSER_ROLE", keccak256("PROPOSER_ROLE")),
            TimelockStep::Execute => ("EXECUTOR_ROLE", keccak256("EXECUTOR_ROLE")),
        };
        // A role that the zero address has is everybody's.
        let calls = [sender, Address::ZERO].map(|account| {
            provider::view(self.timelock, &TimelockController::hasRoleCall { role, account }, At::Latest)
        });
        let mut answers = provider.ask(&calls)?;
        let own = answers.view::<TimelockController::hasRoleCall>()?;
        let everybodys = answers.view::<TimelockController::hasRoleCall>()? && step == TimelockStep::Execute;
        if own || everybodys {
            return Ok(());
        }
        Err(OwnerError::new(Fault::RoleMissing, sender, format_args!("an account with {name}")))
    }

    /// The call that schedules it.
    pub(crate) fn schedule(&self, change: &Change) -> Change {
        let call = TimelockController::scheduleCall {
            target: self.target,
            value: U256::ZERO,
            data: self.data.clone(),
            predecessor: self.predecessor,
            salt: self.salt,
            delay: U256::from(self.delay),
        };
        let event = TimelockController::CallScheduled {
            id: self.id,
            index: U256::ZERO,
            target: self.target,
            value: U256::ZERO,
            data: self.data.clone(),
            predecessor: self.predecessor,
            delay: U256::from(self.delay),
        };
        let mut inputs = self.inputs("data");
        inputs.push(Input::new("delay", "uint256", &self.delay));
        let status = TimelockController::getTimestampCall { id: self.id };
        let goal =
            Goal { contract: self.timelock, call: status.abi_encode().into(), shows: Shows::MoreThan(DONE) };
        let title = format!("schedule: {}", change.title);
        Change { goal: Some(goal), ..self.step(title, &call, inputs).emits(&event) }
    }

    /// The call that executes it; then the change has happened.
    pub(crate) fn execute(&self, change: &Change) -> Change {
        let call = TimelockController::executeCall {
            target: self.target,
            value: U256::ZERO,
            payload: self.data.clone(),
            predecessor: self.predecessor,
            salt: self.salt,
        };
        let event = TimelockController::CallExecuted {
            id: self.id,
            index: U256::ZERO,
            target: self.target,
            value: U256::ZERO,
            data: self.data.clone(),
        };
        let title = format!("execute: {}", self.title);
        let step = self.step(title, &call, self.inputs("payload")).emits(&event);
        Change { goal: change.goal.clone(), ..step }
    }

    fn step<C: SolCall>(&self, title: String, call: &C, inputs: Vec<Input>) -> Change {
        Change::by_owner(title, self.timelock, call, inputs).by(Who::Anyone)
    }

    fn inputs(&self, data: &'static str) -> Vec<Input> {
        vec![
            Input::new("target", "address", &self.target),
            Input::new("value", "uint256", &0),
            Input::new(data, "bytes", &&self.data),
            Input::word("predecessor", self.predecessor),
            Input::word("salt", self.salt),
        ]
    }
}
