//! A simulated disk: it remembers what is durable and what is not, fails when it is told to, and can lose power at any
//! operation.
//!
//! Bytes are durable after a sync of the file or of all, names after a sync of their folder or of all. A sync that fails
//! forgets what it should have written, as Linux does: later syncs succeed, and the bytes never reach the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::store::disk::{Disk, DiskFile};

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What was written since the last sync.
    dirty: Vec<Range<usize>>,
    /// Whether a sync failed: what is read may never reach the disk.
    lost: bool,
}

impl Inode {
    fn fail_sync(&mut self) {
        self.lost |= !self.dirty.is_empty();
        self.dirty.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

/// All that is on the disk, and on its way there.
#[derive(Clone)]
pub(crate) struct State {
    inodes: Vec<Arc<Inode>>,
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
    free: u64,
}

/// What happens to all that was not synced when power is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PowerCut {
    /// None of it reached the disk.
    Lost,
    /// All of it did.
    Kept,
    /// Some of it did, in any order: names, blocks and lengths, each by itself.
    Mixed(u64),
}

/// Which operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// All.
    All,
    /// Those that need room.
    Growing,
    /// Syncs.
    Syncs,
}

impl Failing {
    /// How an operation of this kind fails, if it does.
    fn covers(self, kind: Kind) -> Option<ErrorKind> {
        match self {
            Self::All => Some(ErrorKind::Other),
            Self::Growing => (kind == Kind::Grow).then_some(ErrorKind::StorageFull),
            Self::Syncs => (kind == Kind::Sync).then_some(ErrorKind::Other),
        }
    }
}

/// Operations that fail, by their number.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) operations: Range<usize>,
    pub(crate) failing: Failing,
}

/// A moment at which power can be lost.
#[derive(Clone)]
pub(crate) struct Moment {
    /// How many operations were done.
    pub(crate) operation: usize,
    pub(crate) state: State,
    /// The write that comes next, if it is one: inode, bytes, offset, path.
    pub(crate) write: Option<(usize, Vec<u8>, usize)>,
}

struct Inner {
    state: State,
    operations: usize,
    faults: Option<Faults>,
    /// The kind of each operation since faults were set.
    kinds: Vec<Kind>,
    moments: Option<Vec<Moment>>,
}

/// The disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<Inner>>);

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Grow,
    Sync,
    Change,
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(bytes);
        self.dirty.push(offset..end);
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for range in self.dirty.drain(..) {
            let end = range.end.min(self.now.len());
            if range.start < end {
                self.durable[range.start..end].copy_from_slice(&self.now[range.start..end]);
            }
        }
    }

    fn after(&self, cut: PowerCut, seed: &mut u64) -> Vec<u8> {
        match cut {
            PowerCut::Lost => self.durable.clone(),
            PowerCut::Kept => {
                let mut all = self.clone();
                all.sync();
                all.durable
            }
            PowerCut::Mixed(_) => self.mixed(seed),
        }
    }

    fn mixed(&self, seed: &mut u64) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if random(seed).is_multiple_of(2) {
            bytes.resize(self.now.len(), 0);
        }
        for block in
            self.dirty.iter().flat_map(|range| range.clone().step_by(64).map(|at| at..range.end.min(at + 64)))
        {
            let end = block.end.min(bytes.len()).min(self.now.len());
            match random(seed) % 3 {
                0 if block.start < end => {
                    bytes[block.start..end].copy_from_slice(&self.now[block.start..end]);
                }
                1 if block.start < end && end > self.durable.len() => bytes[block.start..end].fill(0),
                _ => {}
            }
        }
        bytes
    }
}

impl State {
    /// What the disk holds when power is back.
    pub(crate) fn after(&self, cut: PowerCut) -> Self {
        let mut seed = if let PowerCut::Mixed(seed) = cut { seed } else { 0 };
        let settle = |inode: &Arc<Inode>| {
            if inode.dirty.is_empty() && inode.durable.len() == inode.now.len() && !inode.lost {
                return Arc::clone(inode);
            }
            let durable = inode.after(cut, &mut seed);
            Arc::new(Inode { now: durable.clone(), durable, ..Inode::default() })
        };
        let inodes = self.inodes.iter().map(settle).collect();
        let paths: BTreeSet<&String> = self.names.keys().chain(self.durable_names.keys()).collect();
        let mut names = BTreeMap::new();
        for path in paths {
            let now = match cut {
                PowerCut::Lost => false,
                PowerCut::Kept => true,
                PowerCut::Mixed(_) => random(&mut seed).is_multiple_of(2),
            };
            let node = if now { self.names.get(path) } else { self.durable_names.get(path) };
            let parent = parent(path);
            if let Some(node) = node.filter(|_| parent.is_empty() || names.contains_key(parent)) {
                names.insert(path.clone(), *node);
            }
        }
        Self { inodes, durable_names: names.clone(), names, free: self.free }
    }

