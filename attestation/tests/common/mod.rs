//! Genuine quotes with Intel-signed collateral, read from the folder beside the project where it exists.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;

use kms_attestation::collateral::Collateral;
use kms_attestation::quote::Quote;

pub(crate) struct Fixture {
    dir: PathBuf,
    /// The time for which the collateral was collected, in Unix seconds.
    pub(crate) now: u64,
}

impl Fixture {
    /// A fixture by its number, or none, with a line that says so, where the folder does not exist.
    pub(crate) fn open(number: &str) -> Option<Self> {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fixtures");
        let root =
            std::env::var_os("KMS_FIXTURES").map_or_else(|| beside.into(), PathBuf::from).join("quotes");
        let Ok(entries) = std::fs::read_dir(&root) else {
            eprintln!("SKIPPED: no genuine quotes at {}; set KMS_FIXTURES", root.display());
            return None;
        };
        let mut dirs = entries.map(|entry| entry.unwrap().path());
        let prefix = format!("{number}_");
        let dir = dirs.find(|dir| dir.file_name().unwrap().to_string_lossy().starts_with(&prefix)).unwrap();
        let meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("meta.json")).unwrap()).unwrap();
        Some(Self { now: meta["now"].as_u64().unwrap(), dir })
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    pub(crate) fn quote(&self) -> Quote {
        Quote::parse(&self.read("quote.bin")).unwrap()
    }

    pub(crate) fn collateral(&self) -> Collateral {
        Collateral::parse(&self.read("collateral.json")).unwrap()
    }
}
