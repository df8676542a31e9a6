//! A host that writes to the disk: whatever it plants, changes, exchanges or brings back in the journal is refused with a
//! code and never signed, while the store runs and when it is opened. Beside each stands what the node itself wrote.

use std::sync::Arc;

use super::forger::{self, Forger, SEGMENT_HEAD};
use super::sim::{PowerCut, SimDisk, State};
use super::world::{Log, ORIGIN, Parts, decision, head, journal_key, options, plain, signing};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::TreeHash;
use crate::note::LogSigner as _;
use crate::refusal::LedgerCode;
use crate::store::disk::Disk as _;
use crate::store::journal::JournalKey;
use crate::store::sign::Signing;
use crate::store::{layout, open};
use crate::testing::Signer;
use crate::tree::Peaks;

/// A log with one published entry and two batches of one entry each that are not: both as long as the other.
struct Scene {
    disk: SimDisk,
    parts: Parts,
    records: Vec<Vec<u8>>,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self::empty();
        scene.append(1);
        scene.parts.publish().unwrap();
        scene.append(2);
        scene.append(3);
        scene
    }

    /// A log with three segments, of which nothing is published.
    fn of_segments() -> Self {
        let mut scene = Self::empty();
        while scene.disk.state().files("journal/").len() < 3 {
            let number = scene.records.len() as u64;
            let (_, record) = scene.parts.append(vec![decision(number)]).remove(0).unwrap();
            scene.records.push(record);
        }
        scene
    }

    fn empty() -> Self {
        let disk = SimDisk::new();
        let parts = Parts::open(&disk).unwrap();
        Self { disk, parts, records: Vec::new() }
    }

    fn append(&mut self, number: u64) {
        let (_, record) = self.parts.append(vec![plain(number)]).remove(0).unwrap();
        self.records.push(record);
    }

    fn size(&self) -> u64 {
        self.records.len() as u64
    }

    /// The root of the tree of the first entries.
    fn root(&self, size: usize) -> TreeHash {
        let mut tree = Peaks::default();
        self.records.iter().take(size).for_each(|record| tree.append(TreeHash::leaf(record)));
        tree.root()
    }

    /// What comes of opening the store on what the host leaves.
    fn opened(&self, tamper: &dyn Fn(&mut State)) -> Result<u64, LedgerCode> {
        let mut state = self.disk.state().after(PowerCut::Kept);
        tamper(&mut state);
        Parts::open(&SimDisk::from(state)).map(|parts| parts.opened.size).map_err(|fault| fault.code)
    }

    /// What comes of publishing while the host changes the disk. What is refused is not signed either.
    fn published(mut self, tamper: &dyn Fn(&mut State)) -> Result<u64, LedgerCode> {
        self.disk.tamper(tamper);
        let before = self.disk.read(layout::CHECKPOINT, 0, usize::MAX).unwrap();
        match self.parts.publish() {
            Ok((size, _)) => {
                assert_eq!(Log::read(&self.disk).records, self.records);
                Ok(size)
            }
            Err(fault) => {
                assert_eq!(self.disk.read(layout::CHECKPOINT, 0, usize::MAX).unwrap(), before);
                Err(fault.code)
            }
        }
    }
}

fn newest(state: &State) -> String {
    state.files("journal/").pop().unwrap()
}

/// Changes the newest segment.
fn change(state: &mut State, change: impl FnOnce(&mut Vec<u8>)) {
    let path = newest(state);
    state.damage(&path, change);
}

fn forger(journal_key: u8) -> Forger {
    Forger::new([journal_key; 32], ORIGIN, Signer::new(1).public_key())
}

const FORGED: Result<u64, LedgerCode> = Err(LedgerCode::StoreForged);
const DAMAGED: Result<u64, LedgerCode> = Err(LedgerCode::StoreDamaged);

#[test]
fn journal__should_be_what_the_node_wrote_and_nothing_else() {
    assert_eq!(Scene::new().opened(&|_| ()), Ok(3));
    assert_eq!(Scene::new().published(&|_| ()), Ok(3));
    assert_eq!(Scene::of_segments().published(&|_| ()), Ok(Scene::of_segments().size()));
}

