//! Where collateral may come from, as the operator configures it.
//!
//! A source is never trusted, so it needs no secret, and its URL may hold none: credentials and queries are
//! refused, which is also why a URL can appear in errors and logs as it is. Plain HTTP is refused except to this
//! machine itself. It could not forge anything, as collateral is signed; but whoever sits on the way would see
//! which kinds of platform a node serves, and could choose among all answers that are still valid.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::Uri;
use serde::Deserialize;
use x509_cert::ext::pkix::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::fault::{Fault, SourceName};
use super::key::CollateralKey;
use super::pack::Pack;
use super::wire::{Endpoint, EvaluationSet};
use crate::root::RootOfTrust;

/// The longest URL that is read, in bytes.
const MAX_URL_BYTES: usize = 512;
/// Intel's own service, the Provisioning Certification Service. It needs no key for collateral.
pub const INTEL_PCS_URL: &str = "https://api.trustedservices.intel.com";
/// What a base URL may end with; operators copy it from the configuration of Intel's own tools.
const VERSION_PATHS: [&str; 2] = ["/sgx/certification/v4", "/tdx/certification/v4"];

/// Which service answers at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A PCCS, which also serves the root's revocation list.
    #[default]
    Pccs,
    /// Intel's own service, where the root's revocation list is at the root certificate's distribution point.
    Intel,
}

/// A source as it stands in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The base URL, with or without `/sgx/certification/v4` or `/tdx/certification/v4`.
    pub url: String,
    /// Which service it is.
    #[serde(default)]
    pub kind: SourceKind,
    /// Where the root's revocation list is, if not where the kind of source has it.
    #[serde(default)]
    pub root_crl_url: Option<String>,
    /// Allows plain HTTP to other machines.
    #[serde(default)]
    pub insecure_plain_http: bool,
}

impl SourceConfig {
    /// A PCCS at the given base URL.
    pub fn pccs(url: impl Into<String>) -> Self {
        Self { url: url.into(), kind: SourceKind::Pccs, root_crl_url: None, insecure_plain_http: false }
    }

    /// Intel's own service.
    #[must_use]
    pub fn intel() -> Self {
        Self { kind: SourceKind::Intel, ..Self::pccs(INTEL_PCS_URL) }
    }
}

/// A source that cannot be used as configured. The text repeats no part of a URL that could be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not an absolute http or https URL.
    #[error(
        "a collateral source's URL is not an absolute http or https URL of at most {MAX_URL_BYTES} bytes"
    )]
    NotAUrl,
    /// It carries a user name or password.
    #[error("the URL of the collateral source {0} carries credentials; a source needs none, remove them")]
    Credentials(String),
    /// It carries a query.
    #[error("the URL of the collateral source {0} carries a query; give the base URL alone")]
    Query(String),
    /// It would be reached over plain HTTP.
    #[error(
        "the collateral source {0} uses plain HTTP to another machine; use https, or set insecure_plain_http \
         if the way to it is protected otherwise"
    )]
    PlainHttp(String),
    /// The root certificate names no distribution point, and none is configured.
    #[error(
        "the collateral source {0} needs root_crl_url: the root of trust names no CRL distribution point"
    )]
    NoRootCrlUrl(String),
    /// An extra TLS root cannot be read.
    #[error("extra TLS root number {0} is not a certificate in DER")]
    TlsRoot(usize),
    /// rustls refused its configuration.
    #[error("TLS cannot be configured: {0}")]
    Tls(String),
    /// There are too many sources.
    #[error("{found} collateral sources; at most {max}")]
    TooManySources {
        /// How many are configured.
        found: usize,
        /// How many may be.
        max: usize,
    },
}

/// A source, checked. Sources are asked in the order in which they are given.
#[derive(Debug, Clone)]
pub struct Source {
    name: SourceName,
    origin: Origin,
}

#[derive(Debug, Clone)]
pub(super) enum Origin {
    Http(HttpOrigin),
    Pack(Arc<Pack>),
}

