//! `[node]`: which node this is, and what it finds on its machine.

use std::path::PathBuf;

use kms_attestation::platform::PlatformPaths;

use super::reader::Section;
use super::tree::Node as Raw;
use super::value::{Sink, Value};
use crate::hardening::MemoryLocking;
use crate::keys::NodeId;

/// Where a node keeps what it writes, by default.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/kms-node";

impl Value for NodeId {
    const EXPECTED: &'static str = "from 1 to 64 lower-case letters, digits, '-' and '.'";

    fn read(sink: &mut Sink<'_>, node: &Raw) -> Option<Self> {
        sink.parsed(node, Self::parse)
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
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
    pub memory_lock: MemoryLocking,
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
            MemoryLocking::InsecureOff
        } else {
            MemoryLocking::Required
        };
        Some(Self { name: name?, state_dir, os_image_manifest: os_image_manifest?, platform, memory_lock })
    }
}