    /// The state with the front of a write done.
    pub(crate) fn with_write(&self, inode: usize, bytes: &[u8], offset: usize) -> Self {
        let mut state = self.clone();
        Arc::make_mut(&mut state.inodes[inode]).write(bytes, offset);
        state
    }

    /// Changes the bytes of a file, durably.
    pub(crate) fn damage(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(Node::File(inode)) = self.names.get(path).copied() else { panic!("no file {path}") };
        let inode = Arc::make_mut(&mut self.inodes[inode]);
        change(&mut inode.durable);
        inode.now.clone_from(&inode.durable);
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let Some(Node::File(inode)) = self.names.get(path) else { panic!("no file {path}") };
        self.inodes[*inode].now.clone()
    }

    /// Makes a file with these bytes, durably, in a folder that is there.
    pub(crate) fn plant(&mut self, path: &str, bytes: Vec<u8>) {
        let inode = Inode { now: bytes.clone(), durable: bytes, ..Inode::default() };
        let node = Node::File(self.inodes.len());
        self.inodes.push(Arc::new(inode));
        self.names.insert(path.to_owned(), node);
        self.durable_names.insert(path.to_owned(), node);
    }

    /// Removes a file, durably.
    pub(crate) fn lose(&mut self, path: &str) {
        self.names.remove(path).unwrap();
        self.durable_names.remove(path);
    }

    /// The files whose path begins so.
    pub(crate) fn files(&self, prefix: &str) -> Vec<String> {
        let file = |(path, node): (&String, &Node)| (*node != Node::Folder).then(|| path.clone());
        self.names.iter().filter(|(path, _)| path.starts_with(prefix)).filter_map(file).collect()
    }

    fn sync_names(&mut self, covers: impl Fn(&str) -> bool) {
        self.durable_names.retain(|path, _| !covers(path));
        let covered = self.names.iter().filter(|(path, _)| covers(path));
        self.durable_names.extend(covered.map(|(path, node)| (path.clone(), *node)));
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        let (names, durable_names) = (BTreeMap::new(), BTreeMap::new());
        Self::from(State { inodes: Vec::new(), names, durable_names, free: u64::MAX })
    }