#[test]
fn journal__should_be_read_as_another_implementation_wrote_it() {
    let vector: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/vectors/journal.json")).unwrap();
    let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
    let disk = Scene::empty().disk;
    disk.tamper(|state| change(state, |segment| *segment = bytes(&vector["segment"])));
    let mut parts = Parts::open(&disk).unwrap();
    assert_eq!((parts.opened.size, parts.opened.torn_bytes), (3, 0));
    parts.publish().unwrap();
    let records: Vec<_> = vector["records"].as_array().unwrap().iter().map(bytes).collect();
    assert_eq!(Log::read(&disk).records, records);
}

#[test]
fn planted_batch__should_be_refused_unless_it_has_the_nodes_tag() {
    let scene = Scene::new();
    let root = scene.root(3);
    let record = plain(9).record;
    let plant = |key: u8, first: u64, root: TreeHash| {
        let record = record.clone();
        move |state: &mut State| {
            change(state, |bytes| {
                let batch = forger(key).batch(bytes, first, root, &[forger::entry(&record)]);
                bytes.extend(batch);
            });
        }
    };
    assert_eq!(scene.opened(&plant(2, 3, root)), FORGED);
    // The node's own tag, as docs/LEDGER.md has it; behind another tree, it is not the node's word for this place.
    assert_eq!(scene.opened(&plant(1, 3, root)), Ok(4));
    assert_eq!(scene.opened(&plant(1, 3, TreeHash([7; 32]))), FORGED);
    assert_eq!(scene.opened(&plant(1, 2, scene.root(2))), FORGED);
    // A store that runs reads no further than it wrote, and writes over the rest.
    assert_eq!(scene.published(&plant(2, 3, root)), Ok(3));
}

#[test]
fn planted_batch__should_be_refused_in_the_place_of_one_of_the_nodes() {
    let exchange = |key: u8, number: u64, root: TreeHash| {
        move |state: &mut State| {
            change(state, |bytes| {
                let last = forger::batches(bytes).pop().unwrap();
                let frames = [forger::entry(&plain(number).record)];
                let batch = forger(key).batch(bytes, 2, root, &frames);
                bytes.splice(last, batch);
            });
        }
    };
    let tampered = |key, number| {
        let scene = Scene::new();
        let root = scene.root(2);
        (scene.opened(&exchange(key, number, root)), scene.published(&exchange(key, number, root)))
    };
    assert_eq!(tampered(2, 9), (FORGED, FORGED));
    assert_eq!(tampered(2, 3), (FORGED, FORGED), "the right record without the tag");
    assert_eq!(tampered(1, 3), (Ok(3), Ok(3)));
    // With the key, but not what the writer of this process wrote.
    assert_eq!(tampered(1, 9), (Ok(3), FORGED));
}

#[test]
fn planted_frame__should_be_refused_outside_of_a_batch() {
    let plant = |state: &mut State| change(state, |bytes| bytes.extend(forger::entry(b"record")));
    assert_eq!(Scene::new().opened(&plant), FORGED);
    // Bytes that are no frame are a torn tail.
    assert_eq!(Scene::new().opened(&|state| change(state, |bytes| bytes.extend([0; 50]))), Ok(3));
}