impl Source {
    /// A PCCS or Intel's own service.
    pub fn http(config: &SourceConfig) -> Result<Self, ConfigError> {
        let uri = parse_url(&config.url, config.insecure_plain_http)?;
        let base = strip_version(&uri.to_string()).to_owned();
        let root_crl = config.root_crl_url.as_deref();
        let root_crl = root_crl.map(|url| parse_url(url, config.insecure_plain_http)).transpose()?;
        let origin =
            HttpOrigin { base, kind: config.kind, root_crl, insecure_plain_http: config.insecure_plain_http };
        Ok(Self { name: SourceName::new(&origin.base), origin: Origin::Http(origin) })
    }

    /// An offline pack, best given last. It is refused like any source when it holds older collateral than was seen.
    #[must_use]
    pub fn pack(pack: Pack) -> Self {
        Self { name: SourceName::new("offline pack"), origin: Origin::Pack(Arc::new(pack)) }
    }

    /// The name by which errors and logs call it.
    #[must_use]
    pub fn name(&self) -> &SourceName {
        &self.name
    }

    /// Whether `insecure_plain_http` is set: for the list of such switches that is shown at the start.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        matches!(&self.origin, Origin::Http(http) if http.insecure_plain_http)
    }

    /// Whether asking it takes time: a pack is in memory.
    pub(super) fn takes_time(&self) -> bool {
        matches!(self.origin, Origin::Http(_))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Settles where the root's revocation list is.
    pub(super) fn with_root(mut self, root: &RootOfTrust) -> Result<Self, ConfigError> {
        if let Origin::Http(http) = &mut self.origin
            && http.kind == SourceKind::Intel
            && http.root_crl.is_none()
        {
            let url =
                crl_distribution_point(root).ok_or_else(|| ConfigError::NoRootCrlUrl(http.base.clone()))?;
            http.root_crl = Some(parse_url(&url, http.insecure_plain_http)?);
        }
        Ok(self)
    }
}

/// A source that is reached over HTTP.
#[derive(Debug, Clone)]
pub(super) struct HttpOrigin {
    base: String,
    kind: SourceKind,
    root_crl: Option<Uri>,
    insecure_plain_http: bool,
}

impl HttpOrigin {
    pub(super) fn url(
        &self,
        endpoint: Endpoint,
        key: CollateralKey,
        set: EvaluationSet,
    ) -> Result<Uri, Fault> {
        match (&self.root_crl, endpoint) {
            (Some(url), Endpoint::RootCrl) => Ok(url.clone()),
            _ => format!("{}{}", self.base, endpoint.path(key.fmspc, key.ca, set))
                .parse()
                .map_err(|_| Fault::Malformed("a base URL that cannot be extended")),
        }
    }
}

fn strip_version(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    let stripped = VERSION_PATHS.iter().find_map(|path| url.strip_suffix(path));
    stripped.unwrap_or(url).trim_end_matches('/')
}

fn parse_url(text: &str, insecure_plain_http: bool) -> Result<Uri, ConfigError> {
    if text.len() > MAX_URL_BYTES {
        return Err(ConfigError::NotAUrl);
    }
    let uri: Uri = text.parse().map_err(|_| ConfigError::NotAUrl)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(ConfigError::NotAUrl);
    };
    let name = || format!("{scheme}://{}", authority.host());
    match scheme {
        _ if authority.as_str().contains('@') => Err(ConfigError::Credentials(name())),
        _ if uri.query().is_some() => Err(ConfigError::Query(name())),
        "https" => Ok(uri),
        "http" if insecure_plain_http || is_loopback(authority.host()) => Ok(uri),
        "http" => Err(ConfigError::PlainHttp(name())),
        _ => Err(ConfigError::NotAUrl),
    }
}

/// Whether a host can only be this machine: an address of the loopback network, or the name reserved for it.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
}

