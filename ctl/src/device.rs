//! `kmsctl device id`: the identity of the hardware that a quote names, for an allow-list.
//!
//! Nothing is verified here: a forged quote names any device. It is for people who know where their quote is from.

use kms_attestation::ids::{DeviceId, Fmspc, Ppid};
use kms_attestation::quote::Quote;
use serde::Serialize;

use crate::cli::DeviceIdArgs;
use crate::error::CtlError;
use crate::input;
use crate::outcome::{self, Exit, Outcome};

#[derive(Serialize)]
struct ClaimedDevice {
    device_id: DeviceId,
    ppid: Ppid,
    fmspc: Fmspc,
    verified: bool,
}

/// Prints the device id that a quote claims.
pub(crate) fn id(args: &DeviceIdArgs) -> Result<Outcome, CtlError> {
    let quote = Quote::parse(&input::bytes_or_hex(input::read(&args.quote)?))?;
    let platform = quote.platform();
    let device = ClaimedDevice {
        device_id: platform.ppid.device_id(),
        ppid: platform.ppid,
        fmspc: platform.fmspc,
        verified: false,
    };
    let stdout =
        if args.json { outcome::json(&device)? } else { format!("{}\n", device.device_id).into_bytes() };
    let remark = "note: this is what the quote claims; `kmsctl quote verify` tells whether it is true\n";
    Ok(Outcome { exit: Exit::Done, stdout, stderr: remark.to_owned() })
}
