//! The words for a receipt, and its files. They hold no secret, and may lie on a disk.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use kms_client::boot::{BootError, Receipt, ReceiptWanted};
use kms_ledger::receipt::BESIDE_SUFFIX;

use crate::Failure;

/// A proof that the node's log has the release.
#[derive(Debug, Args)]
#[command(next_help_heading = "A receipt")]
pub(crate) struct ReceiptArgs {
    /// Also get a proof that the node's log has this release, and keep it as FILE and FILE.json. One that does not hold is a
    /// refusal; without one in time there is a warning
    #[arg(long = "receipt", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take no keys without a receipt
    #[arg(long = "require-receipt", requires = "file")]
    required: bool,
}

impl ReceiptArgs {
    /// What to ask for.
    pub(crate) fn wanted(&self) -> ReceiptWanted {
        match (&self.file, self.required) {
            (None, _) => ReceiptWanted::No,
            (Some(_), false) => ReceiptWanted::IfInTime,
            (Some(_), true) => ReceiptWanted::Required,
        }
    }

    /// Keeps a receipt in place of an older one, or warns that there is none.
    pub(crate) fn keep(&self, receipt: Option<&Result<Receipt, BootError>>) -> Result<(), Failure> {
        match (&self.file, receipt) {
            (Some(file), Some(Ok(receipt))) => {
                replace(&with_end(file, BESIDE_SUFFIX), &receipt.encode_beside())?;
                replace(file, &receipt.proof.encode())
            }
            (_, Some(Err(error))) => {
                eprintln!("warning: {error}");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Written whole or not at all.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let new = with_end(path, ".new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
}
