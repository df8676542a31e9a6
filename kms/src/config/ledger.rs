//! `[ledger]`: where decisions are recorded, and how the log is shown to others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kms_ledger::record::Identities;
use kms_ledger::serve::Blobs;

use super::fault::FaultCode;
use super::reader::Section;
use super::value::Bounds;
use super::witnesses::{self, Witnesses};

/// The log's folder, in the state directory, by default.
pub const DEFAULT_FOLDER: &str = "ledger";
/// Disk that only releases may use, in MiB: some ten thousand of them.
pub const RESERVE_MIB: Bounds = Bounds::new(512, 0, 1_048_576);
/// How often what was recorded is published as static files, with a new checkpoint, in milliseconds.
pub const PUBLISH_EVERY_MS: Bounds = Bounds::new(1_000, 10, 60_000);

/// For how many days evidence is kept; without it, for ever. The first number is no default.
pub const KEEP_EVIDENCE_DAYS: Bounds = Bounds::new(365, 1, 36_500);
/// The seconds of a day.
const DAY_SECS: u64 = 24 * 60 * 60;

/// Where decisions are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The folder.
    pub folder: PathBuf,
    /// Disk that only releases may use, in bytes.
    pub reserve_bytes: u64,
    /// How often a checkpoint is published.
    pub publish_every: Duration,
    /// Where the log is served over HTTP; nowhere by default.
    pub address: Option<SocketAddr>,
    /// Whether the evidence is served there too.
    pub serve_evidence: Blobs,
    /// Whether the tree says which apps asked, or only the evidence.
    pub identities: Identities,
    /// Where the log and its evidence are served to auditors; nowhere by default.
    pub auditors: Option<Auditors>,
    /// How long evidence is kept; for ever by default.
    pub keep_evidence: Option<Duration>,
    /// Who watches the log; nobody by default.
    pub witnesses: Option<Witnesses>,
}

/// Where the log and its evidence are served to auditors, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auditors {
    /// The address and port.
    pub address: SocketAddr,
    /// The file with the certificates, in PEM, of the CAs that auditors' certificates lead to.
    pub client_ca_file: PathBuf,
}

impl Auditors {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let (address, file) = (section.optional("address"), section.optional::<PathBuf>("client_ca_file"));
        if !address.is_absent() {
            section.demand("client_ca_file", &file, "a file with the CAs of auditors");
        }
        if !file.is_absent() {
            section.demand("address", &address, "an address and a port to serve auditors at");
        }
        Some(Self { address: address.given()?, client_ca_file: file.given()? })
    }
}

impl Ledger {
    pub(super) fn read(section: &mut Section<'_>, state_dir: &Path) -> Self {
        let ledger = Self {
            folder: section.or("folder", state_dir.join(DEFAULT_FOLDER)),
            reserve_bytes: section.number("reserve_mib", RESERVE_MIB) << 20,
            publish_every: section.millis("publish_every_ms", PUBLISH_EVERY_MS),
            address: section.optional("address").given(),
            serve_evidence: section.choice(
                "serve_evidence",
                ("withheld", Blobs::Withheld),
                &[("served", Blobs::Served)],
            ),
            keep_evidence: section
                .optional_number("keep_evidence_days", KEEP_EVIDENCE_DAYS)
                .given()
                .map(|days| Duration::from_secs(days * DAY_SECS)),
            witnesses: witnesses::read(section),
            identities: section.choice(
                "identities",
                ("open", Identities::Open),
                &[("sealed", Identities::Sealed)],
            ),
            auditors: section.section("auditors", Auditors::read),
        };
        if (ledger.identities, ledger.serve_evidence) == (Identities::Sealed, Blobs::Served) {
            let expected =
                "\"withheld\": the evidence tells what sealed identities hide; serve it to auditors alone";
            section.fault(FaultCode::Conflict, "serve_evidence", "\"served\"", expected);
        }
        ledger
    }
}
