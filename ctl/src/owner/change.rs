//! A change of a contract: the call, who may make it, and how to see that it has happened.
//!
//! One description serves every way onto the chain: a transaction, a Safe's batch, a timelock. Nothing is sent here.

use alloy::primitives::{Address, B256, Bytes, LogData, U256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use kms_chain::bindings::DstackApp;
use serde_json::{Map, Value, json};

/// A change.
pub(crate) struct Change {
    /// What it does, for people.
    pub(crate) title: String,
    pub(crate) contract: Address,
    pub(crate) data: Bytes,
    pub(crate) method: Method,
    pub(crate) who: Who,
    /// None where the same call does something new each time.
    pub(crate) goal: Option<Goal>,
    /// What the contract emits.
    pub(crate) event: Option<LogData>,
}

/// Who may make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Owner,
    PendingOwner,
    Anyone,
}

/// A view call whose answer shows that the change has happened.
#[derive(Clone)]
pub(crate) struct Goal {
    pub(crate) contract: Address,
    pub(crate) call: Bytes,
    pub(crate) shows: Shows,
}

/// The answer that shows it.
#[derive(Clone)]
pub(crate) enum Shows {
    /// Exactly these bytes.
    Exactly(Bytes),
    /// A number above this one.
    MoreThan(u64),
}

impl Goal {
    /// A view call that returns this value.
    pub(crate) fn returns<C: SolCall>(contract: Address, call: &C, value: &C::Return) -> Self {
        let shows = Shows::Exactly(C::abi_encode_returns(value).into());
        Self { contract, call: call.abi_encode().into(), shows }
    }

    /// Whether this answer shows it.
    pub(crate) fn is_shown_by(&self, answer: &[u8]) -> bool {
        match &self.shows {
            Shows::Exactly(bytes) => answer == bytes,
            Shows::MoreThan(number) => {
                U256::abi_decode(answer).is_ok_and(|found| found > U256::from(*number))
            }
        }
    }
}

impl Change {
    /// A change that the owner makes with this call.
    pub(crate) fn by_owner<C: SolCall>(
        title: String,
        contract: Address,
        call: &C,
        inputs: Vec<Input>,
    ) -> Self {
        Self {
            title,
            contract,
            data: call.abi_encode().into(),
            method: Method { name: name_of::<C>(), inputs },
            who: Who::Owner,
            goal: None,
            event: None,
        }
    }

    /// The same, and this view call then returns that value.
    pub(crate) fn until<C: SolCall>(mut self, view: &C, value: &C::Return) -> Self {
        self.goal = Some(Goal::returns(self.contract, view, value));
        self
    }

    /// The same, and the contract emits this.
    pub(crate) fn emits(mut self, event: &impl SolEvent) -> Self {
        self.event = Some(event.encode_log_data());
        self
    }

    /// The same, made by another than the owner.
    pub(crate) fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }
}

fn name_of<C: SolCall>() -> &'static str {
    C::SIGNATURE.split('(').next().unwrap_or_default()
}

/// A contract's method with its values, as the Safe Transaction Builder shows it to those who approve.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) inputs: Vec<Input>,
}

/// One of its inputs.
pub(crate) struct Input {
    name: &'static str,
    kind: &'static str,
    /// Fields of a struct: name and type.
    components: &'static [(&'static str, &'static str)],
    value: String,
}

impl Input {
    pub(crate) fn new(name: &'static str, kind: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        Self { name, kind, components: &[], value: value.to_string() }
    }

    pub(crate) fn word(name: &'static str, value: B256) -> Self {
        Self::new(name, "bytes32", &value)
    }

    /// A struct; its value is a JSON array of its fields'.
    pub(crate) fn tuple(
        name: &'static str,
        components: &'static [(&'static str, &'static str)],
        value: &[Bytes],
    ) -> Self {
        Self { name, kind: "tuple", components, value: json!(value).to_string() }
    }

    fn json(&self) -> Value {
        let mut input = json!({ "internalType": self.kind, "name": self.name, "type": self.kind });
        if let (false, Some(fields)) = (self.components.is_empty(), input.as_object_mut()) {
            let field =
                |(name, kind): &(&str, &str)| json!({ "internalType": kind, "name": name, "type": kind });
            fields.insert("components".to_owned(), self.components.iter().map(field).collect());
        }
        input
    }
}

impl Method {
    /// The `contractMethod` of a batch.
    pub(crate) fn json(&self) -> Value {
        let inputs: Vec<Value> = self.inputs.iter().map(Input::json).collect();
        json!({ "inputs": inputs, "name": self.name, "payable": false })
    }

    /// The `contractInputsValues` of a batch.
    pub(crate) fn values(&self) -> Value {
        let value = |input: &Input| (input.name.to_owned(), json!(input.value));
        Value::Object(self.inputs.iter().map(value).collect::<Map<_, _>>())
    }

    /// The signature that the selector is the hash of.
    #[cfg(test)]
    pub(crate) fn signature(&self) -> String {
        let kind = |input: &Input| match input.components {
            [] => input.kind.to_owned(),
            fields => {
                format!("({})", fields.iter().map(|(_, kind)| *kind).collect::<Vec<_>>().join(","))
            }
        };
        let kinds: Vec<String> = self.inputs.iter().map(kind).collect();
        format!("{}({})", self.name, kinds.join(","))
    }
}

/// Offers ownership. Both contracts have the same functions for it.
pub(crate) fn transfer_ownership(contract: Address, owner: Address, new_owner: Address) -> Change {
    let call = DstackApp::transferOwnershipCall { newOwner: new_owner };
    let inputs = vec![Input::new("newOwner", "address", &new_owner)];
    Change::by_owner(format!("offer ownership to {new_owner}"), contract, &call, inputs)
        .until(&DstackApp::pendingOwnerCall {}, &new_owner)
        .emits(&DstackApp::OwnershipTransferStarted { previousOwner: owner, newOwner: new_owner })
}

/// Accepts an offered ownership.
pub(crate) fn accept_ownership(contract: Address, owner: Address, new_owner: Address) -> Change {
    let call = DstackApp::acceptOwnershipCall {};
    Change::by_owner(format!("{new_owner} becomes the owner"), contract, &call, Vec::new())
        .until(&DstackApp::ownerCall {}, &new_owner)
        .emits(&DstackApp::OwnershipTransferred { previousOwner: owner, newOwner: new_owner })
        .by(Who::PendingOwner)
}
