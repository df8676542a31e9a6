//! `kmsctl app` and `kmsctl kms`: what owners and governance do on chain, through any JSON-RPC provider.
//!
//! ```text
//!  words (args) ─▶ Change ─▶ write: look, permit, simulate ─┬─▶ transact: sign, send, wait, check
//!                                                           └─▶ proposal: calldata, Safe batch, timelock
//!  words (args) ─▶ status: events ─▶ lists, checked against the state;  check: one batch
//! ```
//!
//! The provider is believed, as any wallet believes it: it can mislead a person, but no node, and it never sees a key.
//! Nothing here decides who gets keys.

/// Help that shows the command in use, and the exit codes of writes.
macro_rules! example {
    ($command:literal) => {
        concat!(
            "Example:\n  kmsctl ",
            $command,
            " \\\n      --private-key-file key.hex --rpc https://rpc.example.org\n\n",
            "Exit codes: 0 done, so before, or handed over; 10 refused; 3 the provider\n",
            "could not be asked; 2 wrong usage or an unusable file; 1 the result could not\n",
            "be written."
        )
    };
}

mod app;
mod args;
mod change;
mod error;
mod examine;
mod history;
mod kms;
mod ownership;
mod proposal;
mod provider;
mod report;
mod revert;
mod signer;
mod status_text;
mod transact;
mod values;
mod write;

use serde::Serialize;
use serde_json::json;

pub(crate) use self::app::args::AppCommand;
use self::args::ChainArgs;
pub(crate) use self::error::OwnerError;
pub(crate) use self::kms::args::KmsCommand;
use self::report::WriteReport;
pub(crate) use self::signer::secret_text;
pub(crate) use self::values::parse_address;
use crate::error::CtlError;
use crate::outcome::{self, Exit, Outcome};
use crate::style::Style;

/// `kmsctl app`.
pub(crate) fn app(command: &AppCommand) -> Result<Outcome, CtlError> {
    or_json(command.chain(), app::run(command))
}

/// `kmsctl kms`.
pub(crate) fn kms(command: &KmsCommand) -> Result<Outcome, CtlError> {
    or_json(command.chain(), kms::run(command))
}

/// For programs an error goes to standard output as well, as the member `error`.
fn or_json(chain: &ChainArgs, result: Result<Outcome, CtlError>) -> Result<Outcome, CtlError> {
    match result {
        Err(CtlError::Owner(error)) if chain.json => {
            let stdout = outcome::json(&json!({ "error": error.report() }))?;
            Ok(Outcome { stdout, ..CtlError::Owner(error).outcome() })
        }
        result => result,
    }
}

fn written(chain: &ChainArgs, report: &WriteReport) -> Result<Outcome, CtlError> {
    finish(chain, Exit::Done, report, |style| report.text(style))
}

fn finish(
    chain: &ChainArgs,
    exit: Exit,
    report: &impl Serialize,
    text: impl FnOnce(Style) -> String,
) -> Result<Outcome, CtlError> {
    let stdout = if chain.json { outcome::json(report)? } else { text(Style::of_stdout()).into() };
    Ok(Outcome { exit, stdout, stderr: String::new() })
}
