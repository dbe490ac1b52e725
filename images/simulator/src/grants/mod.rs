//! What a container really can do, found out by trying, from inside: `rehearse-agent grants`.
//!
//! The harness starts it in containers with one or another capability and reads the one line of
//! JSON that it prints. What the engine *promises* (a capability in a request) and what arrives
//! differ between hosts; so does what a kernel has modules for.

mod netlink;

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// Capabilities by their number in the kernel (`linux/capability.h`).
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Attempt {
    /// It worked.
    Works,
    /// The kernel has no such thing (or may not load its module).
    Missing,
    /// This container may not.
    Refused,
    /// Something else, in the kernel's words.
    Failed(String),
}

/// What a container can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Architecture this program was built for, as Rust calls it.
    pub architecture: String,
    /// The kernel's release; of the virtual machine, where containers run in one.
    pub kernel: String,
    /// Effective capabilities, as `NET_ADMIN`.
    pub capabilities: BTreeSet<String>,
    /// Cgroup version that the container sees: `1`, `2`; `None` where neither is mounted.
    pub cgroup: Option<u8>,
    /// `fs.inotify.max_user_watches`.
    pub inotify_watches: Option<u64>,
    /// `fs.inotify.max_user_instances`.
    pub inotify_instances: Option<u64>,
    /// Memory that is free or can be freed, in bytes.
    pub memory_available: Option<u64>,
    /// A queueing discipline that delays and loses packets (`sch_netem`), put on the loopback.
    pub netem: Attempt,
    /// A question to nf_tables.
    pub nftables: Attempt,
    /// Whether the kernel has the older iptables loaded for this container.
    pub iptables: Attempt,
}

impl Grants {
    /// Tries everything. Leaves a netem discipline without effect on the loopback if it may.
    #[must_use]
    pub fn perform() -> Self {
        Self {
            architecture: std::env::consts::ARCH.to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
            capabilities: text("/proc/self/status")
                .map(|status| effective_capabilities(&status))
                .unwrap_or_default(),
            cgroup: text("/proc/self/mounts").and_then(|mounts| cgroup_version(&mounts)),
            inotify_watches: number("/proc/sys/fs/inotify/max_user_watches"),
            inotify_instances: number("/proc/sys/fs/inotify/max_user_instances"),
            memory_available: text("/proc/meminfo").and_then(|info| memory_available(&info)),
            netem: netlink::try_netem(),
            nftables: netlink::try_nftables(),
            iptables: iptables(),
        }
    }
}

/// Prints what a container can do as one line of JSON.
#[must_use]
pub fn main() -> ExitCode {
    use std::io::Write as _;
    let line = serde_json::to_string(&Grants::perform()).expect("plain data becomes JSON");
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn text(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

fn number(path: &str) -> Option<u64> {
    text(path)?.parse().ok()
}

/// Reads the line `CapEff: 00000000a80425fb`.
fn effective_capabilities(status: &str) -> BTreeSet<String> {
    let bits = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    let held = |(number, _): &(usize, &&str)| bits & (1 << number) != 0;
    let named = CAPABILITIES.iter().enumerate().filter(held);
    named.map(|(_, name)| (*name).to_owned()).collect()
}

/// Looks for what is mounted at `/sys/fs/cgroup`: one `cgroup2`, or a folder of `cgroup`s.
fn cgroup_version(mounts: &str) -> Option<u8> {
    let kind_at = |wanted: &str| {
        mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (at, kind) = (words.next()?, words.next()?);
            (at == wanted).then_some(kind)
        })
    };
    if kind_at("/sys/fs/cgroup") == Some("cgroup2") {
        return Some(2);
    }
    let first = |line: &str| line.split(' ').nth(2) == Some("cgroup");
    mounts.lines().any(first).then_some(1)
}

fn memory_available(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Asking the older iptables for anything takes a raw socket option; its list of tables says
/// whether it is there.
fn iptables() -> Attempt {
    match fs::read_to_string("/proc/net/ip_tables_names") {
        Ok(_) => Attempt::Works,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Attempt::Missing,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Attempt::Refused,
        Err(error) => Attempt::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_capabilities_of_a_container_are_named() {
        let held = effective_capabilities("Name:\tx\nCapEff:\t00000000a80425fb\nCapBnd:\t0\n");
        assert_eq!(held.len(), 14);
        assert!(held.contains("CHOWN") && held.contains("SETFCAP") && held.contains("NET_RAW"));
        assert!(!held.contains("SYS_ADMIN") && !held.contains("NET_ADMIN"));
        assert_eq!(
            effective_capabilities("CapEff:\t000001ffffffffff").len(),
            CAPABILITIES.len()
        );
    }

    #[test]
    fn cgroup_versions_are_told_apart_by_their_mounts() {
        let two = "cgroup /sys/fs/cgroup cgroup2 ro,nosuid 0 0\n";
        let one = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncpu /sys/fs/cgroup/cpu cgroup ro,cpu 0 0\n";
        assert_eq!(cgroup_version(two), Some(2));
        assert_eq!(cgroup_version(one), Some(1));
        assert_eq!(cgroup_version("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn what_was_found_survives_its_own_line() {
        let test = Grants::perform();
        let line = serde_json::to_string(&test).unwrap();
        assert_eq!(serde_json::from_str::<Grants>(&line).unwrap(), test);
        assert!(!test.kernel.is_empty());
        assert!(test.memory_available.is_some());
    }
}
