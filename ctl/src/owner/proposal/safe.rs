//! A batch file for the Safe Transaction Builder, with the checksum that it verifies on import.
//!
//! Carries the exact calldata beside the decoded method: the first is what is executed, the second what approvers read.
//! Threat: a file that was changed on its way to them; the checksum shows an accident, reading shows the rest.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, B256, keccak256};
use serde_json::{Value, json};

use super::Call;
use crate::error::CtlError;
use crate::input;
use crate::owner::args::ProposalArgs;
use crate::owner::error::{Fault, OwnerError};

/// The version of the Transaction Builder whose format this is.
const TX_BUILDER_VERSION: &str = "1.18.0";

/// What happens to a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It stays, and the command fails.
    New,
    Replace,
    /// The calls are added to its own.
    Append,
}

impl Mode {
    pub(crate) fn of(args: &ProposalArgs) -> Self {
        match (args.force, args.append) {
            (true, _) => Self::Replace,
            (false, true) => Self::Append,
            (false, false) => Self::New,
        }
    }
}

/// Where a batch is to be executed.
pub(crate) struct Batch {
    pub(crate) chain_id: u64,
    pub(crate) safe: Option<Address>,
}

impl Batch {
    /// Writes the calls to a file.
    pub(crate) fn write(&self, path: &Path, mode: Mode, title: &str, calls: &[Call]) -> Result<(), CtlError> {
        let exists = path.exists();
        if mode == Mode::New && exists {
            return Err(CtlError::Exists { path: path.to_owned() });
        }
        let batch = if mode == Mode::Append && exists { self.read(path)? } else { self.empty(title) };
        let mut text = serde_json::to_string_pretty(&with(batch, calls)).map_err(CtlError::Encode)?;
        text.push('\n');
        fs::write(path, text).map_err(|source| CtlError::NotWritten { path: path.to_owned(), source })
    }

    fn empty(&self, title: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        json!({
            "version": "1.0",
            "chainId": self.chain_id.to_string(),
            "createdAt": u64::try_from(now).unwrap_or(0),
            "meta": {
                "name": title,
                "description": "Made by kmsctl. Compare the decoded values with what was agreed.",
                "txBuilderVersion": TX_BUILDER_VERSION,
                "createdFromSafeAddress": self.safe.map(|safe| safe.to_string()).unwrap_or_default(),
                "createdFromOwnerAddress": "",
            },
            "transactions": [],
        })
    }

    /// An existing batch, if it is for the same chain and Safe, and unchanged since it was written.
    fn read(&self, path: &Path) -> Result<Value, CtlError> {
        let foreign = |found: &str| {
            OwnerError::new(Fault::ForeignBatch, found, format_args!("a batch for chain {}", self.chain_id))
        };
        let mut batch: Value =
            serde_json::from_slice(&input::read(path)?).map_err(|_| foreign("something that is not JSON"))?;
        let found = take_checksum(&mut batch);
        if found != Some(json!(checksum(&batch))) {
            return Err(foreign("a batch whose checksum does not fit").into());
        }
        let safe = self.safe.map(|safe| safe.to_string()).unwrap_or_default();
        let expected = (Some(json!(self.chain_id.to_string())), Some(json!(safe)));
        let found = |pointer| batch.pointer(pointer).cloned();
        if (found("/chainId"), found("/meta/createdFromSafeAddress")) != expected {
            return Err(foreign("a batch for another chain or Safe").into());
        }
        Ok(batch)
    }
}

fn take_checksum(batch: &mut Value) -> Option<Value> {
    batch.get_mut("meta")?.as_object_mut()?.remove("checksum")
}

/// The batch with these calls as well, and its checksum.
fn with(mut batch: Value, calls: &[Call]) -> Value {
    if let Some(transactions) = batch.get_mut("transactions").and_then(Value::as_array_mut) {
        transactions.extend(calls.iter().map(transaction));
    }
    let checksum = checksum(&batch);
    if let Some(meta) = batch.get_mut("meta").and_then(Value::as_object_mut) {
        meta.insert("checksum".to_owned(), json!(checksum));
    }
    batch
}

fn transaction(call: &Call) -> Value {
    json!({
        "to": call.to.to_string(),
        "value": call.value,
        "data": call.data,
        "contractMethod": call.method,
        "contractInputsValues": call.values,
    })
}

/// Keccak-256 of the batch without its name, in a form that does not depend on the order of keys.
fn checksum(batch: &Value) -> B256 {
    let mut nameless = batch.clone();
    if let Some(meta) = nameless.get_mut("meta").and_then(Value::as_object_mut) {
        meta.insert("name".to_owned(), Value::Null);
    }
    keccak256(canonical(&nameless))
}

/// An object is its sorted keys as an array, then its values by that order, each followed by a comma.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let names: Value = sorted.iter().map(|(name, _)| json!(name)).collect();
            let values: Vec<String> = sorted.iter().map(|(_, value)| canonical(value) + ",").collect();
            format!("{{{names}{}}}", values.concat())
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The batch and the checksum of the Transaction Builder's own test.
    #[test]
    fn checksum__should_be_the_transaction_builders_own() {
        let address = "0x49d4450977E2c95362C13D3a31a09311E0Ea26A6";
        let input = |name: &str, kind: &str| json!({ "internalType": kind, "name": name, "type": kind });
        let method = |name: &str, input: Value| json!({ "inputs": [input], "name": name, "payable": false });
        let data = format!("0x42f45790{}49d4450977e2c95362c13d3a31a09311e0ea26a6", "00".repeat(12));
        let batch = json!({
            "version": "1.0",
            "chainId": "4",
            "createdAt": 1_646_321_521_061_u64,
            "meta": {
                "name": "test batch file",
                "txBuilderVersion": "1.4.0",
                "checksum": "",
                "createdFromSafeAddress": "0xDF8a1Ce35c9a6ACE153B4e0767942f1E2291a1Aa",
                "createdFromOwnerAddress": address,
            },
            "transactions": [
                {
                    "to": address,
                    "value": "0",
                    "contractMethod": method("testAddress", input("paramAddress", "address")),
                    "contractInputsValues": { "paramAddress": address },
                },
                {
                    "to": address,
                    "value": "0",
                    "contractMethod": method("testBool", input("paramBool", "bool")),
                    "contractInputsValues": { "paramAddress": "", "paramBool": "false" },
                },
                { "to": address, "value": "2000000000000000000", "data": data },
            ],
        });
        let expected = "0x4ecbfd364aa6759983915644e73f8bd411e85a2dc306f252a387c2728c4db64c";
        assert_eq!(checksum(&batch).to_string(), expected);
    }

    #[test]
    fn checksum__should_ignore_the_name_alone() {
        let batch = Batch { chain_id: 1, safe: None }.empty("a");
        let mut renamed = batch.clone();
        renamed["meta"]["name"] = json!("b");
        assert_eq!(checksum(&batch), checksum(&renamed));
        renamed["chainId"] = json!("2");
        assert_ne!(checksum(&batch), checksum(&renamed));
    }
}
