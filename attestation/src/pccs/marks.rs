//! How new the collateral was that has been seen: what makes a PCCS's old files recognisable.
//!
//! One row per kind of platform and CA, holding how new each part was of what was last accepted for it. What is
//! asked of a source must not be older than any row knows: the QE identity and the root's list are the same for
//! all platforms, the PCK list for all of one CA, the TCB info for all of one FMSPC. What is read back from this
//! node's own disk must be as new as its own row, no more: it was accepted before a newer list came with another
//! platform's collateral.
//!
//! The book only rises. It is kept on disk, where it is not protected: raised, it causes refusals; lowered or
//! deleted, it loses what it knew before this process began, and then what the collateral on disk still proves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::CollateralKey;
use crate::collateral::{CheckedCollateral, CollateralMarks};
use crate::deny::DenyReason;
use crate::ids::{Fmspc, RootKeyId};

/// The largest number of rows that is read. Intel has published some hundred FMSPCs.
const MAX_ROWS: usize = 1024;
/// The version of the file's form.
const VERSION: u32 = 1;

/// What has been seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MarksBook(BTreeMap<CollateralKey, CollateralMarks>);

/// The book's form on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BookFile {
    version: u32,
    /// Marks of another root's collateral mean nothing.
    root: RootKeyId,
    rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    key: CollateralKey,
    marks: CollateralMarks,
}

impl MarksBook {
    /// What collateral from outside must not be older than.
    pub(super) fn of(&self, key: CollateralKey) -> CollateralMarks {
        self.0.iter().fold(CollateralMarks::default(), |seen, (row, marks)| {
            let own = if row.fmspc == key.fmspc { *marks } else { CollateralMarks::default() };
            seen.max(&CollateralMarks {
                tcb_info_issued: own.tcb_info_issued,
                tcb_info_number: own.tcb_info_number,
                pck_crl_issued: if row.ca == key.ca { marks.pck_crl_issued } else { 0 },
                ..*marks
            })
        })
    }

    /// What collateral from this node's own disk must not be older than.
    pub(super) fn own(&self, key: CollateralKey) -> CollateralMarks {
        self.0.get(&key).copied().unwrap_or_default()
    }

    /// Whether collateral of this FMSPC has ever been accepted: Intel has vouched that it exists.
    pub(super) fn knows(&self, fmspc: Fmspc) -> bool {
        self.0.keys().any(|key| key.fmspc == fmspc)
    }

    /// Raises the marks to those of collateral that has been accepted.
    pub(super) fn raise(&mut self, key: CollateralKey, marks: &CollateralMarks) {
        let row = self.0.entry(key).or_default();
        *row = row.max(marks);
    }

    /// Raises the marks to those of another book.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(key, marks)| self.raise(*key, marks));
    }

    /// Refuses collateral that became old while it was fetched; raises the marks to it otherwise.
    pub(super) fn accept(&mut self, collateral: &CheckedCollateral) -> Result<(), DenyReason> {
        let (key, marks) = (CollateralKey::of(collateral), collateral.marks());
        marks.check_not_before(&self.of(key))?;
        self.raise(key, &marks);
        Ok(())
    }

    pub(super) fn to_json(&self, root: RootKeyId) -> Result<Vec<u8>, serde_json::Error> {
        let rows = self.0.iter().map(|(key, marks)| Row { key: *key, marks: *marks }).collect();
        serde_json::to_vec(&BookFile { version: VERSION, root, rows })
    }

    /// Reads a book back. The error says what is wrong with it.
    pub(super) fn parse(json: &[u8], root: RootKeyId) -> Result<Self, &'static str> {
        let file: BookFile = serde_json::from_slice(json).map_err(|_| "not the JSON of marks")?;
        match file {
            BookFile { version, .. } if version != VERSION => Err("of another version"),
            BookFile { rows, .. } if rows.len() > MAX_ROWS => Err("of more rows than there are FMSPCs"),
            BookFile { root: other, .. } if other != root => Err("for another root of trust"),
            BookFile { rows, .. } => Ok(Self(rows.into_iter().map(|row| (row.key, row.marks)).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::PckCa;

    fn key(fmspc: u8, ca: PckCa) -> CollateralKey {
        CollateralKey { fmspc: Fmspc([fmspc; 6]), ca }
    }

    fn marks(base: u64) -> CollateralMarks {
        CollateralMarks {
            tcb_info_issued: base + 1,
            tcb_info_number: 20,
            qe_identity_issued: base + 2,
            qe_identity_number: 19,
            pck_crl_issued: base + 3,
            root_crl_issued: base + 4,
        }
    }

    #[test]
    fn book__should_share_what_platforms_share() {
        let mut book = MarksBook::default();
        book.raise(key(1, PckCa::Platform), &marks(100));
        let same_ca = CollateralMarks { tcb_info_issued: 0, tcb_info_number: 0, ..marks(100) };
        assert_eq!(book.of(key(2, PckCa::Platform)), same_ca);
        assert_eq!(book.of(key(2, PckCa::Processor)), CollateralMarks { pck_crl_issued: 0, ..same_ca });
        assert_eq!(book.of(key(1, PckCa::Processor)), CollateralMarks { pck_crl_issued: 0, ..marks(100) });
        assert_eq!(book.of(key(1, PckCa::Platform)), marks(100));
        assert_eq!(book.own(key(1, PckCa::Processor)), CollateralMarks::default());
        assert!(book.knows(Fmspc([1; 6])) && !book.knows(Fmspc([2; 6])));
    }

    #[test]
    fn book__should_only_rise() {
        let mut book = MarksBook::default();
        book.raise(key(1, PckCa::Platform), &marks(100));
        book.raise(key(1, PckCa::Platform), &marks(50));
        assert_eq!(book.own(key(1, PckCa::Platform)), marks(100));
    }

    #[test]
    fn book__should_round_trip_for_its_own_root_only() {
        let mut book = MarksBook::default();
        book.raise(key(1, PckCa::Platform), &marks(100));
        let json = book.to_json(RootKeyId::ZERO).unwrap();
        assert_eq!(MarksBook::parse(&json, RootKeyId::ZERO).unwrap(), book);
        assert!(MarksBook::parse(&json, RootKeyId([1; 48])).is_err());
        assert!(MarksBook::parse(b"{\"version\":1}", RootKeyId::ZERO).is_err());
        let text = String::from_utf8(json).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(MarksBook::parse(text.as_bytes(), RootKeyId::ZERO).is_err());
    }
}
