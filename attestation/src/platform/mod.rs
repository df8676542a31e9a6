//! Where a quote comes from inside a guest: the guest agent's socket, or the kernel itself.
//!
//! ```text
//! 1. dstack guest agent   HTTP on a unix socket, default /var/run/dstack.sock      quote and event log
//! 2. Linux configfs-tsm   directory /sys/kernel/config/tsm/report                  quote alone
//! ```
//!
//! Called by the client at boot and by the node when it issues its certificate or answers a fresh challenge. It
//! reads sockets and files, never the network, and it verifies nothing: its caller sends what it returns to a
//! verifier. One thing is checked, because only the asker can: that the quote carries the report data that was
//! asked for. A source that mixes up two requests, or answers with an old quote, is noticed here and not by a
//! peer's puzzling refusal.
//!
//! [`QuoteProvider`] is a trait so that callers can be tested with any source; its future is `Send` and not boxed.
//! [`Platform`] is an enum and not a trait object: there are exactly two sources in a guest, and a caller that
//! logs which one it uses can match on it.

mod error;
mod guest_agent;
mod tsm;

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

pub use error::PlatformError;
pub use guest_agent::{DEFAULT_AGENT_SOCKET, GuestAgent, GuestInfo, MAX_ANSWER_BYTES};
pub use tsm::{DEFAULT_TSM_ROOT, Tsm};

use crate::ids::ReportData;

/// What a source gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestQuote {
    /// The raw quote. It carries the report data that was asked for; nothing else is checked.
    pub quote: Vec<u8>,
    /// The event log as JSON text, where the source keeps one: the guest agent does, the kernel does not.
    pub event_log: Option<Vec<u8>>,
}

/// A source of quotes.
pub trait QuoteProvider: Send + Sync {
    /// Asks for a quote with this report data.
    fn quote(
        &self,
        report_data: ReportData,
    ) -> impl Future<Output = Result<GuestQuote, PlatformError>> + Send;
}

/// Where the two sources are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPaths {
    /// The guest agent's socket.
    pub agent_socket: PathBuf,
    /// The directory in which configfs-tsm makes reports.
    pub tsm_root: PathBuf,
}

impl Default for PlatformPaths {
    fn default() -> Self {
        Self { agent_socket: DEFAULT_AGENT_SOCKET.into(), tsm_root: DEFAULT_TSM_ROOT.into() }
    }
}

/// The source that this guest has.
#[derive(Debug, Clone)]
pub enum Platform {
    /// The dstack guest agent.
    GuestAgent(GuestAgent),
    /// The kernel.
    Tsm(Tsm),
}

impl Platform {
    /// Chooses the guest agent where its socket exists, else the kernel.
    ///
    /// An agent that is there but does not answer is an error when it is asked. It is not replaced by the kernel:
    /// the quote would lack its event log, and the cause would be hidden.
    pub async fn detect(paths: &PlatformPaths) -> Result<Self, PlatformError> {
        if is_socket(&paths.agent_socket).await {
            return Ok(Self::GuestAgent(GuestAgent::new(&paths.agent_socket)));
        }
        if is_directory(&paths.tsm_root).await {
            return Ok(Self::Tsm(Tsm::new(&paths.tsm_root)));
        }
        Err(PlatformError::NoSource {
            agent_socket: paths.agent_socket.clone(),
            tsm_root: paths.tsm_root.clone(),
        })
    }
}

impl QuoteProvider for Platform {
    async fn quote(&self, report_data: ReportData) -> Result<GuestQuote, PlatformError> {
        match self {
            Self::GuestAgent(agent) => agent.quote(report_data).await,
            Self::Tsm(tsm) => tsm.quote(report_data).await,
        }
    }
}

async fn is_socket(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.file_type().is_socket())
}

async fn is_directory(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.is_dir())
}

/// Refuses a quote that does not carry the report data that was asked for; `place` is where it came from.
fn check_carries(quote: &[u8], asked: &ReportData, place: &Path) -> Result<(), PlatformError> {
    let carried = carried_report_data(quote);
    if carried.as_ref() == Some(asked) {
        return Ok(());
    }
    let found = match carried {
        Some(report_data) => format!("report data {report_data}"),
        None => format!("{} bytes that are no TDX quote of version 4 or 5", quote.len()),
    };
    Err(PlatformError::WrongQuote { place: place.to_owned(), found, expected: *asked })
}

