//! The copy of collateral and marks on disk, so that a node that restarts needs no network and forgets nothing.
//!
//! ```text
//! <dir>/<fmspc>-<ca>.json   collateral, in the form of `Collateral::to_json`
//! <dir>/marks.json          how new all collateral was that has been accepted
//! ```
//!
//! The disk is not believed. Every file is bounded and parsed strictly here; the cache then checks its signatures,
//! dates and marks as if a PCCS had sent it. What cannot be used is left alone and noted. A disk that cannot be
//! written is a trouble for the next start, not for this one.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fmt, fs, io};

use super::fault::{Fault, detail};
use super::files;
use super::key::CollateralKey;
use super::marks::MarksBook;
use crate::collateral::{Collateral, MAX_COLLATERAL_BYTES, PckCa};
use crate::deny::DenyReason;
use crate::ids::RootKeyId;

/// The largest marks file that is read, in bytes. A row takes some 300.
const MAX_MARKS_BYTES: usize = 512 * 1024;
/// The largest number of collateral files that is kept and read. Each has about 25 KiB.
pub(super) const MAX_STORED: usize = 128;
/// The largest number of directory entries that is looked at.
const MAX_LISTED: usize = 4096;
const MARKS: &str = "marks.json";

/// A file of the store that was not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreNote {
    /// The file's name, or `.` for the directory.
    pub file: String,
    /// Why.
    pub problem: StoreProblem,
}

impl fmt::Display for StoreNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.problem)
    }
}

/// Why a file of the store was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreProblem {
    /// It cannot be read, is no regular file, or is too large.
    #[error("cannot be read ({0})")]
    Unreadable(String),
    /// It is not collateral.
    #[error(transparent)]
    Malformed(DenyReason),
    /// It is not a file of marks, or not of this root's.
    #[error("marks {0}")]
    Marks(&'static str),
    /// It is collateral that is refused: expired, tampered with, for another platform, or older than its marks.
    #[error(transparent)]
    Refused(Fault),
}

/// What was found on disk, unchecked.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) collateral: Vec<(CollateralKey, Collateral)>,
    pub(super) marks: MarksBook,
    pub(super) notes: Vec<StoreNote>,
}

/// A directory for collateral and marks. One process at a time may use it.
#[derive(Debug, Clone)]
pub struct CollateralStore {
    dir: PathBuf,
}

impl CollateralStore {
    /// A store in the given directory, which is created when something is first written.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The file of the given collateral.
    pub(super) fn file_name(key: CollateralKey) -> String {
        format!("{key}.json")
    }

    /// Reads all that is there, and removes files that a crash left unfinished.
    pub(super) fn load(&self, root: RootKeyId) -> Loaded {
        let mut loaded = Loaded::default();
        let names = match self.names() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return loaded,
            Err(error) => {
                loaded.note(".", StoreProblem::Unreadable(detail(&error)));
                return loaded;
            }
        };
        for name in &names {
            if name.starts_with(files::TEMPORARY) {
                let _ = fs::remove_file(self.dir.join(name));
            } else if name == MARKS {
                self.load_marks(root, &mut loaded);
            } else if let Some(key) = parse_name(name).filter(|_| loaded.collateral.len() < MAX_STORED) {
                self.load_collateral(name, key, &mut loaded);
            }
        }
        loaded
    }

    fn load_marks(&self, root: RootKeyId, loaded: &mut Loaded) {
        let read = files::read(&self.dir.join(MARKS), MAX_MARKS_BYTES)
            .map_err(|error| StoreProblem::Unreadable(detail(&error)))
            .and_then(|json| MarksBook::parse(&json, root).map_err(StoreProblem::Marks));
        match read {
            Ok(marks) => loaded.marks = marks,
            Err(problem) => loaded.note(MARKS, problem),
        }
    }

    fn load_collateral(&self, name: &str, key: CollateralKey, loaded: &mut Loaded) {
        let read = files::read(&self.dir.join(name), MAX_COLLATERAL_BYTES)
            .map_err(|error| StoreProblem::Unreadable(detail(&error)))
            .and_then(|json| Collateral::parse(&json).map_err(StoreProblem::Malformed));
        match read {
            Ok(collateral) => loaded.collateral.push((key, collateral)),
            Err(problem) => loaded.note(name, problem),
        }
    }

    /// Writes collateral, and makes room by removing what was written longest ago.
    pub(super) fn save(&self, key: CollateralKey, collateral: &Collateral) -> io::Result<()> {
        files::create_dir(&self.dir)?;
        files::write(&self.dir.join(Self::file_name(key)), collateral.to_json().as_bytes())?;
        self.prune()
    }

    pub(super) fn save_marks(&self, marks: &MarksBook, root: RootKeyId) -> io::Result<()> {
        files::create_dir(&self.dir)?;
        files::write(&self.dir.join(MARKS), &marks.to_json(root)?)
    }

    fn prune(&self) -> io::Result<()> {
        let names = self.names()?;
        let mut kept: Vec<(SystemTime, PathBuf)> = names
            .iter()
            .filter(|name| parse_name(name).is_some())
            .map(|name| self.dir.join(name))
            .filter_map(|path| Some((modified(&path)?, path)))
            .collect();
        kept.sort_unstable();
        let surplus = kept.len().saturating_sub(MAX_STORED);
        kept.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// The names in the directory, in order: the same disk gives the same result.
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.dir)?.take(MAX_LISTED);
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let mut names: Vec<String> = names.filter_map(io::Result::transpose).collect::<io::Result<_>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