    pub(crate) fn from(state: State) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            state,
            operations: 0,
            faults: None,
            kinds: Vec::new(),
            moments: None,
        })))
    }

    /// From now on, every moment is remembered.
    pub(crate) fn watch(&self) {
        let mut inner = self.0.lock().unwrap();
        (inner.moments, inner.operations) = (Some(Vec::new()), 0);
    }

    pub(crate) fn moments(&self) -> Vec<Moment> {
        let mut inner = self.0.lock().unwrap();
        let (operation, state) = (inner.operations, inner.state.clone());
        let mut moments = inner.moments.take().unwrap();
        moments.push(Moment { operation, state, write: None });
        moments
    }

    /// From now on, operations are counted from zero and some of them fail.
    pub(crate) fn fail(&self, faults: Faults) {
        let mut inner = self.0.lock().unwrap();
        (inner.faults, inner.operations) = (Some(faults), 0);
        inner.kinds.clear();
    }

    /// The faults that begin with an operation that they let fail: `count` operations long, at each place.
    pub(crate) fn each_fault(&self, failing: Failing, count: usize) -> Vec<Faults> {
        let inner = self.0.lock().unwrap();
        let fails = |(at, kind): (usize, &Kind)| failing.covers(*kind).map(|_| at);
        let places = inner.kinds.iter().enumerate().filter_map(fails);
        places.map(|at| Faults { operations: at..at + count, failing }).collect()
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().faults = None;
    }

    pub(crate) fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    pub(crate) fn state(&self) -> State {
        self.0.lock().unwrap().state.clone()
    }

    /// Changes what is on the disk behind the store's back.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap().state);
    }

    pub(crate) fn set_free(&self, free: u64) {
        self.0.lock().unwrap().state.free = free;
    }

    fn run<T>(
        &self,
        kind: Kind,
        write: Option<(usize, &[u8], usize)>,
        work: impl FnOnce(&mut State) -> io::Result<T>,
        failed: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut inner = self.0.lock().unwrap();
        let operation = inner.operations;
        inner.operations += 1;
        if kind != Kind::Read && inner.moments.is_some() {
            let write = write.map(|(inode, bytes, offset)| (inode, bytes.to_vec(), offset));
            let moment = Moment { operation, state: inner.state.clone(), write };
            inner.moments.as_mut().unwrap().push(moment);
        }
        let fault = inner.faults.clone().filter(|faults| faults.operations.contains(&operation));
        inner.kinds.push(kind);
        match fault.and_then(|faults| faults.failing.covers(kind)) {
            Some(error) => {
                failed(&mut inner.state);
                Err(error.into())
            }
            None => work(&mut inner.state),
        }
    }

    fn find(state: &State, path: &str) -> io::Result<usize> {
        match state.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for SimDisk {
    fn make_folder(&self, path: &str) -> io::Result<()> {
        let work = |state: &mut State| {
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            for end in ends {
                state.names.entry(path[..end].to_owned()).or_insert(Node::Folder);
            }
            Ok(())
        };
        self.run(Kind::Grow, None, work, |_| ())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let work = |state: &mut State| {
            let inside = |path: &&String| parent(path) == folder;
            let name = |path: &String| path.rsplit('/').next().unwrap().to_owned();
            Ok(state.names.keys().filter(inside).map(name).collect())
        };
        self.run(Kind::Read, None, work, |_| ())
    }

    fn length(&self, path: &str) -> io::Result<Option<u64>> {
        let work = |state: &mut State| {
            Ok(Self::find(state, path).ok().map(|inode| state.inodes[inode].now.len() as u64))
        };
        self.run(Kind::Read, None, work, |_| ())
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let work = |state: &mut State| {
            let bytes = &state.inodes[Self::find(state, path)?].now;
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            Ok(bytes[start..bytes.len().min(start.saturating_add(len))].to_vec())
        };
        self.run(Kind::Read, None, work, |_| ())
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let work = |state: &mut State| {
            if !parent(path).is_empty() && !state.names.contains_key(parent(path)) {
                return Err(ErrorKind::NotFound.into());
            }
            // A new inode even for a file that is there: its old bytes may come back, as after a truncation.
            state.inodes.push(Arc::new(Inode::default()));
            let inode = state.inodes.len() - 1;
            state.names.insert(path.to_owned(), Node::File(inode));
            Ok(inode)
        };
        let inode = self.run(Kind::Grow, None, work, |_| ())?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.run(Kind::Read, None, |state| Self::find(state, path), |_| ())?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let work = |state: &mut State| {
            if !state.names.contains_key(parent(to)) && !parent(to).is_empty() {
                return Err(ErrorKind::NotFound.into());
            }
            let node = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), node);
            Ok(())
        };
        self.run(Kind::Change, None, work, |_| ())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let work = |state: &mut State| {
            state.names.remove(path);
            Ok(())
        };
        self.run(Kind::Change, None, work, |_| ())
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.remove(path)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        let folder = if path == "." { "" } else { path };
        let work = |state: &mut State| {
            state.sync_names(|path| parent(path) == folder);
            Ok(())
        };
        self.run(Kind::Sync, None, work, |_| ())
    }

    fn sync_all(&self) -> io::Result<()> {
        let work = |state: &mut State| {
            state
                .inodes
                .iter_mut()
                .filter(|inode| !inode.dirty.is_empty() || inode.durable.len() != inode.now.len())
                .for_each(|inode| Arc::make_mut(inode).sync());
            state.sync_names(|_| true);
            Ok(())
        };
        let failed = |state: &mut State| {
            state
                .inodes
                .iter_mut()
                .filter(|inode| !inode.dirty.is_empty())
                .for_each(|inode| Arc::make_mut(inode).fail_sync());
        };
        self.run(Kind::Sync, None, work, failed)
    }

    fn free(&self) -> io::Result<u64> {
        self.run(Kind::Read, None, |state| Ok(state.free), |_| ())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (inode, offset) = (self.inode, usize::try_from(offset).unwrap());
        let work = |state: &mut State| {
            Arc::make_mut(&mut state.inodes[inode]).write(bytes, offset);
            Ok(())
        };
        // A write that fails has written some of it.
        let failed = |state: &mut State| {
            Arc::make_mut(&mut state.inodes[inode]).write(&bytes[..bytes.len() / 2], offset);
        };
        self.disk.run(Kind::Grow, Some((inode, bytes, offset)), work, failed)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let inode = self.inode;
        let work = |state: &mut State| {
            Arc::make_mut(&mut state.inodes[inode]).now.resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        };
        self.disk.run(Kind::Change, None, work, |_| ())
    }

    fn sync(&self) -> io::Result<()> {
        let inode = self.inode;
        let work = |state: &mut State| {
            Arc::make_mut(&mut state.inodes[inode]).sync();
            Ok(())
        };
        let failed = |state: &mut State| Arc::make_mut(&mut state.inodes[inode]).fail_sync();
        self.disk.run(Kind::Sync, None, work, failed)
    }
}