/// The first URL at which the root says its revocation list is.
fn crl_distribution_point(root: &RootOfTrust) -> Option<String> {
    let extension = root.cert().x509().tbs_certificate().get_extension::<CrlDistributionPoints>();
    let (_, CrlDistributionPoints(points)) = extension.ok()??;
    points.iter().find_map(|point| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => names.iter().find_map(|name| match name {
            GeneralName::UniformResourceIdentifier(url) => Some(url.to_string()),
            _ => None,
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> SourceConfig {
        SourceConfig::pccs(url)
    }

    #[test]
    fn source__should_normalise_its_base_url() {
        for url in [
            "https://pccs.example:8081",
            "https://pccs.example:8081/",
            "https://pccs.example:8081/sgx/certification/v4/",
            "https://pccs.example:8081/tdx/certification/v4",
            "https://pccs.example:8081//sgx/certification/v4//",
        ] {
            assert_eq!(
                Source::http(&config(url)).unwrap().name().as_str(),
                "https://pccs.example:8081",
                "{url}"
            );
        }
        let source = Source::http(&config("https://h.example/pccs/sgx/certification/v4")).unwrap();
        assert_eq!(source.name().as_str(), "https://h.example/pccs");
    }

    #[test]
    fn source__should_refuse_plain_http_to_other_machines() {
        for url in ["http://127.0.0.1:80", "http://[::1]:8081/", "http://localhost", "http://127.9.9.9"] {
            assert!(Source::http(&config(url)).is_ok(), "{url}");
        }
        for url in ["http://pccs.example", "http://10.0.0.1", "http://127.0.0.1.example", "http://[::2]:8081"]
        {
            assert!(matches!(Source::http(&config(url)), Err(ConfigError::PlainHttp(_))), "{url}");
            let insecure = SourceConfig { insecure_plain_http: true, ..config(url) };
            assert!(Source::http(&insecure).unwrap().is_insecure(), "{url}");
        }
        let hidden =
            SourceConfig { root_crl_url: Some("http://crl.example/x".into()), ..config("https://h.example") };
        assert_eq!(Source::http(&hidden).unwrap_err(), ConfigError::PlainHttp("http://crl.example".into()));
    }

    #[test]
    fn source__should_refuse_what_could_be_secret_and_not_repeat_it() {
        let error = Source::http(&config("https://user:hunter2@pccs.example/")).unwrap_err();
        assert!(matches!(error, ConfigError::Credentials(_)) && !error.to_string().contains("hunter2"));
        let error = Source::http(&config("https://pccs.example/?key=hunter2")).unwrap_err();
        assert!(matches!(error, ConfigError::Query(_)) && !error.to_string().contains("hunter2"));
        let long = format!("https://pccs.example/{}", "a".repeat(600));
        for url in ["", "pccs.example", "/sgx", "ftp://pccs.example", "https://", &long] {
            assert_eq!(Source::http(&config(url)).unwrap_err(), ConfigError::NotAUrl, "{url}");
        }
    }

    #[test]
    fn source__should_find_intels_root_list_where_the_root_says() {
        let root = RootOfTrust::intel();
        let source = Source::http(&SourceConfig::intel()).unwrap().with_root(&root).unwrap();
        let Origin::Http(http) = source.origin() else { panic!("{source:?}") };
        let key = CollateralKey { fmspc: crate::ids::Fmspc::ZERO, ca: crate::collateral::PckCa::Platform };
        let url = http.url(Endpoint::RootCrl, key, EvaluationSet::Standard).unwrap();
        assert!(url.path().ends_with("IntelSGXRootCA.der"), "{url}");
        let pccs = Source::http(&config("https://h.example")).unwrap().with_root(&root).unwrap();
        let Origin::Http(http) = pccs.origin() else { panic!("{pccs:?}") };
        let url = http.url(Endpoint::RootCrl, key, EvaluationSet::Standard).unwrap();
        assert_eq!(url.to_string(), "https://h.example/sgx/certification/v4/rootcacrl");
    }

    #[test]
    fn config__should_refuse_unknown_keys() {
        let read = serde_json::from_str::<SourceConfig>;
        assert_eq!(read(r#"{"url":"https://h.example"}"#).unwrap(), config("https://h.example"));
        assert!(read(r#"{"url":"https://h.example","insecure":true}"#).is_err());
        assert!(read(r#"{"url":"https://h.example","kind":"cloud"}"#).is_err());
    }
}
