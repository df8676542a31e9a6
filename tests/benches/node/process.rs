//! What the kernel says of a process: its CPU time, all threads together, and the most memory that it ever held.

use std::fs;
use std::time::Duration;

/// The length of a tick of `/proc`, which is the same on every Linux (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// The time that the process has spent on a CPU, in user and in kernel mode (fields 14 and 15 of `/proc/PID/stat`).
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    // The second field is a name in parentheses, and may hold anything.
    let (_, after_name) = stat.rsplit_once(')').expect("a name");
    let ticks = after_name.split_ascii_whitespace().skip(11).take(2);
    TICK * ticks.map(|field| field.parse::<u32>().expect("ticks")).sum::<u32>()
}

/// The most physical memory that it ever held, in bytes (`VmHWM`).
pub(crate) fn most_resident(pid: u32) -> u64 {
    let kib = field(&pid.to_string(), "VmHWM:");
    kib.trim_end_matches(" kB").parse::<u64>().expect("KiB") * 1024
}

/// Whether this process, and so what it starts, may lock memory without a limit.
pub(crate) fn may_lock_memory() -> bool {
    const IPC_LOCK: u64 = 1 << 14;
    u64::from_str_radix(&field("self", "CapEff:"), 16).expect("capabilities") & IPC_LOCK != 0
}

fn field(pid: &str, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
    value.trim().to_owned()
}