#[test]
fn changed_byte__should_be_refused_with_every_hash_mended() {
    let state = Scene::new().disk.state();
    let bytes = state.bytes(&newest(&state));
    let mut refused = 0;
    let unpublished = forger::batches(&bytes)[1].start;
    let places = forger::places(&bytes);
    for at in places.into_iter().flat_map(|place| place.content) {
        let tamper = |state: &mut State| {
            change(state, |bytes| {
                bytes[at] ^= 1;
                forger::mend(bytes);
            });
        };
        // Of a batch the hash over its heads is mended too: what was changed there is as it was.
        let mended = |scene: &Scene| {
            let mut state = scene.disk.state();
            let before = state.bytes(&newest(&state));
            tamper(&mut state);
            state.bytes(&newest(&state)) == before
        };
        let (start, running) = (Scene::new(), Scene::new());
        if mended(&start) {
            continue;
        }
        assert_eq!(start.opened(&tamper), FORGED, "byte {at}");
        let expected = if at < unpublished { Ok(3) } else { FORGED };
        assert_eq!(running.published(&tamper), expected, "byte {at}");
        refused += 1;
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn changed_head__should_be_refused_with_its_checksum_mended() {
    for at in 0..SEGMENT_HEAD - 32 {
        let tamper = |state: &mut State| {
            change(state, |bytes| {
                bytes[at] ^= 1;
                forger::mend(bytes);
            });
        };
        // Without its magic it is no head at all.
        let expected = if at < 8 { DAMAGED } else { FORGED };
        assert_eq!(
            (Scene::new().opened(&tamper), Scene::new().published(&tamper)),
            (expected, expected),
            "{at}"
        );
    }
}

#[test]
fn journal__should_be_refused_with_a_code_of_its_own_when_it_has_no_tags_at_all() {
    let tamper = |state: &mut State| change(state, |bytes| bytes[7] = b'1');
    assert_eq!(Scene::new().opened(&tamper), Err(LedgerCode::StoreFormat));
}

#[test]
fn segments__should_be_refused_in_each_others_place() {
    let swap = |state: &mut State| {
        let paths = state.files("journal/");
        let (first, second) = (state.bytes(&paths[0]), state.bytes(&paths[1]));
        state.damage(&paths[0], |bytes| *bytes = second);
        state.damage(&paths[1], |bytes| *bytes = first);
    };
    assert_eq!((Scene::of_segments().opened(&swap), Scene::of_segments().published(&swap)), (FORGED, FORGED));
}

#[test]
fn batch__should_be_refused_in_another_segment() {
    let copy = |state: &mut State| {
        let older = state.bytes(&state.files("journal/")[1]);
        let batch = older[forger::batches(&older).pop().unwrap()].to_vec();
        change(state, |bytes| bytes.extend(batch));
    };
    assert_eq!(Scene::of_segments().opened(&copy), FORGED);
}

#[test]
fn batch__should_be_refused_twice() {
    let again = |state: &mut State| {
        change(state, |bytes| bytes.extend_from_within(forger::batches(bytes).pop().unwrap()));
    };
    assert_eq!(Scene::new().opened(&again), FORGED);
    let instead = |state: &mut State| {
        change(state, |bytes| {
            let batches = forger::batches(bytes);
            bytes.copy_within(batches[1].clone(), batches[2].start);
        });
    };
    assert_eq!((Scene::new().opened(&instead), Scene::new().published(&instead)), (FORGED, FORGED));
}

#[test]
fn segment_of_another_node__should_be_refused() {
    let disk = SimDisk::new();
    let (signing, key) = (Signing::new(ORIGIN, Box::new(Signer::new(2))).unwrap(), JournalKey::new(&[2; 32]));
    let other = open::open(Arc::new(disk.clone()), signing, &key, &options()).unwrap();
    drop(other);
    let state = disk.state();
    let foreign = state.bytes(&newest(&state));
    let tamper = |state: &mut State| change(state, |bytes| bytes.clone_from(&foreign));
    assert_eq!((Scene::new().opened(&tamper), Scene::new().published(&tamper)), (FORGED, FORGED));
}

#[test]
fn older_journal__should_be_refused_where_it_ends_before_the_published_log() {
    let mut scene = Scene::empty();
    scene.append(1);
    let older = scene.disk.state();
    scene.append(2);
    scene.parts.publish().unwrap();
    scene.append(3);
    let path = newest(&older);
    let restore = |state: &mut State| state.damage(&path, |bytes| *bytes = older.bytes(&path));
    assert_eq!((scene.opened(&restore), scene.published(&restore)), (DAMAGED, DAMAGED));
}

#[test]
fn older_journal__should_be_damage_to_the_store_that_wrote_more() {
    let cut = |state: &mut State| {
        change(state, |bytes| {
            let last = forger::batches(bytes).pop().unwrap();
            bytes.truncate(last.start);
        });
    };
    assert_eq!(Scene::new().published(&cut), DAMAGED);
    // When the store is opened nobody knows of more: this is what witnesses cannot see either, before it is published.
    assert_eq!(Scene::new().opened(&cut), Ok(2));
}

#[test]
fn other_history__should_be_refused_by_the_store_that_wrote_this_one() {
    let scene = Scene::new();
    let first = scene.disk.state();
    let path = newest(&first);
    // The host cuts off the last batch and starts the node again, which writes another of the same length there.
    let mut cut = first.after(PowerCut::Kept);
    cut.damage(&path, |bytes| bytes.truncate(forger::batches(bytes).pop().unwrap().start));
    let disk = SimDisk::from(cut);
    let mut parts = Parts::open(&disk).unwrap();
    parts.append(vec![plain(4)]).remove(0).unwrap();
    assert_eq!(disk.state().bytes(&path).len(), first.bytes(&path).len());
    let before = head(&parts.shared.checkpoint());
    let own = disk.state().bytes(&path);
    disk.tamper(|state| state.damage(&path, |bytes| *bytes = first.bytes(&path)));
    assert_eq!(parts.publish().unwrap_err().code, LedgerCode::StoreForged);
    assert_eq!(head(&parts.shared.checkpoint()), before);
    disk.tamper(|state| state.damage(&path, |bytes| *bytes = own));
    assert_eq!(parts.publish().unwrap().0, 3);
}

#[test]
fn removed_segment__should_change_nothing_when_it_comes_back() {
    let mut scene = Scene::of_segments();
    let old = scene.disk.state();
    scene.parts.publish().unwrap();
    let (path, size) = (old.files("journal/").remove(1), scene.size());
    let again = |state: &mut State| state.plant(&path, old.bytes(&path));
    assert_eq!(scene.opened(&again), Ok(size));
    // Behind the newest it would be the next: it is no segment of that place.
    let next = |state: &mut State| state.plant("journal/0000000000000003", old.bytes(&path));
    assert_eq!(scene.opened(&next), FORGED);
}

#[test]
fn checkpoint__should_be_refused_of_another_key_even_over_this_very_tree() {
    let mut scene = Scene::new();
    scene.parts.publish().unwrap();
    let checkpoint = scene.parts.shared.checkpoint().checkpoint().clone();
    let sign = |seed: u8| {
        let signed = SignedCheckpoint::sign(checkpoint.clone(), &Signer::new(seed)).unwrap().encode();
        move |state: &mut State| {
            state.damage(layout::CHECKPOINT, |bytes| *bytes = signed.clone().into_bytes());
        }
    };
    assert_eq!(scene.opened(&sign(1)), Ok(3));
    assert_eq!(scene.opened(&sign(2)), Err(LedgerCode::StoreKey));
    // The same folder, for a node with another journal key, and with another log key.
    let opened = |seed: u8, key: &JournalKey| {
        let disk = SimDisk::from(scene.disk.state());
        let signing = Signing::new(ORIGIN, Box::new(Signer::new(seed))).unwrap();
        let opened = open::open(Arc::new(disk), signing, key, &options());
        opened.map(|parts| parts.opened.size).map_err(|fault| fault.code)
    };
    assert_eq!(opened(1, &journal_key()), Ok(3));
    assert_eq!(opened(1, &JournalKey::new(&[2; 32])), FORGED);
    assert_eq!(opened(2, &journal_key()), Err(LedgerCode::StoreKey));
    assert_eq!(signing().key().public_key(), &Signer::new(1).public_key());
}

#[test]
fn tail__should_be_repaired_wherever_it_is_cut_and_lose_nothing_before() {
    let scene = Scene::new();
    let whole = scene.disk.state().after(PowerCut::Kept);
    let path = newest(&whole);
    let last = forger::batches(&whole.bytes(&path)).pop().unwrap();
    for end in last.clone() {
        let mut state = whole.clone();
        state.damage(&path, |bytes| bytes.truncate(end));
        let disk = SimDisk::from(state);
        let mut parts = Parts::open(&disk).unwrap();
        assert_eq!((parts.opened.size, parts.opened.torn_bytes), (2, (end - last.start) as u64));
        parts.publish().unwrap();
        assert_eq!(Log::read(&disk).records, scene.records[..2]);
    }
}
