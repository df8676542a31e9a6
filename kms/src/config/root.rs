//! `[root]`: where the root secret comes from. The secret itself never stands in a configuration.

use std::path::PathBuf;

use super::fault::FaultCode;
use super::reader::{Read, Section};

/// Where the root secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSource {
    /// A new one at each start, in memory alone: a first bootstrap, or a test.
    Generate,
    /// A file in the clear, created where it is absent: development.
    InsecureFile(PathBuf),
}

impl RootSource {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let generate = section.optional::<bool>("generate");
        let file = section.optional::<PathBuf>("insecure_root_file");
        match (generate, file) {
            (Read::Given(true), Read::Absent) => Some(Self::Generate),
            (Read::Absent | Read::Given(false), Read::Given(path)) => Some(Self::InsecureFile(path)),
            (Read::Given(true), Read::Given(_)) => {
                let expected = "one of generate and insecure_root_file, not both";
                section.fault(FaultCode::Conflict, "insecure_root_file", "both", expected);
                None
            }
            (Read::Absent | Read::Given(false), Read::Absent) => {
                let expected = "true, unless insecure_root_file is given: the root has no other source";
                section.fault(FaultCode::MissingKey, "generate", "neither", expected);
                None
            }
            // One of them was reported.
            _ => None,
        }
    }
}
