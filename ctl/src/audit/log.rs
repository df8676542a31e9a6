//! A log under a signed checkpoint, for commands that ask one thing after the other: its records, each shown to stand in
//! the tree, and its blobs, each under its name.
//!
//! The reading and proving is the library's ([`LogReader`], [`AuditBundle`]); here it is waited for, and what cannot be had
//! is told apart from what is wrong. Threat: a source that shows records which the log never signed.

use std::collections::BTreeSet;
use std::sync::Arc;

use kms_attestation::RootOfTrust;
use kms_attestation::refusal::{Refusal, StableCode};
use kms_ledger::audit_bundle::AuditBundle;
use kms_ledger::hash::TreeHash;
use kms_ledger::note::LogKey;
use kms_ledger::reader::LogFiles;
use kms_ledger::refusal::{LedgerCode, LedgerRefusal};
use kms_ledger::replay::{Archive, Gap, Indices, LogIdentity, ReplayCode, no_blob, no_record};
use kms_ledger::tree::Tile;
use kms_ledger::{BlobId, Checkpoint, LogPath, LogReader, Record, SignedCheckpoint, Source};
use tokio::runtime::{Builder, Runtime};

use super::finding::{Code, Finding, Place};
use super::own_key;
use super::source;
use crate::error::CtlError;
use crate::outcome::Exit;

/// Why there is no log to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The source cannot be had.
    #[error("{0}; {fix}", fix = .0.code.fix())]
    Unavailable(LedgerRefusal),
    /// The log is refused.
    #[error("{}", .0.text().trim_end())]
    Refused(Box<Finding>),
}

impl OpenError {
    /// What it means for whoever asked.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Unavailable(_) => Exit::Undecided,
            Self::Refused(_) => Exit::Refused,
        }
    }

    pub(super) fn refused<C: StableCode>(place: Place, refusal: Refusal<C>) -> Self
    where
        Code: From<C>,
    {
        Self::Refused(Box::new(Finding::new(place, refusal)))
    }

    /// What could not be had is no fault of the log.
    pub(super) fn of_ledger(place: Place, refusal: LedgerRefusal) -> Self {
        match refusal.code {
            LedgerCode::LogSource => Self::Unavailable(refusal),
            _ => Self::refused(place, refusal),
        }
    }
}

/// Whence the log's key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFrom {
    /// The auditor pinned it.
    Pinned,
    /// The log's first record, vouched for by a genuine quote.
    Quote,
}

/// Which checkpoint of a log's files counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Latest {
    /// The newest.
    Published,
    /// The newest that enough witnesses have cosigned; where a log has no such file, the newest must be that.
    Witnessed,
}

impl Latest {
    fn read(self, runtime: &Runtime, source: &Source) -> Result<Vec<u8>, OpenError> {
        let refused = |refusal| OpenError::of_ledger(Place::Checkpoint, refusal);
        let get = |path| runtime.block_on(source.get(path)).map_err(refused);
        let witnessed = if self == Self::Witnessed { get(LogPath::Witnessed)? } else { None };
        let file = match witnessed {
            None => get(LogPath::Checkpoint)?,
            witnessed => witnessed,
        };
        let missing = || LedgerRefusal::new(LedgerCode::LogFileMissing, "nothing", LogPath::Checkpoint);
        file.ok_or_else(|| refused(missing()))
    }
}

/// Where the log's parts are.
enum Parts {
    Files(Box<LogReader>),
    /// A bundle, and the blobs in it that none of its records names.
    Bundle(Box<AuditBundle>, BTreeSet<BlobId>),
}

/// A log.
pub(super) struct Log {
    parts: Parts,
    /// The library waits for files; auditing does not, and asks from many threads. One thread drives them all.
    runtime: Runtime,
    pub(super) signed: SignedCheckpoint,
    pub(super) key: LogKey,
    pub(super) key_from: KeyFrom,
}