/// The report data of a quote, at offset 520 of the TD report: after a header of 48 bytes in version 4, of 54 in
/// version 5, whose TD reports of all kinds begin alike.
fn carried_report_data(quote: &[u8]) -> Option<ReportData> {
    let offset = match quote.first_chunk::<2>().map(|version| u16::from_le_bytes(*version)) {
        Some(4) => 568,
        Some(5) => 574,
        _ => return None,
    };
    ReportData::try_from(quote.get(offset..offset + ReportData::LEN)?).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use kms_simulator::platform::Platform as Simulated;
    use kms_simulator::quote::{QuoteSpec, ReportKind};

    use super::*;

    /// The form of a quote, as far as this module looks at it.
    pub(super) fn quote_with(report_data: &ReportData) -> Vec<u8> {
        let mut quote = vec![0; 5006];
        quote[0] = 4;
        quote[568..632].copy_from_slice(&report_data.0);
        quote
    }

    #[test]
    fn carried_report_data__should_be_found_in_every_kind_of_quote() {
        let host = Simulated::from_seed(7, 1_800_000_000).unwrap();
        for (version, report_kind) in
            [(4, ReportKind::Td10), (5, ReportKind::Td10), (5, ReportKind::Td15), (5, ReportKind::Td15Ex)]
        {
            let report_data = "07".repeat(64).parse().unwrap();
            let spec = QuoteSpec { version, report_kind, report_data, ..QuoteSpec::default() };
            let quote = host.host(0).unwrap().quote(&spec).unwrap();
            assert_eq!(carried_report_data(&quote), Some(ReportData([7; 64])), "{version} {report_kind:?}");
        }
    }

    #[test]
    fn check_carries__should_refuse_another_quote_and_no_quote() {
        let (asked, other) = (ReportData([7; 64]), ReportData([8; 64]));
        let place = Path::new("here");
        let wrong = check_carries(&quote_with(&other), &asked, place).unwrap_err();
        assert_eq!(wrong.code(), "quote-wrong-report-data");
        assert!(wrong.found().contains(&other.to_string()) && wrong.expected().contains(&asked.to_string()));
        for broken in [&[][..], &[3; 700], &quote_with(&asked)[..631]] {
            assert!(check_carries(broken, &asked, place).is_err());
        }
        assert!(check_carries(&quote_with(&asked), &asked, place).is_ok());
    }

    #[tokio::test]
    async fn detect__should_prefer_the_agent_then_the_kernel_then_say_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let paths = PlatformPaths {
            agent_socket: root.path().join("dstack.sock"),
            tsm_root: root.path().join("report"),
        };
        let missing = Platform::detect(&paths).await.unwrap_err();
        assert_eq!(missing.code(), "platform-no-source");
        assert!(missing.to_string().contains("dstack.sock") && missing.to_string().contains("report"));

        std::fs::create_dir(&paths.tsm_root).unwrap();
        // A plain file in the socket's place is no agent.
        std::fs::write(&paths.agent_socket, "").unwrap();
        assert!(matches!(Platform::detect(&paths).await.unwrap(), Platform::Tsm(_)));

        std::fs::remove_file(&paths.agent_socket).unwrap();
        let _listener = UnixListener::bind(&paths.agent_socket).unwrap();
        assert!(matches!(Platform::detect(&paths).await.unwrap(), Platform::GuestAgent(_)));
    }

    #[tokio::test]
    async fn platform__should_pass_the_question_on() {
        let root = tempfile::tempdir().unwrap();
        let tsm = Platform::Tsm(Tsm::new(&root.path().join("absent")));
        assert_eq!(tsm.quote(ReportData::ZERO).await.unwrap_err().code(), "tsm-missing");
        let agent = Platform::GuestAgent(GuestAgent::new(&root.path().join("absent.sock")));
        assert_eq!(agent.quote(ReportData::ZERO).await.unwrap_err().code(), "agent-unreachable");
    }
}
