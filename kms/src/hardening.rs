//! The process that root secrets live in: no core files, no debugger of the same user, no swap.
//!
//! [`harden`] is the first thing that the daemon does, before any secret exists; its result, [`Hardened`], is what a
//! root secret asks for before it lets itself be made. Nothing can be undone.
//!
//! It is a second wall. The first is the TD: its memory is encrypted, and the host cannot read it whatever this process
//! does. Threats: another program in the guest that attaches to this one or reads `/proc/PID/mem`; a crash that writes
//! memory to disk; memory pressure that does.

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_no_new_privs};

/// Whether all memory must be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLocking {
    /// It must: the only choice for a node that serves.
    Required,
    /// It is not: for development machines whose limit does not allow it.
    InsecureOff,
}

/// Proof that this process was hardened.
#[derive(Debug)]
pub struct Hardened {
    memory: MemoryLocking,
}

impl Hardened {
    /// How its memory is locked, for the start-up report and the records.
    #[must_use]
    pub fn memory(&self) -> MemoryLocking {
        self.memory
    }
}

/// Why a process could not be hardened. It must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HardeningError {
    /// The kernel refused to close the process to debuggers and core files.
    #[error("{}: the kernel refused {call} ({errno}); run on Linux, without a seccomp filter that forbids it", self.code())]
    Refused {
        /// What was asked for.
        call: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// The process may lock only part of its memory, which would end in failing allocations.
    #[error(
        "{}: found a limit of {found} bytes of locked memory (RLIMIT_MEMLOCK; expected none); give the process \
         CAP_IPC_LOCK, or LimitMEMLOCK=infinity in its systemd unit, or `ulimit -l unlimited`",
        self.code()
    )]
    MemoryLimit {
        /// The hard limit, in bytes.
        found: u64,
    },
    /// The kernel refused to lock memory although the limit allows it.
    #[error("{}: the kernel refused mlockall ({errno}); free memory, or give the guest more", self.code())]
    Memory {
        /// What the kernel said.
        errno: Errno,
    },
}

impl HardeningError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "hardening-refused",
            Self::MemoryLimit { .. } => "hardening-memory-limit",
            Self::Memory { .. } => "hardening-memory",
        }
    }
}

/// Hardens this process, for good. To be called before there is another thread: some of it is per thread, and inherited.
pub fn harden(memory: MemoryLocking) -> Result<Hardened, HardeningError> {
    let refused = |call| move |errno| HardeningError::Refused { call, errno };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused("PR_SET_DUMPABLE 0"))?;
    set_no_new_privs(true).map_err(refused("PR_SET_NO_NEW_PRIVS"))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(refused("RLIMIT_CORE 0"))?;
    if memory == MemoryLocking::Required {
        lock_memory()?;
    }
    Ok(Hardened { memory })
}

/// Locks all memory, present and future, each page when it is first used.
fn lock_memory() -> Result<(), HardeningError> {
    lift_limit()?;
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(flags).map_err(|errno| HardeningError::Memory { errno })
}

/// With a limit, `mlockall` may succeed now and allocations fail later, in the midst of a release.
fn lift_limit() -> Result<(), HardeningError> {
    let hard = getrlimit(Resource::Memlock).maximum;
    if let Some(found) = hard.filter(|_| !may_exceed_limit()) {
        return Err(HardeningError::MemoryLimit { found });
    }
    if hard.is_some() {
        return Ok(());
    }
    let unlimited = Rlimit { current: None, maximum: None };
    let refused = |errno| HardeningError::Refused { call: "RLIMIT_MEMLOCK unlimited", errno };
    setrlimit(Resource::Memlock, unlimited).map_err(refused)
}

fn may_exceed_limit() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK))
}
