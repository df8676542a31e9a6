//! The URL of an RPC provider: it often holds an API key, so only its scheme and host are ever shown.

use std::fmt;

use hyper::Uri;
use kms_chain::{Rpc, RpcFault, RpcLimits, Transport};

use super::fault::FaultCode;
use super::tree::Node;
use super::value::{Sink, Value};

/// The longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// The URL of an RPC provider. `Debug` and `Display` show its scheme and host.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcUrl {
    url: String,
    host: String,
}

impl RpcUrl {
    /// The whole URL, for the client that connects to it. Never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// The host's name: two URLs of one host are one voice.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A client, which connects when it is first used. Refused where the URL needs another transport.
    pub fn client(&self, transport: Transport, limits: RpcLimits) -> Result<Rpc, RpcFault> {
        Rpc::new(&self.url, transport, limits)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "something else")?;
        let authority = uri.authority().ok_or("a URL without a host")?;
        if text.len() > MAX_URL_BYTES {
            return Err("a URL that is too long");
        }
        if authority.as_str().contains('@') {
            return Err("a URL with a user name");
        }
        let host = authority.host();
        // Hosts are counted as text: one host must not be spelled in two ways.
        if host.ends_with('.') || host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("a host in capitals, or with a dot at its end");
        }
        if !matches!(uri.scheme_str(), Some("http" | "https")) || host.is_empty() {
            return Err("a URL that is neither http nor https");
        }
        Ok(Self { host: host.to_owned(), url: text.to_owned() })
    }
}

/// What may be shown of a URL: its scheme and host.
pub(super) fn shown(url: &str) -> String {
    let parts = url.parse::<Uri>().ok().and_then(|uri| {
        let host = uri.host()?.to_owned();
        Some(format!("\"{}://{host}\"", uri.scheme_str()?))
    });
    parts.unwrap_or_else(|| "\"no URL\"".to_owned())
}

impl fmt::Display for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(shown(&self.url).trim_matches('"'))
    }
}

impl fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcUrl({self})")
    }
}

impl Value for RpcUrl {
    const EXPECTED: &'static str = "an https URL, its host in lower case";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        let text = sink.text(node, Self::EXPECTED)?;
        let url = Self::parse(text);
        if let Err(found) = &url {
            sink.fault(FaultCode::InvalidValue, *found, Self::EXPECTED);
        }
        url.ok()
    }

    fn show(&self) -> String {
        shown(&self.url)
    }
}
