//! What a task's processes, and the machine, use: read from `/proc` when asked for.
//!
//! Nomad keeps the last of regular samples. Here CPU shares are averages since the process (or
//! the machine) started, which needs no sampling; memory is that of the moment.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;

/// Linux counts CPU time in hundredths of a second for user space (`USER_HZ`).
const TICKS: f64 = 100.0;

/// One process as `/proc/<pid>/stat` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its process group.
    pub(crate) group: i32,
    /// `Z` is a zombie: it has ended.
    pub(crate) state: char,
    user: u64,
    system: u64,
    /// When it started, in ticks since the machine did.
    pub(crate) started: u64,
}

impl Stat {
    /// Reads it; `None` where there is no such process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The program's name, in brackets, may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            group: fields.get(2)?.parse().ok()?,
            user: fields.get(11)?.parse().ok()?,
            system: fields.get(12)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Memory in bytes.
fn rss(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kib(&text, "VmRSS") * 1024
}

/// The number behind a name, as `/proc`'s lists of `Name:   123 kB` have it; 0 where it is not.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|l| l.trim_start_matches(':').split_whitespace().next());
    number.and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|t| t.parse().ok()).unwrap_or(0.0)
}

/// Every process of a group.
fn group(group: i32) -> Vec<(i32, Stat)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<_> = pids
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .filter(|(_, stat)| stat.group == group && stat.state != 'Z')
        .collect();
    found.sort_unstable_by_key(|(pid, _)| *pid);
    found
}

/// What is used, summed up.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    rss: u64,
    user: f64,
    system: f64,
}

impl Used {
    fn add(&mut self, other: Self) {
        self.rss += other.rss;
        self.user += other.user;
        self.system += other.system;
    }

    /// Nomad's `ResourceUsage`; `mhz` is one core's speed.
    fn json(self, mhz: f64) -> Value {
        let percent = self.user + self.system;
        json!({
            "MemoryStats": {
                "RSS": self.rss, "Cache": 0, "Swap": 0, "MappedFile": 0, "Usage": self.rss, "MaxUsage": 0,
                "KernelUsage": 0, "KernelMaxUsage": 0, "Measured": ["RSS", "Usage"],
            },
            "CpuStats": {
                "SystemMode": self.system, "UserMode": self.user, "TotalTicks": percent / 100.0 * mhz,
                "ThrottledPeriods": 0, "ThrottledTime": 0, "Percent": percent,
                "Measured": ["System Mode", "User Mode", "Percent"],
            },
            "DeviceStats": [],
        })
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "shares are shown with few digits"
)]
fn used_by(processes: &[(i32, Stat)]) -> Used {
    let now = uptime();
    let mut all = Used::default();
    for (pid, stat) in processes {
        let lived = (now - stat.started as f64 / TICKS).max(1.0 / TICKS);
        all.add(Used {
            rss: rss(*pid),
            user: stat.user as f64 / TICKS / lived * 100.0,
            system: stat.system as f64 / TICKS / lived * 100.0,
        });
    }
    all
}

/// Nomad's `AllocResourceUsage` of an allocation whose tasks' processes lead these groups.
#[must_use]
pub fn allocation<'a>(tasks: impl Iterator<Item = (&'a str, i32)>, mhz: f64) -> Value {
    let now = clock::now();
    let mut shown = serde_json::Map::new();
    let mut all = Used::default();
    for (name, pid) in tasks {
        let processes = group(pid);
        let used = used_by(&processes);
        all.add(used);
        let pids: serde_json::Map<_, _> = processes
            .iter()
            .map(|(pid, stat)| {
                let one = used_by(&[(*pid, stat.clone())]);
                (pid.to_string(), one.json(mhz))
            })
            .collect();
        let task = json!({ "ResourceUsage": used.json(mhz), "Timestamp": now, "Pids": pids });
        shown.insert(name.to_owned(), task);
    }
    json!({ "ResourceUsage": all.json(mhz), "Tasks": shown, "Timestamp": now })
}

/// Nomad's `HostStats`, with the disk that holds `data_dir`.
#[must_use]
pub fn host(data_dir: &Path) -> Value {
    let now = clock::now();
    let seconds = Duration::from_secs_f64(uptime()).as_secs();
    let disk = disk(data_dir);
    json!({
        "Memory": memory(),
        "CPU": cpus(),
        "DiskStats": [disk],
        "AllocDirStats": disk,
        "DeviceStats": [],
        "Uptime": seconds,
        "Timestamp": now,
        "CPUTicksConsumed": 0,
    })
}

fn memory() -> Value {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name: &str| kib(&text, name) * 1024;
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    json!({
        "Total": total,
        "Available": available,
        "Used": total.saturating_sub(available),
        "Free": bytes("MemFree"),
    })
}

/// Shares of each processor's time since the machine started.
fn cpus() -> Vec<Value> {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    lines
        .map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next().unwrap_or_default();
            let ticks: Vec<f64> = fields.filter_map(|f| f.parse().ok()).collect();
            let at = |i: usize| ticks.get(i).copied().unwrap_or(0.0);
            let all = ticks.iter().take(8).sum::<f64>().max(1.0);
            let share = |t: f64| t / all * 100.0;
            json!({
                "CPU": name,
                "User": share(at(0) + at(1)),
                "System": share(at(2)),
                "Idle": share(at(3) + at(4)),
                "Total": 100.0 - share(at(3) + at(4)),
            })
        })
        .collect()
}

fn disk(dir: &Path) -> Value {
    let Ok(stat) = nix::sys::statvfs::statvfs(dir) else {
        return Value::Null;
    };
    let block = stat.fragment_size();
    let size = block * stat.blocks();
    let available = block * stat.blocks_available();
    let used = size.saturating_sub(block * stat.blocks_free());
    #[allow(clippy::cast_precision_loss, reason = "a share of a disk")]
    let percent = |part: u64, whole: u64| part as f64 / whole.max(1) as f64 * 100.0;
    json!({
        "Device": "",
        "Mountpoint": dir.display().to_string(),
        "Size": size,
        "Used": used,
        "Available": available,
        "UsedPercent": percent(used, size),
        "InodesUsedPercent": percent(stat.files() - stat.files_free(), stat.files()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_hold_brackets_and_blanks() {
        let text = "7 (a) b (c)) S 1 5 5 0 -1 4194304 1 0 0 0 11 22 0 0 20 0 1 0 12345 999 77 18";
        let stat = Stat::parse(text).expect("a line");
        assert_eq!((stat.group, stat.state, stat.started), (5, 'S', 12345));
        assert_eq!((stat.user, stat.system), (11, 22));
    }

    #[test]
    fn this_very_process_uses_memory() {
        let own = i32::try_from(std::process::id()).expect("a process ID");
        let group = Stat::of(own).expect("it runs").group;
        let shown = allocation([("t", group)].into_iter(), 1000.0);
        let rss = &shown["Tasks"]["t"]["ResourceUsage"]["MemoryStats"]["RSS"];
        assert!(rss.as_u64() > Some(1_000_000), "{shown}");
        assert!(shown["Tasks"]["t"]["Pids"][own.to_string()].is_object());
        assert!(host(Path::new("/"))["Memory"]["Total"].as_u64() > Some(0));
    }
}
