//! Hardening, as the kernel sees it. One test, in order: what it does to the process cannot be undone.
#![allow(non_snake_case, missing_docs, clippy::unwrap_used)]

use kms_node::hardening::{HardeningError, MemoryLocking, harden};
use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, no_new_privs, set_capabilities};

const LIMIT: u64 = 64 * 1024;

/// Kilobytes of locked memory.
fn locked() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn without_ipc_lock(sets: CapabilitySets) -> CapabilitySets {
    CapabilitySets { effective: sets.effective - CapabilitySet::IPC_LOCK, ..sets }
}

/// In a thread that may not exceed the limit, whoever runs the tests. Capabilities are a thread's own.
fn harden_without_the_capability() -> Result<(), HardeningError> {
    let hardened = std::thread::spawn(|| {
        set_capabilities(None, without_ipc_lock(capabilities(None).unwrap())).unwrap();
        harden(MemoryLocking::Required).map(|_| ())
    });
    hardened.join().unwrap()
}

#[test]
fn harden__should_close_the_process_and_lock_its_memory_or_say_what_is_missing() {
    let hardened = harden(MemoryLocking::InsecureOff).unwrap();
    assert_eq!(hardened.memory(), MemoryLocking::InsecureOff);
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    assert!(no_new_privs().unwrap());
    assert_eq!(locked(), 0);

    setrlimit(Resource::Memlock, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) }).unwrap();
    let error = harden_without_the_capability().unwrap_err();
    assert_eq!(error, HardeningError::MemoryLimit { found: LIMIT });
    assert!(error.to_string().contains("CAP_IPC_LOCK"), "{error}");
    assert_eq!(locked(), 0);

    if capabilities(None).unwrap().effective.contains(CapabilitySet::IPC_LOCK) {
        assert_eq!(harden(MemoryLocking::Required).unwrap().memory(), MemoryLocking::Required);
        assert!(locked() > 0);
    } else {
        println!("SKIPPED: locking memory, for want of CAP_IPC_LOCK");
    }
}
