//! What a write did, for programs under stable names, and for people.
//!
//! Hexadecimal is printed whole and on lines of its own where it does not fit: it is there to be copied.

use alloy::primitives::{Address, B256};
use serde::Serialize;

use super::change::Change;
use super::proposal::{Call, checksummed, checksummed_if_any, timelock::OperationReport};
use super::transact::Receipt;
use crate::layout::hang;
use crate::style::{Style, Tone};

/// The width of a label with the space around it: 66 characters, a hash with 0x, fit beside it.
const INDENT: usize = 14;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WriteResult {
    /// It has happened.
    Done,
    /// It was so before: nothing was sent.
    Already,
    /// It waits at the timelock.
    Scheduled,
    /// It waited at the timelock before: nothing was sent.
    AlreadyScheduled,
    /// Others are asked to make it: nothing was sent.
    Proposed,
}

/// The JSON output of every write.
#[derive(Debug, Serialize)]
pub(crate) struct WriteReport {
    /// For instance `app add-compose-hash`.
    pub(crate) command: &'static str,
    pub(crate) result: WriteResult,
    /// What it does, for people.
    pub(crate) change: String,
    pub(crate) chain_id: u64,
    #[serde(serialize_with = "checksummed")]
    pub(crate) contract: Address,
    /// Who sends; null where that is not known.
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) sender: Option<Address>,
    /// What was sent, in order.
    pub(crate) transactions: Vec<TransactionReport>,
    /// What others are to send.
    pub(crate) calls: Vec<Call>,
    /// The batch file that was written.
    pub(crate) safe_batch: Option<String>,
    pub(crate) operation: Option<OperationReport>,
    /// What was deployed.
    pub(crate) deployed: Option<Deployed>,
    /// Warnings and hints, for people.
    pub(crate) notes: Vec<String>,
}

/// What was deployed.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Deployed {
    /// The application's identity and contract.
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) app_id: Option<Address>,
    /// The KMS contract.
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) kms: Option<Address>,
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) kms_implementation: Option<Address>,
    #[serde(serialize_with = "checksummed_if_any")]
    pub(crate) app_implementation: Option<Address>,
    #[serde(serialize_with = "checksummed")]
    pub(crate) owner: Address,
}

/// A transaction in its block.
#[derive(Debug, Serialize)]
pub(crate) struct TransactionReport {
    pub(crate) hash: B256,
    pub(crate) block_number: u64,
    pub(crate) block_hash: B256,
    pub(crate) gas_used: u64,
    /// In decimal; null if the provider does not say.
    pub(crate) fee_wei: Option<String>,
}

impl From<&Receipt> for TransactionReport {
    fn from(receipt: &Receipt) -> Self {
        let gas_used = receipt.gas_used;
        let fee = receipt
            .effective_gas_price
            .map(|price| (price * gas_used.to::<alloy::primitives::U256>()).to_string());
        Self {
            hash: receipt.transaction_hash,
            block_number: receipt.block_number.to(),
            block_hash: receipt.block_hash,
            gas_used: gas_used.to(),
            fee_wei: fee,
        }
    }
}

impl WriteReport {
    /// The report of a change of which nothing has happened yet.
    pub(crate) fn of(command: &'static str, change: &Change, chain_id: u64) -> Self {
        Self {
            command,
            result: WriteResult::Proposed,
            change: change.title.clone(),
            chain_id,
            contract: change.contract,
            sender: None,
            transactions: Vec::new(),
            calls: Vec::new(),
            safe_batch: None,
            operation: None,
            deployed: None,
            notes: Vec::new(),
        }
    }

    /// The same with this result.
    pub(crate) fn ending(self, result: WriteResult) -> Self {
        Self { result, ..self }
    }

    /// The report for people.
    pub(crate) fn text(&self, style: Style) -> String {
        let headline = match self.result {
            WriteResult::Done => style.paint(Tone::Good, "DONE"),
            WriteResult::Already => style.paint(Tone::Good, "ALREADY SO, NOTHING SENT"),
            WriteResult::Scheduled => style.paint(Tone::Good, "SCHEDULED"),
            WriteResult::AlreadyScheduled => style.paint(Tone::Good, "ALREADY SCHEDULED, NOTHING SENT"),
            WriteResult::Proposed => style.paint(Tone::Heading, "NOTHING SENT: FOR OTHERS TO SEND"),
        };
        let mut text = format!("{headline}\n");
        text.push_str(&line("change", &self.change));
        text.push_str(&line("contract", &self.contract.to_string()));
        text.push_str(&line("chain id", &self.chain_id.to_string()));
        text.extend(self.sender.iter().map(|sender| line("sender", &sender.to_string())));
        text.extend(self.deployed.iter().map(Deployed::text));
        text.extend(self.transactions.iter().map(TransactionReport::text));
        text.extend(self.operation.iter().map(operation_text));
        text.extend(self.safe_batch.iter().map(|path| line("batch file", path)));
        text.extend(self.calls.iter().map(call_text));
        text.extend(self.notes.iter().map(|note| line("note", note)));
        text
    }
}

impl Deployed {
    fn text(&self) -> String {
        let rows = [
            ("app id", self.app_id),
            ("kms", self.kms),
            ("kms code", self.kms_implementation),
            ("app code", self.app_implementation),
            ("owner", Some(self.owner)),
        ];
        rows.iter().filter_map(|(label, at)| at.map(|at| line(label, &at.to_string()))).collect()
    }
}

impl TransactionReport {
    fn text(&self) -> String {
        let block = format!("{} ({} gas)", self.block_number, self.gas_used);
        [line("transaction", &self.hash.to_string()), line("block", &block)].concat()
    }
}

fn operation_text(operation: &OperationReport) -> String {
    let delay = format!("{} s", operation.delay_secs);
    let ready = operation.ready_at.clone().map(|at| line("ready", &format!("{at} or later")));
    let rows = [
        line("timelock", &operation.timelock.to_string()),
        line("operation", &operation.id.to_string()),
        line("delay", &delay),
    ];
    rows.concat() + &ready.unwrap_or_default()
}

/// The data is on a line of its own and not broken.
fn call_text(call: &Call) -> String {
    let head = match call.step {
        "direct" => "call".to_owned(),
        step => format!("call ({step})"),
    };
    format!(
        "\n{head}\n{}{}  data\n{}\n",
        line("to", &call.to.to_string()),
        line("value", call.value),
        call.data
    )
}

/// A labelled line.
pub(crate) fn line(label: &str, text: &str) -> String {
    hang(&format!("  {label:<12}"), INDENT, text)
}
