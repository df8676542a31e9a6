//! `[node]`: which node this is, and what it finds on its machine.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use kms_attestation::platform::PlatformPaths;

use super::reader::Section;
use super::tree::Node as Raw;
use super::value::{Sink, Value};

/// Where a node keeps what it writes, by default.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/kms-node";
/// The longest name of a node, in characters.
pub const MAX_NODE_ID: usize = 64;

/// The name of a node: in its log's origin, in records and in peers' configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(String);

/// Text that is no name of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {}", NodeId::EXPECTED)]
pub struct NodeIdError;

impl NodeId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let sound = (1..=MAX_NODE_ID).contains(&text.len()) && text.bytes().all(allowed);
        if sound { Ok(Self(text.to_owned())) } else { Err(NodeIdError) }
    }
}

impl Value for NodeId {
    const EXPECTED: &'static str = "from 1 to 64 lower-case letters, digits, '-' and '.'";

    fn read(sink: &mut Sink<'_>, node: &Raw) -> Option<Self> {
        sink.parsed(node, |text| text.parse().ok())
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// Whether the node's memory must be locked against being written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLock {
    /// The node does not start without it.
    Required,
    /// Spelled `insecure_no_memory_lock`.
    InsecureOff,
}

/// Which node this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeId,
    /// Where it keeps what it writes.
    pub state_dir: PathBuf,
    /// The manifest of the OS image that it runs.
    pub os_image_manifest: PathBuf,
    /// Where quotes come from.
    pub platform: PlatformPaths,
    /// Whether memory must be locked.
    pub memory_lock: MemoryLock,
}

impl Node {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let PlatformPaths { agent_socket, tsm_root } = PlatformPaths::default();
        let name = section.required("name");
        let state_dir = section.or("state_dir", PathBuf::from(DEFAULT_STATE_DIR));
        let os_image_manifest = section.required("os_image_manifest");
        let platform = PlatformPaths {
            agent_socket: section.or("agent_socket", agent_socket),
            tsm_root: section.or("tsm_root", tsm_root),
        };
        let memory_lock = if section.or("insecure_no_memory_lock", false) {
            MemoryLock::InsecureOff
        } else {
            MemoryLock::Required
        };
        Some(Self { name: name?, state_dir, os_image_manifest: os_image_manifest?, platform, memory_lock })
    }
}
