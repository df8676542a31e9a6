//! The values of a TD in words.

use kms_attestation::identity::{BootIdentity, BootPhase};
use kms_attestation::ids::{Measurement, ReportData};
use kms_attestation::mr_config::MrConfigId;
use kms_attestation::td::{TdReport, TdReportVersion, hex_le};

use crate::layout::printable;

/// The bits of the TD attributes that have a name (TDX module ABI, "ATTRIBUTES").
const ATTRIBUTES: [(u32, &str); 6] = [
    (0, "DEBUG: the host can read the guest's memory"),
    (28, "SEPT_VE_DISABLE"),
    (29, "MIGRATABLE"),
    (30, "PKS"),
    (31, "KEY_LOCKER"),
    (63, "PERFMON"),
];

/// The day of a date in RFC 3339. The text is of the collateral.
pub(super) fn day(date: &str) -> String {
    printable(date.split('T').next().unwrap_or_default())
}

/// The TDX module: its measurement, and the version under which the TD was launched.
pub(super) fn module(td: &TdReport) -> String {
    let layout = match td.version {
        TdReportVersion::Td10 => "TDX 1.0",
        TdReportVersion::Td15 => "TDX 1.5",
        TdReportVersion::Td15Ex => "TDX 1.5 extended",
    };
    format!("{} (MRSEAM), SVNs {}, report of {layout}", td.mr_seam, hex::encode(td.tee_tcb_svn))
}

/// The TD's attributes by name.
pub(super) fn attributes(td: &TdReport) -> String {
    let is_set = |bit: u32| td.td_attributes >> bit & 1 == 1;
    let named = ATTRIBUTES.iter().filter(|(bit, _)| is_set(*bit)).map(|(_, name)| (*name).to_owned());
    let is_named = |bit: &u32| ATTRIBUTES.iter().any(|(named, _)| named == bit);
    let others = (0..64).filter(|bit| is_set(*bit) && !is_named(bit)).map(|bit| format!("bit {bit}"));
    let all: Vec<_> = named.chain(others).collect();
    format!("attributes {} ({})", hex_le(td.td_attributes), all.join(", "))
}

/// A register and what it measures.
pub(super) fn register(value: &Measurement, what: &str) -> String {
    if value.is_zero() { format!("not set ({what})") } else { format!("{value} ({what})") }
}

/// What MRCONFIGID holds.
pub(super) fn config_version(value: &Measurement) -> &'static str {
    match MrConfigId::parse(value) {
        MrConfigId::Unset => "configuration, set by the host",
        MrConfigId::V1(_) => "version 1: the compose hash",
        MrConfigId::V2(_) => "version 2: app, code and key provider",
        MrConfigId::V3(_) => "version 3: a configuration document",
        MrConfigId::Unknown => "no known version",
    }
}

/// The 64 bytes that the TD chose.
pub(super) fn report_data(value: &ReportData) -> String {
    if value.is_zero() {
        "all zero: bound to nothing".to_owned()
    } else {
        format!("{value} (the guest's choice)")
    }
}

/// The instance.
pub(super) fn instance(identity: &BootIdentity) -> String {
    identity
        .instance_id
        .map_or_else(|| "none: all instances share one identity".to_owned(), |id| id.to_string())
}

/// Who gave the guest its keys. The text is the guest's own.
pub(super) fn key_provider(identity: &BootIdentity) -> String {
    match &identity.key_provider {
        None => "none yet".to_owned(),
        Some(provider) => format!("{}, id {}", printable(&provider.name), printable(&provider.id)),
    }
}

/// How far the guest had booted.
pub(super) fn phase(phase: BootPhase) -> &'static str {
    match phase {
        BootPhase::Booting => "not finished: this guest can ask for keys",
        BootPhase::Ready => "finished: this quote tells who runs, but can no longer ask for keys",
    }
}
