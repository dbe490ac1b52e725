//! From what the probe said and how it ended to a verdict. Asks nobody, so that every failure
//! which was ever seen can be tried on any machine.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::spec::Arch;

/// How the probe's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself; 128 + signal where a signal ended it.
    Exited(i64),
    /// It did not, within this time.
    StillRunning(Duration),
}

/// Programs of the architecture work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Working {
    /// The architecture.
    pub arch: Arch,
    /// How fast they are.
    pub rates: Rates,
}

/// How often a second the probe did each piece of its work; more is faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// Starting itself: what each task begins with.
    pub starts: u32,
    /// Reading a JSON text, twenty times.
    pub json: u32,
    /// Multiplying as the curve of a TLS handshake does, fifty times.
    pub multiplications: u32,
}

impl Rates {
    /// Returns how many times faster `other` is, in each piece of work.
    #[must_use]
    pub fn times_slower_than(&self, other: &Self) -> [(&'static str, f64); 3] {
        let ratio = |of: fn(&Self) -> u32| f64::from(of(other)) / f64::from(of(self).max(1));
        [
            ("starting a program", ratio(|rates| rates.starts)),
            ("reading JSON", ratio(|rates| rates.json)),
            (
                "a handshake's arithmetic",
                ratio(|rates| rates.multiplications),
            ),
        ]
    }

    /// Returns the same as one figure: the geometric mean, so that no single one decides.
    #[must_use]
    pub fn slowness_beside(&self, other: &Self) -> f64 {
        let product: f64 = self
            .times_slower_than(other)
            .iter()
            .map(|(_, times)| times)
            .product();
        product.cbrt()
    }
}

/// Programs of the architecture do not work, or nobody can say that they do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "{arch} programs do not work in containers here: {fault}{}",
    quoted(last_seen)
)]
pub struct NotWorking {
    /// The architecture.
    pub arch: Arch,
    /// What is wrong.
    pub fault: Fault,
    /// The line of the probe's log that tells.
    pub last_seen: Option<String>,
}

fn quoted(line: &Option<String>) -> String {
    line.as_ref()
        .map(|line| format!("; last seen: `{line}`"))
        .unwrap_or_default()
}

/// Kinds of failure. Which emulators show them is told where it is known (tried on kernel 6.18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Fault {
    /// The kernel does not know the program's format.
    NotRegistered,
    /// The emulator's program is looked for inside the container.
    WithoutF,
    /// Netlink answers come back garbled (QEMU 5.2, 7.2, 10.0.2).
    Netlink,
    /// It cannot fork and execute itself.
    Processes,
    /// A signal does not arrive as it should.
    Signals,
    /// A timer does not fire as it should.
    Timers,
    /// It ran as another architecture.
    OtherArch {
        /// What it says it is, as `amd64 little-endian`.
        seen: String,
    },
    /// The emulator died (QEMU 5.2).
    Crash {
        /// The signal's number.
        signal: i64,
    },
    /// It neither went on nor ended (QEMU 7.2, after a fork among threads).
    Hang {
        /// How long it was waited for.
        after: Duration,
    },
    /// It ended without the line that only success prints.
    Unproved {
        /// Its exit code.
        code: i64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered => f.write_str("no emulator is registered"),
            Self::WithoutF => f.write_str(
                "their emulator is registered without the F flag, so containers do not see it",
            ),
            Self::Netlink => f.write_str(
                "their emulator garbles lists of network interfaces, and no Go program gets past \
                 that (QEMU before 10.0.10 does on new kernels)",
            ),
            Self::Processes => f.write_str("their emulator cannot start a program from a program"),
            Self::Signals => f.write_str("their emulator loses signals"),
            Self::Timers => f.write_str("their emulator loses timers"),
            Self::OtherArch { seen } => write!(
                f,
                "the probe ran as `{seen}`: another architecture's program runs in their place"
            ),
            Self::Crash { signal } => write!(f, "their emulator crashes (signal {signal})"),
            Self::Hang { after } => write!(f, "their emulator hangs (no end within {after:?})"),
            Self::Unproved { code } => write!(
                f,
                "the probe ended (exit code {code}) without saying that all is well"
            ),
        }
    }
}

/// Judges a run of the probe that was made for `arch`. All must agree: the architecture in the
/// first line, `probe ok` in the last, and exit code 0.
///
/// # Errors
/// [`NotWorking`], with the most telling cause.
pub fn judge(arch: Arch, log: &str, end: End) -> Result<Working, NotWorking> {
    let failed = |fault, line: Option<&str>| {
        Err(NotWorking {
            arch,
            fault,
            last_seen: line.map(str::to_owned),
        })
    };
    if let Some((fault, line)) = refused_start(log) {
        return failed(fault, Some(line));
    }
    let first = log.lines().next();
    if let Some(seen) = first.and_then(|line| line.strip_prefix("arch "))
        && seen != nature(arch)
    {
        let seen = seen.to_owned();
        return failed(Fault::OtherArch { seen }, None);
    }
    // A check that failed tells more than whatever the emulator did next.
    if let Some((fault, line)) = failed_check(log) {
        return failed(fault, Some(line));
    }
    let last = log.lines().rfind(|line| !line.trim().is_empty());
    match end {
        End::StillRunning(after) => failed(Fault::Hang { after }, last),
        End::Exited(code) if (129..=192).contains(&code) => {
            failed(Fault::Crash { signal: code - 128 }, last)
        }
        End::Exited(code) => match rates(log) {
            Some(rates) if code == 0 && first_is(log, arch) && last == Some("probe ok") => {
                Ok(Working { arch, rates })
            }
            _ => failed(Fault::Unproved { code }, last),
        },
    }
}

/// Finds out of any program's log why its container did not start: an emulation that was there
/// when the cluster came up may be gone when an agent is started again.
#[must_use]
pub fn fault_in_log(log: &str) -> Option<Fault> {
    refused_start(log).map(|(fault, _)| fault)
}

/// The words of the process that should have become the program: `exec /probe: exec format error`.
fn refused_start(log: &str) -> Option<(Fault, &str)> {
    log.lines().find_map(|line| {
        let lower = line.to_lowercase();
        if !lower.contains("exec") {
            None
        } else if lower.contains("exec format error") {
            Some((Fault::NotRegistered, line))
        } else if lower.contains("no such file or directory") {
            Some((Fault::WithoutF, line))
        } else {
            None
        }
    })
}

fn failed_check(log: &str) -> Option<(Fault, &str)> {
    log.lines().find_map(|line| {
        let check = line.strip_prefix("FAIL ")?.split(' ').next()?;
        let fault = match check {
            "netlink_link" | "netlink_addr" | "netlink_route" => Fault::Netlink,
            "fork_exec" => Fault::Processes,
            "signal" => Fault::Signals,
            _ => Fault::Timers,
        };
        Some((fault, line))
    })
}

/// What the probe calls itself on a machine of that architecture.
fn nature(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "amd64 little-endian",
        Arch::Arm64 => "arm64 little-endian",
        Arch::S390x => "s390x big-endian",
    }
}

fn first_is(log: &str, arch: Arch) -> bool {
    log.lines().next() == Some(&format!("arch {}", nature(arch)))
}

fn rates(log: &str) -> Option<Rates> {
    let rate = |name: &str| {
        let of = |line: &str| {
            line.strip_prefix("measured ")?
                .strip_prefix(name)?
                .trim()
                .parse()
                .ok()
        };
        log.lines().find_map(of)
    };
    Some(Rates {
        starts: rate("starts ")?,
        json: rate("json ")?,
        multiplications: rate("multiplications ")?,
    })
}

#[cfg(test)]
mod tests;
