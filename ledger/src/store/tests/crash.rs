//! Power is lost at every operation of a workload; whatever was acknowledged is there when the store opens again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::sim::{Moment, PowerCut, SimDisk, State};
use super::world::{Log, Parts, cosigned, decision, plain};
use crate::hash::TreeHash;
use crate::store::Before;
use crate::store::disk::Disk as _;
use crate::store::known::Reuse;
use crate::store::layout;

/// What was promised, and after how many operations.
#[derive(Default)]
pub(super) struct Promised {
    pub(super) entries: Vec<(usize, u64, Vec<u8>)>,
    pub(super) heads: Vec<(usize, u64, TreeHash)>,
    /// Checkpoints that witnesses have cosigned, by their size.
    pub(super) witnessed: Vec<(usize, u64)>,
}

/// One step of a workload: whatever fails is refused, and the next step goes on.
pub(super) struct Run<'a> {
    pub(super) disk: &'a SimDisk,
    pub(super) parts: Parts,
    pub(super) promised: Promised,
}

impl<'a> Run<'a> {
    pub(super) fn new(disk: &'a SimDisk, parts: Parts) -> Self {
        Self { disk, parts, promised: Promised::default() }
    }

    pub(super) fn append(&mut self, entries: Vec<crate::store::Entry>) {
        for (index, record) in self.parts.append(entries).into_iter().flatten() {
            self.promised.entries.push((self.disk.operations(), index, record));
        }
    }

    pub(super) fn publish(&mut self) {
        if let Ok((size, root)) = self.parts.publish() {
            self.promised.heads.push((self.disk.operations(), size, root));
        }
    }

    /// Shows the newest checkpoint with a witness's cosignature.
    pub(super) fn show_witnessed(&mut self) {
        let Parts { publisher, shared, .. } = &self.parts;
        let signed = cosigned(&shared.checkpoint());
        if publisher.show_witnessed(&signed, shared).is_ok() {
            self.promised.witnessed.push((self.disk.operations(), signed.checkpoint().size));
        }
    }

    pub(super) fn prune(&mut self, before: u64) {
        self.parts.writer.set_reuse(Reuse::Suspended);
        drop(self.parts.publisher.prune(Before::Index(before), &self.parts.shared));
        self.parts.writer.set_reuse(Reuse::Allowed);
    }

    /// Batches of one and of many, segments that are closed, a bundle that becomes full, evidence that is shared and
    /// removed, cosignatures.
    pub(super) fn workload(&mut self) {
        self.append(vec![decision(1000)]);
        self.append(vec![plain(1001), decision(1002), decision(1000)]);
        self.publish();
        self.show_witnessed();
        self.append((1003..1006).map(decision).collect());
        self.append(vec![decision(1006)]);
        self.publish();
        self.prune(254);
        self.append(vec![decision(1000), decision(1007)]);
        self.publish();
        self.show_witnessed();
        self.append(vec![plain(1008)]);
    }
}

/// A log of 250 entries, so that the workload fills a bundle.
pub(super) fn log_of_250() -> State {
    let disk = SimDisk::new();
    let mut parts = Parts::open(&disk).unwrap();
    let appended = parts.append((0..250).map(plain).collect());
    assert!(appended.into_iter().all(|outcome| outcome.is_ok()));
    parts.publish().unwrap();
    disk.state().after(PowerCut::Lost)
}

/// Opens the store on what is left and checks every promise; then power is lost once more, and all of it must hold again.
pub(super) fn check(state: State, operation: usize, promised: &Promised) {
    let disk = SimDisk::from(state);
    let mut parts = Parts::open(&disk).unwrap();
    let next = parts.opened.size;
    let added = parts.append(vec![decision(5000)]).remove(0).unwrap();
    assert_eq!(added.0, next);
    parts.publish().unwrap();
    let log = Log::read(&disk);
    assert_eq!(log.size, next + 1);
    check_promises(&log, operation, promised);
    assert_eq!(log.records[usize::try_from(next).unwrap()], added.1);

    let disk = SimDisk::from(disk.state().after(PowerCut::Lost));
    let parts = Parts::open(&disk).unwrap();
    assert_eq!((parts.opened.size, parts.opened.published, parts.opened.torn_bytes), (next + 1, next + 1, 0));
    check_promises(&Log::read(&disk), operation, promised);
}

fn check_promises(log: &Log, operation: usize, promised: &Promised) {
    for (_, index, record) in promised.entries.iter().filter(|(at, ..)| *at <= operation) {
        assert_eq!(log.records.get(usize::try_from(*index).unwrap()), Some(record), "entry {index}");
    }
    for (_, size, root) in promised.heads.iter().filter(|(at, ..)| *at <= operation) {
        assert!(*size <= log.size && log.root(*size) == *root, "the tree of {size}");
    }
    for (_, size) in promised.witnessed.iter().filter(|(at, ..)| *at <= operation) {
        assert!(log.witnessed >= *size, "the witnessed tree of {size}, not of {}", log.witnessed);
    }
}

/// What the disk can hold if power is lost at this moment.
fn outcomes(moment: &Moment) -> Vec<State> {
    let seed = moment.operation as u64;
    let cuts = [PowerCut::Lost, PowerCut::Kept, PowerCut::Mixed(seed), PowerCut::Mixed(seed + 1_000_000)];
    cuts.map(|cut| moment.state.after(cut)).into()
}

/// What it can hold if the next write is torn: a batch at every byte, a large one behind its first entry at every seventh; a
/// file that is being made at some, because nobody reads it.
fn torn(moment: &Moment) -> Vec<(usize, State)> {
    let Some((inode, bytes, offset)) = &moment.write else { return Vec::new() };
    let before = moment.state.after(PowerCut::Kept);
    let ends = (0..bytes.len()).filter(|end| tears(*offset, *end) || bytes.len() < 100);
    let tear = |end| (end, before.with_write(*inode, &bytes[..end], *offset).after(PowerCut::Kept));
    ends.map(tear).collect()
}

