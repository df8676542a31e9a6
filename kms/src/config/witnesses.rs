//! `[[ledger.witnesses]]`, `ledger.witness_quorum`, `ledger.stop_without_witnesses_s`: who watches the log, and what is
//! promised of it.
//!
//! Keys, quorum and stop are in the policy document, so that every record shows what the node promised; addresses are not.
//! Threats: witnesses that are fewer than they look; a quorum of which two could vouch for two logs; a typing error that
//! leaves the log unwatched.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hyper::Uri;
use kms_ledger::http::Trust;
use kms_ledger::note::WitnessKey;
use kms_ledger::witness::WitnessClient;

use super::fault::FaultCode;
use super::reader::{Read, Section};
use super::tree::Node;
use super::value::{Bounds, Sink, Value};

/// The most witnesses: each is asked for every checkpoint, and adds a line to it.
pub const MAX_WITNESSES: usize = 16;
/// How many of them must have cosigned. All by default: fewer are a choice that the policy shows.
pub const QUORUM: Bounds = Bounds::new(0, 1, MAX_WITNESSES as u64);
/// How old the quorum's cosignatures may be until releases stop, in seconds; not given: they never stop for that. The
/// first number is no default. Witnesses are asked three times within it, and at least once a minute.
pub const STOP_WITHOUT_S: Bounds = Bounds::new(600, 5, 7 * 24 * 60 * 60);
/// The longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;
const URL_EXPECTED: &str = "an https URL without credentials and query; http to this machine alone";

/// Who watches the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnesses {
    /// The witnesses; from 1 to [`MAX_WITNESSES`], of distinct names and keys.
    pub each: Vec<WitnessAt>,
    /// How many of them must have cosigned: a majority.
    pub quorum: usize,
    /// How old their cosignatures may be until releases stop.
    pub stop_after: Option<Duration>,
}

/// A witness, and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAt {
    /// Its submission prefix.
    pub url: WitnessUrl,
    /// Its key.
    pub key: WitnessKey,
}

impl WitnessAt {
    /// A client of it, which connects when it is first used. Cannot fail where the configuration was loaded.
    pub fn client(&self) -> Result<WitnessClient, kms_ledger::LedgerRefusal> {
        WitnessClient::new(&self.url.0, self.key.clone(), Trust::default())
    }
}

/// The URL of a witness. Its path may be a credential: only scheme and host are ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessUrl(String);

impl fmt::Debug for WitnessUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessUrl({})", self.show())
    }
}

impl WitnessUrl {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok().filter(|_| text.len() <= MAX_URL_BYTES)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let reachable = match uri.scheme_str()? {
            "https" => true,
            "http" => is_loopback(authority.host()),
            _ => false,
        };
        let plain = !authority.host().is_empty() && uri.query().is_none() && !text.contains('#');
        (reachable && plain).then(|| Self(text.to_owned()))
    }
}

impl Value for WitnessUrl {
    const EXPECTED: &'static str = URL_EXPECTED;

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        let text = sink.text(node, Self::EXPECTED)?;
        let url = Self::parse(text);
        if url.is_none() {
            sink.fault(FaultCode::InvalidValue, super::rpc_url::shown(text), Self::EXPECTED);
        }
        url
    }

    fn show(&self) -> String {
        super::rpc_url::shown(&self.0)
    }
}

impl Value for WitnessKey {
    const EXPECTED: &'static str = "the key of a witness as it prints it: <name>+<key id>+<base64>";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        sink.parsed(node, |text| text.parse().ok())
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

/// Whether a host can only be this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Witnesses> {
    let each = section.tables("witnesses", |section| {
        let (url, key) = (section.required::<WitnessUrl>("url"), section.required::<WitnessKey>("key"));
        Some(WitnessAt { url: url?, key: key? })
    });
    let quorum = section.optional_number("witness_quorum", QUORUM);
    let stop = section.optional_number("stop_without_witnesses_s", STOP_WITHOUT_S);
    if each.is_absent() {
        let given =
            [("witness_quorum", !quorum.is_absent()), ("stop_without_witnesses_s", !stop.is_absent())];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            section.fault(FaultCode::Conflict, key, "no witnesses", "[[ledger.witnesses]] beside it");
        }
        return None;
    }
    let each = each.given()?;
    check_distinct(section, &each);
    let quorum = read_quorum(section, each.len(), quorum);
    Some(Witnesses { each, quorum, stop_after: stop.given().map(Duration::from_secs) })
}

fn check_distinct(section: &mut Section<'_>, each: &[WitnessAt]) {
    if !(1..=MAX_WITNESSES).contains(&each.len()) {
        let expected = format!("from 1 to {MAX_WITNESSES} witnesses");
        section.fault(FaultCode::OutOfRange, "witnesses", format!("{} witnesses", each.len()), &expected);
    }
    let names: BTreeSet<_> = each.iter().map(|witness| witness.key.name()).collect();
    let keys: BTreeSet<_> = each.iter().map(|witness| witness.key.public_key()).collect();
    if names.len().min(keys.len()) < each.len() {
        let found = format!("{} witnesses with {} names and {} keys", each.len(), names.len(), keys.len());
        let expected = "each with a name and a key of its own: one key is one voice";
        section.fault(FaultCode::Conflict, "witnesses", found, expected);
    }
}

fn read_quorum(section: &mut Section<'_>, count: usize, quorum: Read<u64>) -> usize {
    let Some(quorum) = quorum.given().and_then(|quorum| usize::try_from(quorum).ok()) else { return count };
    if !(count / 2 + 1..=count).contains(&quorum) {
        // Fewer than a majority could vouch for two logs, each of them honestly.
        let expected = format!("a majority, from {} to {count}", count / 2 + 1);
        section.fault(FaultCode::Conflict, "witness_quorum", format!("{quorum} of {count}"), &expected);
    }
    quorum
}
