//! `[listen]`: where the node is reached, and under which names.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use super::fault::FaultCode;
use super::reader::Section;
use super::tree::Node;
use super::value::{Sink, Value};
use crate::keys::DnsName;

/// The port of a node.
pub const DEFAULT_PORT: u16 = 50051;
/// The name of a node that nobody named.
const DEFAULT_NAME: &str = "localhost";
/// The most names of a certificate: each makes every handshake longer.
pub const MAX_SERVER_NAMES: usize = 16;

/// Where the node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// The DNS names in the node's certificate. Never empty. Nobody is identified by them: the quote says what a node is.
    pub server_names: BTreeSet<DnsName>,
}

impl Listen {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT));
        let address = section.or("address", address);
        let names: Vec<DnsName> =
            section.or("server_names", DnsName::parse(DEFAULT_NAME).into_iter().collect());
        let server_names: BTreeSet<DnsName> = names.into_iter().collect();
        if !(1..=MAX_SERVER_NAMES).contains(&server_names.len()) {
            let expected = format!("from 1 to {MAX_SERVER_NAMES} names");
            let found = format!("{} names", server_names.len());
            section.fault(FaultCode::OutOfRange, "server_names", found, &expected);
        }
        Self { address, server_names }
    }
}

impl Value for DnsName {
    const EXPECTED: &'static str = "a DNS name in lower case, no wildcard, no IP address";

    fn read(sink: &mut Sink<'_>, node: &Node) -> Option<Self> {
        sink.parsed(node, |text| Self::parse(text).ok())
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}
