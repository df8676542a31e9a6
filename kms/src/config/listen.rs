//! `[listen]`: where the node is reached, and under which names.

use std::net::{Ipv4Addr, SocketAddr};

use super::fault::FaultCode;
use super::reader::Section;
use super::value::Value;
use crate::keys::DnsName;

/// The port of a node.
pub const DEFAULT_PORT: u16 = 50051;
/// The most names of a certificate: each makes every handshake longer.
pub const MAX_SERVER_NAMES: usize = 16;

/// Where the node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// The DNS names in the node's certificate. Never empty. Nobody is identified by them: the quote says what a node is.
    pub server_names: Vec<DnsName>,
}

impl Listen {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT));
        let localhost = DnsName::parse("localhost").ok();
        let listen = Self {
            address: section.or("address", address),
            server_names: section.or("server_names", localhost.into_iter().collect()),
        };
        if !(1..=MAX_SERVER_NAMES).contains(&listen.server_names.len()) {
            let expected = format!("from 1 to {MAX_SERVER_NAMES} names");
            section.fault(FaultCode::OutOfRange, "server_names", listen.server_names.show(), &expected);
        }
        listen
    }
}
