//! The words for what goes wrong below the log: one form for every failed call on the disk.
//!
//! Decides which code a fault of the system has. Called by everything here that touches the disk. Threat: a fault that
//! nobody can act on at night.

use std::fmt;
use std::io;

use crate::refusal::{LedgerCode, LedgerRefusal};

/// Why the store did not do what was asked: a refusal with a code that begins with `store-`, or that of an entry that
/// is too large.
pub type StoreFault = LedgerRefusal;

/// What a failed call on the disk is: `store-full` or `store-disk`.
pub(super) fn disk(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> StoreFault {
    move |error| {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let (code, expected) = if full {
            (LedgerCode::StoreFull, "room on the disk")
        } else {
            (LedgerCode::StoreDisk, "a disk that reads, writes and syncs")
        };
        LedgerRefusal::new(code, format_args!("{doing}: {error}"), expected)
    }
}

/// What is on the disk is not what was written there.
pub(super) fn damaged(found: impl fmt::Display, expected: impl fmt::Display) -> StoreFault {
    LedgerRefusal::new(LedgerCode::StoreDamaged, found, expected)
}

/// What is on the disk is whole, and the node did not write it there.
pub(super) fn forged(found: impl fmt::Display, expected: impl fmt::Display) -> StoreFault {
    LedgerRefusal::new(LedgerCode::StoreForged, found, expected)
}

/// The store no longer runs.
pub(super) fn closed() -> StoreFault {
    LedgerRefusal::new(LedgerCode::StoreClosed, "a store that was closed", "a store that runs")
}
