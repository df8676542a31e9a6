//! Operations fail one after the other; what was acknowledged is kept, and the store recovers by itself.

use super::crash::{Run, check, for_each, log_of_250};
use super::sim::{Failing, Faults, PowerCut, SimDisk, State};
use super::world::{Log, Parts, decision, plain, standing};
use crate::record::Record;
use crate::refusal::LedgerCode;
use crate::store::disk::Disk as _;
use crate::store::{Before, layout};

fn run(start: &State, faults: &Faults) {
    let disk = SimDisk::from(start.clone());
    let parts = Parts::open(&disk).unwrap();
    disk.fail(faults.clone());
    let mut run = Run::new(&disk, parts);
    run.workload();
    let broken = disk.state();
    let Run { promised, .. } = &run;
    // The process ends here, with or without power; or it stays, and the disk is well again.
    check(broken.after(PowerCut::Lost), usize::MAX, promised);
    check(broken.after(PowerCut::Mixed(faults.operations.start as u64)), usize::MAX, promised);
    check(broken, usize::MAX, promised);
    disk.heal();
    let added = run.parts.append(vec![decision(3000)]).remove(0).unwrap();
    run.publish();
    assert_eq!(Log::read(&disk).size, added.0 + 1);
    check(disk.state().after(PowerCut::Lost), usize::MAX, &run.promised);
}

#[test]
fn store__should_keep_every_promise_and_recover_when_any_operation_fails() {
    let start = log_of_250();
    let counted = SimDisk::from(start.clone());
    let parts = Parts::open(&counted).unwrap();
    counted.fail(Faults { operations: 0..0, failing: Failing::All });
    Run::new(&counted, parts).workload();
    let kinds = [
        (Failing::All, 1),
        (Failing::All, 7),
        (Failing::Growing, 20),
        (Failing::Syncs, 1),
        (Failing::Syncs, 60),
    ];
    let faults: Vec<Faults> =
        kinds.into_iter().flat_map(|(failing, count)| counted.each_fault(failing, count)).collect();
    for_each(&faults, |faults| run(&start, faults));
}

#[test]
fn append__should_refuse_all_but_releases_when_the_reserve_is_reached() {
    let disk = SimDisk::new();
    let mut parts = Parts::open(&disk).unwrap();
    disk.set_free(999);
    let outcomes = parts.append(vec![plain(1), decision(2), plain(3), decision(4)]);
    let answers: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().map(|(index, _)| *index).map_err(|fault| fault.code))
        .collect();
    let reserved = Err(LedgerCode::StoreReserved);
    assert_eq!(answers, [reserved, Ok(0), reserved, Ok(1)]);
    disk.set_free(1000);
    assert_eq!(parts.append(vec![plain(5)]).remove(0).unwrap().0, 2);
}

#[test]
fn append__should_name_a_full_disk_and_a_failing_one() {
    let disk = SimDisk::new();
    let mut parts = Parts::open(&disk).unwrap();
    for (failing, code) in
        [(Failing::Growing, LedgerCode::StoreFull), (Failing::Syncs, LedgerCode::StoreDisk)]
    {
        disk.fail(Faults { operations: 0..100, failing });
        assert_eq!(parts.append(vec![decision(1)]).remove(0).unwrap_err().code, code);
        disk.heal();
        parts.append(vec![decision(1)]).remove(0).unwrap();
    }
    assert_eq!(parts.shared.durable().size, 2);
}

#[test]
fn append__should_store_what_is_known_only_once() {
    let disk = SimDisk::new();
    let mut parts = Parts::open(&disk).unwrap();
    let grown = |parts: &mut Parts, number| {
        let before = parts.shared.durable().position;
        parts.append(vec![decision(number)]).remove(0).unwrap();
        parts.shared.durable().position.offset - before.offset
    };
    let (first, again, other) = (grown(&mut parts, 1), grown(&mut parts, 1), grown(&mut parts, 2));
    assert!(again + 40 < other && other + 40 < first, "{first} {again} {other}");
    // After a restart the disk is asked.
    parts.publish().unwrap();
    let mut parts = Parts::open(&disk).unwrap();
    assert_eq!(grown(&mut parts, 1), again);
}

#[test]
fn prune__should_remove_what_only_old_records_name_and_say_so() {
    let disk = SimDisk::new();
    let mut parts = Parts::open(&disk).unwrap();
    for number in [1, 2, 3, 1] {
        parts.append(vec![decision(number)]).remove(0).unwrap();
    }
    let pruned = parts.publisher.prune(Before::Time(3), &parts.shared).unwrap();
    // The second's quote and witness; the first's are named again, the code is a part, the policy is everybody's.
    assert_eq!((pruned.before, pruned.blobs), (2, 2));
    Log::read(&disk);
    assert_eq!(disk.read(layout::PRUNED, 0, 9).unwrap(), b"2\n");
    let pruned = parts.publisher.prune(Before::Index(4), &parts.shared).unwrap();
    // All but the code, which may be a part of what is written next.
    assert_eq!((pruned.before, pruned.blobs), (4, 5));
    assert_eq!(disk.state().files("log/blob/").len(), 1);
    // What comes back is stored again.
    let mut parts = Parts::open(&disk).unwrap();
    parts.append(vec![decision(1)]).remove(0).unwrap();
    parts.publish().unwrap();
    Log::read(&disk);
}

#[test]
fn prune__should_keep_the_evidence_of_the_node_itself_for_ever() {
    let disk = SimDisk::new();
    let mut parts = Parts::open(&disk).unwrap();
    parts.append(vec![standing(1)]).remove(0).unwrap();
    for number in [2, 3, 4] {
        parts.append(vec![decision(number)]).remove(0).unwrap();
    }
    let there = |disk: &SimDisk| disk.state().files("log/blob/").len();
    let removed = |parts: &mut Parts, before| {
        let pruned = parts.publisher.prune(Before::Index(before), &parts.shared).unwrap();
        (pruned.before, pruned.blobs)
    };
    assert_eq!(removed(&mut parts, 1), (1, 0), "its own evidence, and what it shares with what follows");
    // In another run, and of what was seen long before: the second's witness goes, its quote is the node's evidence too.
    let mut parts = Parts::open(&disk).unwrap();
    assert_eq!(removed(&mut parts, 2), (2, 1));
    assert_eq!(removed(&mut parts, 4), (4, 4));
    // The policy, the code, two quotes and a witness: all that the first record names.
    assert_eq!(there(&disk), 5);
    let record = Record::decode(&Log::read(&disk).records[0]).unwrap();
    for id in record.blobs() {
        assert!(disk.length(&layout::blob(id)).unwrap().is_some(), "{id}");
    }
}
