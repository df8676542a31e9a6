//! An offline pack: collateral for several kinds of platform in one JSON file, for machines without a network.
//!
//! ```text
//! {"version":1,"collateral":[{"fmspc":"b0c06f000000","ca":"platform","collateral":{..}},..]}
//! ```
//!
//! A pack is carried by hand and is believed no more than a PCCS: it says where an entry may be found, and the
//! entry is checked, and refused when it is older than what was seen, by whoever takes it out.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fault::detail;
use super::files;
use super::key::CollateralKey;
use crate::collateral::{CheckedCollateral, Collateral, PckCa};
use crate::deny::DenyReason;
use crate::ids::Fmspc;

/// The largest pack that is read, in bytes. An entry has about 25 KiB.
pub const MAX_PACK_BYTES: usize = 16 * 1024 * 1024;
/// The largest number of entries. Intel has published some hundred FMSPCs.
pub const MAX_PACK_ENTRIES: usize = 256;
/// The version of the form.
const VERSION: u32 = 1;

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// It is too large.
    #[error("the pack has {0} bytes; at most {MAX_PACK_BYTES}")]
    TooLarge(usize),
    /// It is not the JSON of a pack.
    #[error("not a collateral pack: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("a collateral pack of version {0}; expected {VERSION}: make it with this release's tool")]
    Version(u32),
    /// It has too many entries.
    #[error("a collateral pack of {0} entries; at most {MAX_PACK_ENTRIES}")]
    TooManyEntries(usize),
    /// It has two entries for the same platform.
    #[error("a collateral pack with two entries for {0}")]
    Duplicate(CollateralKey),
    /// The collateral of an entry cannot be read.
    #[error("the entry for {key} of the collateral pack: {reason}")]
    Entry {
        /// What the entry says that it is for.
        key: CollateralKey,
        /// What is wrong with its collateral.
        reason: DenyReason,
    },
    /// The file cannot be read or written.
    #[error("the collateral pack's file: {0}")]
    File(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    version: u32,
    collateral: Vec<PackEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackEntry {
    fmspc: Fmspc,
    ca: PckCa,
    collateral: Box<RawValue>,
}

/// Collateral by what it is said to be for, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pack(BTreeMap<CollateralKey, Collateral>);

impl Pack {
    /// A pack of the given collateral. Of two for the same platform, the later one counts.
    pub fn of<'a>(collateral: impl IntoIterator<Item = &'a CheckedCollateral>) -> Self {
        let entries = collateral.into_iter().map(|one| (CollateralKey::of(one), one.source().clone()));
        Self(entries.collect())
    }

    /// Reads a pack.
    pub fn parse(json: &[u8]) -> Result<Self, PackError> {
        if json.len() > MAX_PACK_BYTES {
            return Err(PackError::TooLarge(json.len()));
        }
        let file: PackFile =
            serde_json::from_slice(json).map_err(|error| PackError::Malformed(detail(&error)))?;
        if file.version != VERSION {
            return Err(PackError::Version(file.version));
        }
        if file.collateral.len() > MAX_PACK_ENTRIES {
            return Err(PackError::TooManyEntries(file.collateral.len()));
        }
        let mut pack = Self::default();
        file.collateral.iter().try_for_each(|entry| pack.add(entry))?;
        Ok(pack)
    }

    fn add(&mut self, entry: &PackEntry) -> Result<(), PackError> {
        let key = CollateralKey { fmspc: entry.fmspc, ca: entry.ca };
        let collateral = Collateral::parse(entry.collateral.get().as_bytes())
            .map_err(|reason| PackError::Entry { key, reason })?;
        match self.0.insert(key, collateral) {
            Some(_) => Err(PackError::Duplicate(key)),
            None => Ok(()),
        }
    }

    /// The pack as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, PackError> {
        let entry = |(key, collateral): (&CollateralKey, &Collateral)| {
            let collateral = RawValue::from_string(collateral.to_json())?;
            Ok(PackEntry { fmspc: key.fmspc, ca: key.ca, collateral })
        };
        let entries: Result<_, serde_json::Error> = self.0.iter().map(entry).collect();
        entries
            .and_then(|collateral| serde_json::to_vec(&PackFile { version: VERSION, collateral }))
            .map_err(|error| PackError::Malformed(detail(&error)))
    }

    /// Reads a pack from a file.
    pub fn load(path: &Path) -> Result<Self, PackError> {
        Self::parse(&files::read(path, MAX_PACK_BYTES)?)
    }

    /// Writes the pack to a file, whole or not at all, for this user alone.
    pub fn save(&self, path: &Path) -> Result<(), PackError> {
        Ok(files::write(path, &self.to_json()?)?)
    }

    /// What the pack says that it has collateral for.
    pub fn keys(&self) -> impl Iterator<Item = CollateralKey> + '_ {
        self.0.keys().copied()
    }

    /// What the pack has for the given platform, unchecked.
    #[must_use]
    pub fn get(&self, key: CollateralKey) -> Option<Collateral> {
        self.0.get(&key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> CollateralKey {
        CollateralKey { fmspc: Fmspc([n; 6]), ca: PckCa::Platform }
    }

    fn pack() -> Pack {
        let collateral = super::super::wire::tests_support::collateral();
        Pack([(key(1), collateral.clone()), (key(2), collateral)].into())
    }

    fn text() -> String {
        String::from_utf8(pack().to_json().unwrap()).unwrap()
    }

    #[test]
    fn pack__should_round_trip() {
        assert_eq!(Pack::parse(&pack().to_json().unwrap()).unwrap(), pack());
        let dir = tempfile::tempdir().unwrap();
        pack().save(&dir.path().join("pack.json")).unwrap();
        assert_eq!(Pack::load(&dir.path().join("pack.json")).unwrap(), pack());
    }

    #[test]
    fn pack__should_refuse_what_is_not_one() {
        let parse = |text: String| Pack::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(parse(String::new()), PackError::Malformed(_)));
        assert!(matches!(parse(text().replace("\"version\":1", "\"version\":2")), PackError::Version(2)));
        assert!(matches!(parse(text().replace("\"ca\"", "\"CA\"")), PackError::Malformed(_)));
        assert!(matches!(
            parse(text().replace("0202", "0101")),
            PackError::Duplicate(_) | PackError::Malformed(_)
        ));
        let twice = text().replace("020202020202", "010101010101");
        assert!(matches!(parse(twice), PackError::Duplicate(found) if found == key(1)));
        let broken = text().replace("\"pck_crl\"", "\"pck-crl\"");
        assert!(matches!(parse(broken), PackError::Entry { key: found, .. } if found == key(1)));
        assert!(matches!(Pack::parse(&vec![b' '; MAX_PACK_BYTES + 1]), Err(PackError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn pack__should_not_panic_on_any_bytes(json in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pack::parse(&json);
        }
    }
}