impl Log {
    /// Opens a log. With a pinned key, that key must have signed it; without one, the key of its first record, which a quote
    /// under this root of trust must vouch for.
    pub(super) fn open(
        place: source::Place,
        pinned: Option<&LogKey>,
        root: RootOfTrust,
        latest: Latest,
    ) -> Result<Self, CtlError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(CtlError::Runtime)?;
        let bytes = match &place {
            source::Place::Bundle(bundle) => bundle.checkpoint.clone(),
            source::Place::Files(source) => latest.read(&runtime, source)?,
        };
        let key = match pinned {
            Some(key) => key.clone(),
            None => own_key::named(&bytes, |size| first_record(&runtime, &place, size))?,
        };
        let signed = SignedCheckpoint::open(&bytes, &key);
        let signed = signed.map_err(|refusal| OpenError::refused(Place::Checkpoint, refusal))?;
        let parts = match place {
            source::Place::Bundle(bundle) => {
                let unnamed = bundle.unnamed();
                Parts::Bundle(Box::new(bundle), unnamed)
            }
            source::Place::Files(source) => Parts::Files(Box::new(LogReader::at(source, signed.clone()))),
        };
        let key_from = if pinned.is_some() { KeyFrom::Pinned } else { KeyFrom::Quote };
        let log = Self { parts, runtime, signed, key, key_from };
        if key_from == KeyFrom::Quote {
            own_key::vouched(&log, root)?;
        }
        Ok(log)
    }

    /// How many records it has.
    pub(super) fn size(&self) -> u64 {
        self.signed.checkpoint().size
    }

    /// Its files, unless it is a bundle.
    pub(super) fn reader(&self) -> Option<&LogReader> {
        match &self.parts {
            Parts::Files(reader) => Some(reader),
            Parts::Bundle(..) => None,
        }
    }

    /// Waits for what the library reads.
    pub(super) fn wait<T>(&self, reading: impl Future<Output = T>) -> T {
        self.runtime.block_on(reading)
    }

    /// That the tree's right edge is there: without it, no record could be shown.
    pub(super) fn check_edge(&self) -> Result<(), OpenError> {
        let Some(reader) = self.reader() else { return Ok(()) };
        let refused = |mut refusal: LedgerRefusal| {
            if refusal.code == LedgerCode::LogFiles {
                // The root is that of all of them together: which is wrong, the records below them tell.
                let tiles: Vec<_> = Tile::partials(self.size()).map(|tile| tile.to_string()).collect();
                let found = &refusal.found;
                refusal.found = format!("{found}, in {}: kmsctl audit verify tells which", tiles.join(", "));
            }
            OpenError::of_ledger(Place::Checkpoint, refusal)
        };
        self.wait(reader.check_edge()).map_err(refused)
    }

    /// Before which record evidence may be missing, as the log says and nobody signs.
    pub(super) fn pruned(&self) -> Result<u64, OpenError> {
        let Some(reader) = self.reader() else { return Ok(0) };
        let refused = |refusal| OpenError::of_ledger(Place::File(LogPath::Pruned.to_string()), refusal);
        self.wait(reader.files().pruned()).map_err(refused)
    }

    /// What is wrong if the log does not continue what was seen of it before. A bundle can show that for its own size alone.
    pub(super) fn continues(&self, older: &Checkpoint) -> Result<Option<Finding>, CtlError> {
        let head = self.signed.checkpoint();
        let continued = match &self.parts {
            Parts::Files(reader) => self.wait(reader.check_continues(older)),
            Parts::Bundle(..) if head.size != older.size => return Err(CtlError::BundleSince),
            Parts::Bundle(..) if head.root != older.root => {
                Err(LedgerRefusal::new(LedgerCode::LogForked, head.root, older.root))
            }
            Parts::Bundle(..) => Ok(()),
        };
        match continued {
            Ok(()) => Ok(None),
            Err(refusal) if refusal.code == LedgerCode::LogSource => {
                Err(OpenError::Unavailable(refusal).into())
            }
            Err(refusal) => Ok(Some(Finding::new(Place::Checkpoint, refusal))),
        }
    }

    /// Which log it is, for replay.
    pub(super) fn identity(&self) -> LogIdentity {
        let origin = self.signed.checkpoint().origin.as_str().to_owned();
        LogIdentity { origin, key: Some(*self.key.public_key()) }
    }

    /// The records that can be had: all of a log's files, some of a bundle.
    pub(super) fn indices(&self) -> Indices {
        match &self.parts {
            Parts::Files(_) => Indices::Range(0..self.size()),
            Parts::Bundle(bundle, _) => Indices::List(bundle.entries.keys().copied().collect()),
        }
    }

    /// The bytes of a record that stands in the tree.
    pub(super) fn entry(&self, index: u64) -> Result<Vec<u8>, Gap> {
        let entry = match &self.parts {
            Parts::Files(reader) => self.wait(reader.entry(index)),
            Parts::Bundle(bundle, _) => bundle.entry(index, self.signed.checkpoint()).map(<[u8]>::to_vec),
        };
        entry.map_err(|refusal| match refusal.code {
            LedgerCode::LogRange => no_record(index),
            LedgerCode::LogSource => unavailable(refusal),
            _ => Gap::new(ReplayCode::RecordUnproven, refusal, format_args!("record {index} of the log")),
        })
    }

    /// The bytes of a blob.
    pub(super) fn bytes_of(&self, id: BlobId) -> Result<Arc<[u8]>, LedgerRefusal> {
        match &self.parts {
            Parts::Files(reader) => self.wait(reader.blob(id)),
            Parts::Bundle(bundle, unnamed) => bundle.blob(id, unnamed),
        }
    }

    /// The way of a record to the root, for a bundle of one's own.
    pub(super) fn path_of(&self, index: u64) -> Result<Vec<TreeHash>, CtlError> {
        let reader = self.reader().ok_or(CtlError::ExportOfBundle)?;
        let refused = |refusal| OpenError::of_ledger(Place::Entry(index), refusal);
        Ok(self.wait(reader.inclusion_path(index)).map_err(refused)?)
    }
}

