//! `[metrics]`: where the node is measured. Off unless an address is given.

use std::net::SocketAddr;

use super::reader::Section;

/// Where the node is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// The address and port of the plain HTTP listener, for a loopback address or a private network. None: there is none.
    pub address: Option<SocketAddr>,
}

impl Metrics {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { address: section.optional("address").given() }
    }
}
