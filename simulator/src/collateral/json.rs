//! How Intel's JSON spells bytes, dates and components: serde's `serialize_with` for the documents beside it.
#![expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde passes every field so")]

use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use kms_attestation::ids::Fmspc;

use crate::pki::DAY;

/// Bytes as upper-case hexadecimal.
pub(super) fn hex<T: AsRef<[u8]>, S: Serializer>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error> {
    hex::encode_upper(bytes).serialize(serializer)
}

/// An FMSPC, which by now must be known.
pub(super) fn fmspc<S: Serializer>(fmspc: &Option<Fmspc>, serializer: S) -> Result<S::Ok, S::Error> {
    let fmspc = fmspc.ok_or_else(|| S::Error::custom("TCB info is for one FMSPC"))?;
    hex(&fmspc.0, serializer)
}

/// Unix seconds as RFC 3339 in UTC.
pub(super) fn date<S: Serializer>(unix_seconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let seconds = i64::try_from(*unix_seconds).map_err(S::Error::custom)?;
    let date = jiff::Timestamp::from_second(seconds).map_err(S::Error::custom)?;
    serializer.collect_str(&date)
}

/// Midnight, so many days before `now`: TCB dates are whole days.
pub(super) fn days_before(now: u64, days: u64) -> u64 {
    (now / DAY).saturating_sub(days) * DAY
}

/// What kind of firmware an SVN component counts, by its place; empty where Intel says nothing.
type Label = (&'static str, &'static str);

const SGX_LABELS: [Label; 8] = [
    ("BIOS", "Early Microcode Update"),
    ("OS/VMM", "SGX Late Microcode Update"),
    ("OS/VMM", "TXT SINIT"),
    ("BIOS", ""),
    ("BIOS", ""),
    ("BIOS", ""),
    ("", ""),
    ("OS/VMM", "SEAMLDR ACM"),
];
const TDX_LABELS: [Label; 3] =
    [("OS/VMM", "TDX Module"), ("OS/VMM", "TDX Module"), ("OS/VMM", "TDX Late Microcode Update")];

#[derive(Serialize)]
struct Component {
    svn: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    category: &'static str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'static str,
}

fn components<S: Serializer>(svns: &[u8], labels: &[Label], serializer: S) -> Result<S::Ok, S::Error> {
    let labels = labels.iter().copied().chain(std::iter::repeat(("", "")));
    let mut sequence = serializer.serialize_seq(Some(svns.len()))?;
    for (&svn, (category, kind)) in svns.iter().zip(labels) {
        sequence.serialize_element(&Component { svn, category, kind })?;
    }
    sequence.end()
}

/// The SVNs of SGX components.
pub(super) fn sgx_components<S: Serializer>(svns: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    components(svns, &SGX_LABELS, serializer)
}

/// The SVNs of TDX components.
pub(super) fn tdx_components<S: Serializer>(svns: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    components(svns, &TDX_LABELS, serializer)
}