impl Loaded {
    fn note(&mut self, file: &str, problem: StoreProblem) {
        self.notes.push(StoreNote { file: file.to_owned(), problem });
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).ok()?.modified().ok()
}

/// What the file of the given name holds, if it is one of ours.
fn parse_name(name: &str) -> Option<CollateralKey> {
    let (fmspc, ca) = name.strip_suffix(".json")?.split_once('-')?;
    let ca = [PckCa::Platform, PckCa::Processor].into_iter().find(|known| known.as_str() == ca)?;
    let key = CollateralKey { fmspc: fmspc.parse().ok()?, ca };
    // Only the form that is written: each key has one file.
    (CollateralStore::file_name(key) == name).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Fmspc;

    fn key(n: u8) -> CollateralKey {
        CollateralKey { fmspc: Fmspc([n; 6]), ca: PckCa::Platform }
    }

    fn collateral() -> Collateral {
        super::super::wire::tests_support::collateral()
    }

    #[test]
    fn store__should_read_back_what_it_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let store = CollateralStore::new(dir.path().join("new/dir"));
        assert!(store.load(RootKeyId::ZERO).notes.is_empty());
        let mut marks = MarksBook::default();
        marks.raise(key(1), &crate::collateral::CollateralMarks { tcb_info_number: 7, ..Default::default() });
        store.save(key(1), &collateral()).unwrap();
        store.save_marks(&marks, RootKeyId::ZERO).unwrap();
        let loaded = store.load(RootKeyId::ZERO);
        assert_eq!(loaded.collateral, [(key(1), collateral())]);
        assert_eq!(loaded.marks, marks);
        assert!(loaded.notes.is_empty());
    }

    #[test]
    fn store__should_note_what_it_cannot_read_and_use_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let store = CollateralStore::new(dir.path());
        store.save(key(1), &collateral()).unwrap();
        fs::write(dir.path().join("020202020202-platform.json"), "{").unwrap();
        fs::write(dir.path().join("030303030303-platform.json"), vec![b' '; MAX_COLLATERAL_BYTES + 1])
            .unwrap();
        fs::write(dir.path().join("marks.json"), "[]").unwrap();
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        fs::write(dir.path().join(".tmp-0123-marks.json"), "half").unwrap();
        fs::create_dir(dir.path().join("040404040404-platform.json")).unwrap();
        let loaded = store.load(RootKeyId::ZERO);
        assert_eq!(loaded.collateral.len(), 1);
        let notes: Vec<_> = loaded.notes.iter().map(|note| (note.file.as_str(), &note.problem)).collect();
        assert!(matches!(
            notes[..],
            [
                ("020202020202-platform.json", StoreProblem::Malformed(_)),
                ("030303030303-platform.json", StoreProblem::Unreadable(_)),
                ("040404040404-platform.json", StoreProblem::Unreadable(_)),
                ("marks.json", StoreProblem::Marks(_)),
            ]
        ));
        assert!(!dir.path().join(".tmp-0123-marks.json").exists());
        assert!(dir.path().join("notes.txt").exists());
    }

    #[test]
    fn store__should_keep_a_bounded_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = CollateralStore::new(dir.path());
        for n in 0..=u8::try_from(MAX_STORED).unwrap() {
            let name = CollateralStore::file_name(key(n));
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(n))).unwrap();
        }
        store.save(key(200), &collateral()).unwrap();
        assert_eq!(store.names().unwrap().len(), MAX_STORED);
        assert!(!dir.path().join(CollateralStore::file_name(key(0))).exists());
        assert!(dir.path().join(CollateralStore::file_name(key(200))).exists());
    }
}