impl Archive for Log {
    fn record(&self, index: u64) -> Result<Arc<Record>, Gap> {
        let unreadable = |refusal: LedgerRefusal| {
            Gap::new(ReplayCode::RecordUnproven, refusal, format_args!("record {index} of the log"))
        };
        Record::decode(&self.entry(index)?).map(Arc::new).map_err(unreadable)
    }

    fn blob(&self, id: &BlobId) -> Result<Arc<[u8]>, Gap> {
        self.bytes_of(*id).map_err(|refusal| match refusal.code {
            LedgerCode::BlobMissing => no_blob(id),
            LedgerCode::LogSource => unavailable(refusal),
            _ => Gap::new(ReplayCode::BlobDamaged, refusal, LogPath::Blob(*id)),
        })
    }
}

fn unavailable(refusal: LedgerRefusal) -> Gap {
    Gap::new(ReplayCode::SourceUnavailable, refusal, "the file")
}

/// The first record, as it is there: nothing vouches for it yet.
fn first_record(runtime: &Runtime, place: &source::Place, size: u64) -> Result<Vec<u8>, LedgerRefusal> {
    let none = || LedgerRefusal::new(LedgerCode::LogRange, "no first record", "record 0");
    match place {
        source::Place::Bundle(bundle) => bundle.entries.get(&0).map(|it| it.bytes.clone()).ok_or_else(none),
        source::Place::Files(source) => {
            let files = LogFiles::new(source.clone(), size);
            let entries = runtime.block_on(files.entries(files.bundle(0)?))?;
            entries.into_iter().next().ok_or_else(none)
        }
    }
}
