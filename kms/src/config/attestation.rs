//! `[attestation]`: which root of trust quotes lead to, and where collateral comes from.
//!
//! Reads the one file that the configuration depends on, another root of trust's certificate, because the policy digest
//! names its key. Never fetches anything.

use std::path::{Path, PathBuf};

use kms_attestation::RootOfTrust;
use kms_attestation::ids::RootKeyId;
use kms_attestation::pccs::{EvaluationSet, Source, SourceConfig, SourceKind};
use kms_attestation::root::RootError;

use super::fault::{FaultCode, quoted};
use super::layers::read_bounded;
use super::reader::Section;
use super::tree::Node;
use super::value::{Sink, Value};

/// The most sources of collateral: they are asked one after the other.
pub const MAX_PCCS: usize = 8;
/// The largest certificate that is read, in bytes; Intel's has 659.
const MAX_CERTIFICATE_BYTES: usize = 4096;
/// The key of the other root of trust.
const ROOT_KEY: &str = "insecure_root_certificate";

/// What quotes are verified against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// Another root of trust than Intel's, as DER: the platform is simulated.
    pub insecure_root_certificate: Option<Vec<u8>>,
    /// The root of trust's key, which the policy digest names.
    pub root_key_id: RootKeyId,
    /// Where collateral comes from, in the order in which the sources are asked. Never empty.
    pub pccs: Vec<SourceConfig>,
    /// Which of Intel's published requirements count.
    pub collateral_set: EvaluationSet,
}

impl Attestation {
    /// The root of trust. Cannot fail where the configuration was loaded from its files: it was checked then.
    pub fn root_of_trust(&self) -> Result<RootOfTrust, RootError> {
        match &self.insecure_root_certificate {
            None => Ok(RootOfTrust::intel()),
            Some(der) => RootOfTrust::configured(der),
        }
    }

    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let path = section.optional::<PathBuf>(ROOT_KEY);
        let intel = path.is_absent();
        let certificate = path.given().and_then(|path| read_root(section, &path));
        let pccs = read_pccs(section, intel);
        let sets = [("early", EvaluationSet::Early)];
        let collateral_set = section.choice("collateral_set", ("standard", EvaluationSet::Standard), &sets);
        let (insecure_root_certificate, root_key_id) = match certificate {
            Some((der, key_id)) => (Some(der), key_id),
            None if intel => (None, RootOfTrust::intel().key_id()),
            None => return None,
        };
        Some(Self { insecure_root_certificate, root_key_id, pccs: pccs?, collateral_set })
    }
}

fn read_root(section: &mut Section<'_>, path: &Path) -> Option<(Vec<u8>, RootKeyId)> {
    // A device or a pipe could be endless, or hang.
    let regular = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let der = if regular { read_bounded(path, MAX_CERTIFICATE_BYTES).ok() } else { None };
    let Some(der) = der.map(Option::unwrap_or_default) else {
        let found = format!("no readable file at {}", quoted(&path.to_string_lossy()));
        section.fault(FaultCode::Unreadable, ROOT_KEY, found, "a certificate in DER");
        return None;
    };
    match RootOfTrust::configured(&der) {
        Ok(root) if !root.is_intel() => Some((der, root.key_id())),
        Ok(_) => {
            let expected = "another one: without this key, Intel's root is the root of trust";
            section.fault(FaultCode::Conflict, ROOT_KEY, "Intel's own root", expected);
            None
        }
        Err(error) => {
            let expected = "a self-signed P-256 CA certificate in DER, at most 4096 bytes";
            section.fault(FaultCode::InvalidValue, ROOT_KEY, error.found, expected);
            None
        }
    }
}

fn read_pccs(section: &mut Section<'_>, intel: bool) -> Option<Vec<SourceConfig>> {
    let sources = section.tables("pccs", read_source);
    if sources.is_absent() {
        if intel {
            return Some(vec![SourceConfig::intel()]);
        }
        section.fault(FaultCode::MissingKey, "pccs", "nothing", "the PCCS of the other root of trust");
    }
    let sources = sources.given()?;
    if !(1..=MAX_PCCS).contains(&sources.len()) {
        let found = format!("{} sources", sources.len());
        section.fault(FaultCode::OutOfRange, "pccs", found, &format!("from 1 to {MAX_PCCS} sources"));
    }
    Some(sources)
}

fn read_source(section: &mut Section<'_>) -> Option<SourceConfig> {
    let url = section.required::<SourceUrl>("url");
    let kind = section.choice("kind", ("pccs", SourceKind::Pccs), &[("intel", SourceKind::Intel)]);
    let root_crl_url = section.optional::<SourceUrl>("root_crl_url").given().map(|url| url.0);
    let insecure_plain_http = section.or("insecure_plain_http", false);
    let config = SourceConfig { url: url?.0, kind, root_crl_url, insecure_plain_http };
    match Source::http(&config) {
        Ok(_) => Some(config),
        Err(error) => {
            let expected = "an https URL without credentials and query; http to this machine alone";
            section.fault(FaultCode::InvalidValue, "url", error.to_string(), expected);
            None
        }
    }
}

/// A URL that is not judged yet, and therefore never shown.
struct SourceUrl(String);

impl Value for SourceUrl {
    const EXPECTED: &'static str = "a URL";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        sink.text(node, Self::EXPECTED).map(|text| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        super::rpc_url::shown(&self.0)
    }
}