const fn tears(offset: usize, end: usize) -> bool {
    if offset == 0 { end.is_multiple_of(500) } else { end < 1200 || end.is_multiple_of(7) }
}

/// Checks all of it for some of the torn writes, and for all that the store opens with what was acknowledged.
fn check_torn(moment: &Moment, promised: &Promised) -> usize {
    let torn = torn(moment);
    let count = torn.len();
    for (end, state) in torn {
        if end % 32 == 1 {
            check(state, moment.operation, promised);
        } else {
            let parts = Parts::open(&SimDisk::from(state)).unwrap();
            let acknowledged = promised.entries.iter().filter(|(at, ..)| *at <= moment.operation);
            let next = acknowledged.map(|(_, index, _)| index + 1).max().unwrap_or_default();
            assert!(parts.opened.size >= next, "byte {end}");
        }
    }
    count
}

/// Checks every moment; how many states of the disk that were.
fn check_all(moments: &[Moment], promised: &Promised) -> usize {
    let checked = AtomicUsize::new(0);
    for_each(moments, |moment| {
        let states = outcomes(moment);
        checked.fetch_add(states.len() + check_torn(moment, promised), Ordering::Relaxed);
        for state in states {
            check(state, moment.operation, promised);
        }
    });
    checked.into_inner()
}

/// Does the work for every moment, on as many threads as there are cores.
pub(super) fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for first in 0..threads {
            let work = &work;
            scope.spawn(move || items.iter().skip(first).step_by(threads).for_each(work));
        }
    });
}

#[test]
fn store__should_keep_every_promise_when_power_is_lost_at_any_operation() {
    let disk = SimDisk::from(log_of_250());
    disk.watch();
    let mut run = Run::new(&disk, Parts::open(&disk).unwrap());
    run.workload();
    let promised = run.promised;
    assert_eq!((promised.entries.len(), promised.heads.len(), promised.witnessed.len()), (11, 3, 2));
    let moments = disk.moments();
    assert!(moments.iter().any(|moment| moment.state.files("journal/").len() > 1), "no segment was closed");
    let states = check_all(&moments, &promised);
    println!("{} moments, {states} states of the disk", moments.len());
}

#[test]
fn store__should_be_made_again_when_power_is_lost_while_it_is_made() {
    let disk = SimDisk::new();
    disk.watch();
    let mut run = Run::new(&disk, Parts::open(&disk).unwrap());
    run.append(vec![decision(1)]);
    let promised = run.promised;
    check_all(&disk.moments(), &promised);
}

#[test]
fn open__should_cut_off_a_torn_tail_and_say_so() {
    let disk = SimDisk::from(log_of_250());
    let mut parts = Parts::open(&disk).unwrap();
    let before = disk.length("journal/0000000000000001").unwrap();
    parts.append(vec![plain(1)]).remove(0).unwrap();
    let mut state = disk.state();
    let path = state.files("journal/").pop().unwrap();
    state.damage(&path, |bytes| bytes.truncate(bytes.len() - 1));
    let parts = Parts::open(&SimDisk::from(state)).unwrap();
    assert_eq!(parts.opened.size, 250, "{before:?}");
    assert!(parts.opened.torn_bytes > 0);
}

#[test]
fn open__should_refuse_damage_before_the_end_and_name_the_place() {
    let disk = SimDisk::from(log_of_250());
    let mut parts = Parts::open(&disk).unwrap();
    for number in 0..3 {
        parts.append(vec![plain(number)]).remove(0).unwrap();
    }
    let whole = disk.state();
    let last = whole.files("journal/").pop().unwrap();
    let refused = |path: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut state = whole.clone();
        state.damage(path, change);
        let refusal = Parts::open(&SimDisk::from(state)).err().unwrap();
        assert_eq!(refusal.code.as_str(), "store-damaged", "{refusal}");
        assert!(refusal.found.contains(&path[..8]), "{refusal}");
    };
    // The first of three batches, and the head before them.
    refused(&last, &|bytes| bytes[100] ^= 1);
    refused(&last, &|bytes| bytes[20] ^= 1);
    refused("log/tile/0/000.p/250", &|bytes| bytes[3] ^= 1);
}

#[test]
fn open__should_refuse_a_folder_that_lost_files() {
    let disk = SimDisk::from(log_of_250());
    let mut parts = Parts::open(&disk).unwrap();
    parts.append(vec![decision(1)]).remove(0).unwrap();
    parts.publish().unwrap();
    let whole = disk.state();
    let mut paths = vec![whole.files("journal/").pop().unwrap()];
    paths.extend(
        [layout::CHECKPOINT, layout::FORMAT, "log/tile/0/000.p/251", "log/tile/entries/000.p/251"]
            .map(str::to_owned),
    );
    for path in paths {
        let mut state = whole.clone();
        state.lose(&path);
        let refusal =
            Parts::open(&SimDisk::from(state)).err().unwrap_or_else(|| panic!("opened without {path}"));
        assert_eq!(refusal.code.as_str(), "store-damaged", "{path}: {refusal}");
    }
}

#[test]
fn open__should_refuse_the_folder_of_another_log() {
    let disk = SimDisk::from(log_of_250());
    let options =
        crate::store::StoreOptions { origin: "other.example".to_owned(), ..super::world::options() };
    let (signing, key) = (super::world::signing(), super::world::journal_key());
    let refusal = crate::store::open::open(std::sync::Arc::new(disk), signing, &key, &options).err().unwrap();
    assert_eq!(refusal.code.as_str(), "store-format", "{refusal}");
}
